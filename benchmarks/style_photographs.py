"""Measures what style transfers keep of photographs.

    python benchmarks/style_photographs.py --data data/oxford64 \
        --model gan_int_cls_plus_flowers

Each image of the split `test`, of classes that were not trained on, gives its
style to a caption of another class. Prints the correlation of three colors and
of the lightness of the background, which is the border, between the image and
the transfer; the same for any other noise; and how alike styles of different
images are, where 0 is like noise. --out writes a grid of the first ones, with
the images beside: it should stay private if they are of others.
"""

import argparse
import pathlib

import numpy as np

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import decoded_square
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.metrics import background_colors
from keras_t2i.plots import transfer_grid
from keras_t2i.text import embed_texts
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_style_encoder_for

_ROWS, _COLUMNS = 8, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--model", required=True, help="GAN")
    parser.add_argument("--style-encoder", help="default: that of --model")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.png")
    arguments = parser.parse_args()
    gan = load_gan(arguments.model)
    style_encoder = load_style_encoder_for(
        arguments.model, arguments.style_encoder
    )
    examples = PreparedExamples(arguments.data, "test")
    files = [examples.read(index) for index in range(len(examples))]
    photographs = np.stack(
        [decoded_square(one.image, one.id, gan.image_size) for one in files]
    )
    captions = _captions_of_other_classes(files, examples.class_ids)
    embeddings = embed_texts(gan.text_encoder, captions)
    styles = style_encoder.predict(
        to_model_range(photographs), batch_size=64, verbose=0
    )
    noise = np.random.default_rng(0).normal(size=styles.shape)
    transfers, others = (
        _generated(gan, one, embeddings) for one in (styles, noise)
    )

    real = _colors(photographs)
    print(
        "| correlation of the background with the image's | transfer | other |"
    )
    print("|---|---|---|")
    for name, columns in {"red, green, blue": slice(3), "lightness": 3}.items():
        values = [
            np.mean(_correlations(real, _colors(images))[columns])
            for images in (transfers, others)
        ]
        print(f"| {name} | {values[0]:.3f} | {values[1]:.3f} |")
    directions = styles / np.linalg.norm(styles, axis=1, keepdims=True)
    count = len(styles)
    cosine = (np.square(directions.sum(axis=0)).sum() - count) / (
        count * (count - 1)
    )
    print(f"mean cosine of two styles: {cosine:.3f}")
    print(f"length of styles: {np.linalg.norm(styles, axis=1).mean():.1f}")
    print(f"length of noise: {np.sqrt(gan.noise_dim):.1f}")
    if arguments.out:
        places = np.linspace(0, count - 1, _ROWS).astype(int)
        texts = [files[place].captions[0] for place in places[::2]][:_COLUMNS]
        shown = photographs[places]
        images = gan.transfer_style(shown, texts, style_encoder)
        transfer_grid(shown, images, texts).savefig(arguments.out)


def _captions_of_other_classes(files, class_ids):
    generator = np.random.default_rng(0)
    captions = []
    for class_id in class_ids:
        other = generator.choice(np.flatnonzero(class_ids != class_id))
        captions.append(files[other].captions[0])
    return captions


def _generated(gan, noise, embeddings):
    inputs = {
        "noise": noise.astype("float32"),
        "text_embeddings": embeddings,
    }
    return to_uint8(gan.ema_generator.predict(inputs, verbose=0))


def _colors(images):
    colors = background_colors(images)
    return np.column_stack([colors, colors.mean(axis=1)])


def _correlations(colors, others):
    return [np.corrcoef(one, two)[0, 1] for one, two in zip(colors.T, others.T)]


if __name__ == "__main__":
    main()
