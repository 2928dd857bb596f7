"""Makes the images of the documentation from a preset with weights.

    python benchmarks/docs_images.py --preset gan_int_cls_plus_flowers \
        --data data/oxford64 --out docs/images

The captions are the first ones of the first images of the test split, whose
classes were not trained on. Nothing is picked: the noises are those of the
seeds 0, 1, 2, ... A preset with a style encoder also gets a grid of style
transfers: from generated images, since photographs may have owners, or with
--real-styles from the first ones of the test split.
"""

import argparse
import pathlib

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import numpy as np

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import decoded_square
from keras_t2i.plots.grids import image_grid
from keras_t2i.plots.grids import interpolation_strips
from keras_t2i.plots.grids import transfer_grid
from keras_t2i.pretrained.network_files import names_with_style_encoder

COLUMNS = 6
STYLES = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", required=True)
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--out", required=True, help="folder")
    parser.add_argument(
        "--real-styles", action="store_true", help="for data of your own"
    )
    arguments = parser.parse_args()
    gan = keras_t2i.TextToImageGAN.from_preset(arguments.preset)
    examples = PreparedExamples(arguments.data, "test")
    captions = [str(examples.read(index).captions[0]) for index in range(16)]
    out = pathlib.Path(arguments.out)
    for count in (8, 16):
        _grid(gan, captions[:count]).savefig(
            out / f"{arguments.preset}_{count}_captions.png"
        )
    ways = [
        ("a yellow flower with many thin petals", "a pink flower"),
        ("a white flower with a yellow center", "a purple flower"),
    ]
    captions_from, captions_to = map(list, zip(*ways))
    strips = gan.interpolate(captions_from, captions_to, steps=COLUMNS, seed=0)
    interpolation_strips(strips, captions_from, captions_to).savefig(
        out / f"{arguments.preset}_interpolation.png"
    )
    if arguments.preset in names_with_style_encoder():
        if arguments.real_styles:
            files = [examples.read(index) for index in range(STYLES)]
            styles = np.stack(
                [
                    decoded_square(file.image, file.id, gan.image_size)
                    for file in files
                ]
            )
        else:
            gan.truncation = 1.0
            styles = gan.generate(captions[:STYLES], seed=0)
        texts = captions_from + captions_to
        style_encoder = keras_t2i.StyleEncoder.from_preset(arguments.preset)
        transfer_grid(
            styles, gan.transfer_style(styles, texts, style_encoder), texts
        ).savefig(out / f"{arguments.preset}_transfer.png")


def _grid(gan, captions):
    images = gan.generate(
        np.repeat(captions, COLUMNS).tolist(),
        seed=np.tile(np.arange(COLUMNS), len(captions)),
    )
    shape = (len(captions), COLUMNS, *images.shape[1:])
    return image_grid(images.reshape(shape), captions)


if __name__ == "__main__":
    main()
