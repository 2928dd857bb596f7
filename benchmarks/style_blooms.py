"""Whether style and content are disentangled in GANs trained on blooms.

python benchmarks/style_blooms.py --data data/blooms runs/style

Each run is one of `train-style`, measured with the GAN that it was trained on.
Real images and captions are of unseen kinds of flowers, whose style is known;
the reader of blooms reads generated images. Prints one JSON object per run and
writes it to measured.json in the run's folder; --roc writes the ROC curves of
the background as a figure.
"""

import argparse
import io
import json
import pathlib

import numpy as np
import PIL.Image

import keras_t2i
from keras_t2i.blooms import content_of_caption
from keras_t2i.blooms import read_bloom
from keras_t2i.datasets.blooms_source import bloom_of_record
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import to_model_range
from keras_t2i.files import atomic_write
from keras_t2i.metrics import background_colors
from keras_t2i.metrics import style_clusters
from keras_t2i.metrics import style_verification
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.plots import roc_curves
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.run_folder import options_of_run

NUM_IMAGES = 1000
NUM_TRANSFERS = 500
NUM_WAYS = 200
NUM_CLUSTERS = {"place": 16, "size": 4, "background_color": 100}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared blooms")
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--roc", metavar="FILE.png")
    parser.add_argument("runs", nargs="+", help="run folders of `train-style`")
    arguments = parser.parse_args()
    unseen = Unseen(arguments.data, arguments.data_seed)
    curves = {}
    for run in map(pathlib.Path, arguments.runs):
        row, found = measured(run, unseen)
        curves[run.name] = found["S(x)"]
        # Of one text encoder, the same for all runs.
        curves["text"] = found["text"]
        text = json.dumps(row, indent=2)
        print(f"{run}: {text}", flush=True)
        with atomic_write(run / "measured.json") as temporary:
            temporary.write_text(text + "\n", "utf-8")
    if arguments.roc:
        roc_curves(curves).savefig(arguments.roc)


class Unseen:
    """Real images of unseen kinds, a caption of each, and their styles."""

    def __init__(self, data, seed):
        examples = PreparedExamples(data, "test")
        generator = np.random.default_rng(0)
        chosen = generator.permutation(len(examples))[:NUM_IMAGES]
        rows = [examples.read(index) for index in chosen]
        self.images = np.stack(
            [np.asarray(PIL.Image.open(io.BytesIO(r.image))) for r in rows]
        )
        # All name the color of the petals.
        self.captions = [
            str(
                generator.choice(
                    [c for c in row.captions if "petal_color" in asked(c)]
                )
            )
            for row in rows
        ]
        self.styles = [bloom_of_record(row, seed).style for row in rows]
        self.backgrounds = np.array([style.background for style in self.styles])


def asked(caption):
    return content_of_caption(caption)


def measured(run, unseen):
    """Returns what one run reached, and the ROC curves of the background."""
    folder = RunFolder(run)
    inversion = folder.load_checkpoint(StyleInversion)
    gan = load_gan(options_of_run(run)["model"])
    lines = folder.metrics.read_text("utf-8").splitlines()
    noise = inversion.noise_r_squared(unseen.captions)
    aucs, curves = verification(inversion, gan, unseen)
    return {
        "steps": folder.last_step(),
        "minutes": json.loads(lines[-1])["seconds"] / 60,
        "r_squared": noise.r_squared,
        "r_squared_least": float(noise.r_squared_per_dimension.min()),
        "r_squared_most": float(noise.r_squared_per_dimension.max()),
        "ignored_dimensions": len(noise.ignored_dimensions),
        "style_length": style_lengths(inversion.style_encoder, gan, unseen),
        "auc": aucs,
        "transfer": transfers(inversion.style_encoder, gan, unseen),
        "round_trip": round_trips(inversion.style_encoder, gan, unseen),
        "interpolated_text": text_ways(gan, unseen.captions),
        "interpolated_noise": noise_ways(gan, unseen.captions),
    }, curves


def verification(inversion, gan, unseen):
    """Areas under the curves of each aspect of style, as known."""
    place = [(style.center_x, style.center_y) for style in unseen.styles]
    size = [[style.radius] for style in unseen.styles]
    descriptors = {
        "place": place,
        "size": size,
        "background_color": background_colors(unseen.images),
    }
    num_images = len(unseen.images)
    clusters = {"background": unseen.backgrounds}
    for name, values in descriptors.items():
        count = min(NUM_CLUSTERS[name], num_images // 4)
        clusters[name] = style_clusters(values, count)
    features = {
        "S(x)": inversion.predict(to_model_range(unseen.images), verbose=0),
        "text": keras_t2i.text.embed_texts(gan.text_encoder, unseen.captions),
    }
    aucs = {}
    for name, labels in clusters.items():
        curves = style_verification(features, labels)
        aucs[name] = {key: curve.auc for key, curve in curves.items()}
    return aucs, style_verification(features, clusters["background"])


def style_lengths(style_encoder, gan, unseen):
    """Mean lengths of S(x), of real and of generated images, and of noise."""
    count = min(NUM_TRANSFERS, len(unseen.images))
    noise = np.random.default_rng(0).normal(size=(count, gan.noise_dim))
    vectors = {"noise": noise}
    for name, images in (
        ("real", unseen.images[:count]),
        ("generated", gan.generate(unseen.captions[:count])),
    ):
        vectors[name] = style_encoder.predict(to_model_range(images), verbose=0)
    return {
        name: float(np.linalg.norm(values, axis=1).mean())
        for name, values in vectors.items()
    }


def transfers(style_encoder, gan, unseen):
    """Shares of transfers that keep the style and follow the caption.

    From real images; and from generated ones, which the style encoder knows.
    """
    count = min(NUM_TRANSFERS, len(unseen.images))
    # Each image with the caption of another one.
    captions = (unseen.captions[1:] + unseen.captions[:1])[:count]
    generated = gan.generate(unseen.captions[:count])
    shares = {"num_transfers": count}
    for name, images, backgrounds in (
        ("real", unseen.images[:count], unseen.backgrounds[:count]),
        (
            "generated",
            generated,
            [read_bloom(image).background for image in generated],
        ),
    ):
        readings = [
            read_bloom(
                gan.transfer_style(image[None], text, style_encoder)[0, 0]
            )
            for image, text in zip(images, captions)
        ]
        shares[f"background_kept_of_{name}"] = share(
            reading.background == background
            for reading, background in zip(readings, backgrounds)
        )
        shares[f"petal_color_followed_of_{name}"] = share(
            shows_color(reading, text)
            for reading, text in zip(readings, captions)
        )
    return shares


def round_trips(style_encoder, gan, unseen):
    """Root mean square pixel errors, in gray levels, of G(S(x), text).

    Beside them, the errors of an image of the same text and any noise.
    """
    count = min(NUM_TRANSFERS, len(unseen.images))
    captions = unseen.captions[:count]
    any_noise = gan.generate(captions, seed=10_000)
    errors = {}
    for name, images in (
        ("real", unseen.images[:count]),
        ("generated", gan.generate(captions)),
    ):
        again = np.stack(
            [
                gan.transfer_style(image[None], text, style_encoder)[0, 0]
                for image, text in zip(images, captions)
            ]
        )
        errors[name] = pixel_error(again, images)
        errors[f"{name}_any_noise"] = pixel_error(any_noise, images)
    return errors


def text_ways(gan, captions):
    """Whether the petals change their color on one background."""
    pairs = [
        (a, b)
        for a, b in zip(captions, captions[1:])
        if asked(a)["petal_color"] != asked(b)["petal_color"]
    ][:NUM_WAYS]
    texts_from, texts_to = map(list, zip(*pairs))
    readings = read_ways(gan.interpolate(texts_from, texts_to))
    return {
        "num_ways": len(pairs),
        "color_at_the_start": share(
            shows_color(way[0], text) for way, text in zip(readings, texts_from)
        ),
        "color_at_the_end": share(
            shows_color(way[-1], text) for way, text in zip(readings, texts_to)
        ),
        "background_kept_from_end_to_end": share(
            way[0].background == way[-1].background for way in readings
        ),
        "background_kept_in_all": share(
            len({reading.background for reading in way}) == 1
            for way in readings
        ),
    }


def noise_ways(gan, captions):
    """Whether the background changes, and the petals keep their color."""
    captions = captions[:NUM_WAYS]
    readings = read_ways(gan.interpolate_noise(captions, 0, 10_000))
    return {
        "num_ways": len(captions),
        "background_changed": share(
            way[0].background != way[-1].background for way in readings
        ),
        "color_kept": share(
            all(shows_color(reading, text) for reading in way)
            for way, text in zip(readings, captions)
        ),
    }


def read_ways(ways):
    return [[read_bloom(image) for image in way] for way in ways]


def shows_color(reading, caption):
    return reading.content.petal_color == asked(caption)["petal_color"]


def share(values):
    return float(np.mean(list(values)))


def pixel_error(found, images):
    return float(np.sqrt(np.mean((found - images.astype(np.float64)) ** 2)))


if __name__ == "__main__":
    main()
