"""Writes the networks of finished runs into the package.

    python benchmarks/ship_weights.py --model runs/flowers64 \
        --name gan_int_cls_plus_flowers --text-encoder-name flowers_text \
        --description "Oxford-102 flowers at 64 pixels." \
        --evaluation runs/flowers64/evaluation.json --data data/oxford64

The generator is the exponential moving average. Weights are rounded to half
precision. With --data, the images of the test split's first captions are
generated with both, and the largest difference in gray levels is printed.
"""

import argparse
import json
import pathlib

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.files import atomic_write
from keras_t2i.files import file_sha256
from keras_t2i.training.model_files import load_gan

PACKAGE = pathlib.Path(keras_t2i.__file__).parent / "pretrained"
NUM_COMPARED = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="run folder of a GAN")
    parser.add_argument("--name", required=True, help="of the preset")
    parser.add_argument("--text-encoder-name", required=True)
    parser.add_argument("--description", required=True)
    parser.add_argument("--evaluation", help="JSON file of `evaluate`")
    parser.add_argument("--style-encoder", help="run folder")
    parser.add_argument(
        "--truncation", type=float, default=1.0, help="that of the preset"
    )
    parser.add_argument("--data", help="prepared data set")
    arguments = parser.parse_args()
    gan = load_gan(arguments.model)
    gan.truncation = arguments.truncation
    before = _images(gan, arguments.data)

    text_folder = PACKAGE / arguments.text_encoder_name
    text_folder.mkdir(parents=True, exist_ok=True)
    encoder = gan.text_encoder
    digest = write_pretrained_weights(encoder, text_folder / "weights.npz")
    write_description(
        text_folder,
        {
            "description": f"The text encoder of {arguments.name}.",
            "config": keras.saving.serialize_keras_object(encoder),
            "files": {"weights.npz": digest},
        },
    )

    folder = PACKAGE / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "generator.npz": write_pretrained_weights(
            gan.ema_generator, folder / "generator.npz"
        )
    }
    style = None
    if arguments.style_encoder:
        path = pathlib.Path(arguments.style_encoder) / "model.keras"
        inversion = keras.saving.load_model(path, compile=False)
        network = inversion.style_encoder
        style = keras.saving.serialize_keras_object(network)
        files["style_encoder.npz"] = write_pretrained_weights(
            network, folder / "style_encoder.npz"
        )
    evaluation = None
    if arguments.evaluation:
        evaluation = json.loads(
            pathlib.Path(arguments.evaluation).read_text("utf-8")
        )
    write_description(
        folder,
        {
            "description": arguments.description,
            "recipe": gan.recipe.override(
                image_size=gan.image_size, truncation=gan.truncation
            ).to_dict(),
            "text_encoder": arguments.text_encoder_name,
            "style_encoder": style,
            "files": files,
            "evaluation": evaluation,
        },
    )
    for path in sorted([*folder.iterdir(), *text_folder.iterdir()]):
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path}")
    if before is not None:
        shipped = keras_t2i.TextToImageGAN.from_preset(arguments.name)
        after = _images(shipped, arguments.data)
        difference = np.abs(before.astype(int) - after)
        print(
            f"largest difference of {NUM_COMPARED} images: "
            f"{difference.max()} gray levels; mean {difference.mean():.4f}"
        )


def write_pretrained_weights(network, path):
    """Writes the weights of a network to `path`; returns the file's digest.

    Vectors stay float32, since they are small. All else is rounded to float16.
    Raises `ValueError` if a weight is not finite, or too large for float16.
    """
    arrays = {}
    for index, weight in enumerate(network.weights):
        value = np.asarray(weight, "float32")
        with np.errstate(over="ignore"):  # Refused below.
            stored = value if value.ndim < 2 else value.astype("float16")
        if not np.all(np.isfinite(stored)):
            raise ValueError(
                f"{weight.path} must be finite in half precision. Received: "
                f"values up to {np.abs(value).max()}."
            )
        arrays[f"{index:04}"] = stored
    with atomic_write(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
    return file_sha256(path)


def write_description(folder, description):
    """Writes what `pretrained_description` reads."""
    with atomic_write(folder / "preset.json") as temporary:
        temporary.write_text(json.dumps(description, indent=2) + "\n", "utf-8")


def _images(gan, data):
    if data is None:
        return None
    examples = PreparedExamples(data, "test")
    captions = [
        examples.read(index).captions[0] for index in range(NUM_COMPARED)
    ]
    return gan.generate(captions)


if __name__ == "__main__":
    main()
