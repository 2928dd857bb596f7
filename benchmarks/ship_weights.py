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
from keras_t2i.pretrained.network_files import write_description
from keras_t2i.pretrained.network_files import write_pretrained_weights
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
