"""Answers from a new SavedModel on the TensorFlow of TensorFlow Serving 2.20.

    python tests/export/previous_runtime.py

Not one of the tests that always run: it makes an environment with the wheels
of TensorFlow 2.20.0 and nothing that trains (1.5 GB, no Keras), exports a small
GAN with the TensorFlow that is installed here, and asks it there through the C
API, XLA disabled. TensorFlow Serving 2.20.0 is built from the same sources as
these wheels. Each answer must be that of Python here: bit-equal, or as little
apart as another version of a kernel may make it, which is reported.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import venv

import numpy as np

_ROOT = pathlib.Path(__file__).parents[2]
# Without their dependencies: these suffice to load and run a graph.
_WHEELS = ("tensorflow-cpu==2.20.0", "tensorflow-text==2.20.1", "numpy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environment",
        type=pathlib.Path,
        help="folder to make the environment in, and to find it the next "
        "time (default: a temporary one)",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        python = _environment(arguments.environment or folder / "environment")
        _ask_and_compare(folder, python)


def _environment(path):
    python = path / "bin" / "python"
    if not python.exists():
        venv.create(path, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([python, *install, *_WHEELS], check=True)
    return python


def _ask_and_compare(folder, python):
    sys.path.insert(0, str(_ROOT))
    import keras_t2i  # noqa: F401, I001  First: it sets TensorFlow up.
    import keras
    import tensorflow as tf

    from keras_t2i.export import export_saved_model
    from tests.export import tiny_served
    from tests.export.c_api_session import from_json
    from tests.export.c_api_session import to_json

    # Of functions that are traced once each.
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(0)
    gan = tiny_served.tiny_served_gan()
    encoder = tiny_served.tiny_style_encoder()
    saved_model = export_saved_model(
        gan, folder / "flowers", style_encoder=encoder
    )
    requests = tiny_served.inputs_of_signatures()
    content = [
        {
            "signature": signature,
            "inputs": {name: to_json(rows) for name, rows in inputs.items()},
        }
        for signature, inputs in requests.items()
    ]
    (folder / "requests.json").write_text(json.dumps(content), "utf-8")
    script = pathlib.Path(__file__).with_name("c_api_session.py")
    files = [folder / "requests.json", folder / "answers.json"]
    subprocess.run([python, script, saved_model, *files], check=True)
    answers = json.loads((folder / "answers.json").read_text("utf-8"))
    for (signature, inputs), answer in zip(requests.items(), answers):
        if "error" in answer:
            raise SystemExit(f"{signature}: {answer['error']}")
        found = tiny_served.answer_values(
            {name: from_json(tensor) for name, tensor in answer.items()}
        )
        expected = tiny_served.expected_answer(gan, encoder, signature, inputs)
        _compare(signature, found, expected)


def _compare(signature, found, expected):
    if np.array_equal(found, expected):
        print(f"{signature}: bit-equal")
        return
    difference = np.abs(found.astype(float) - expected)
    print(f"{signature}: differs by {difference.max():g} at most")
    limit = 1 if found.dtype == np.uint8 else 1e-3 * np.abs(expected).max()
    if difference.max() > limit:
        raise SystemExit(f"{signature}: more than {limit:g}")


if __name__ == "__main__":
    main()
