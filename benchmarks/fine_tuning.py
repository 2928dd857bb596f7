"""Fine-tunes the GAN of the package on 200 images of classes it has not seen.

    python benchmarks/fine_tuning.py --data data/oxford64 --out runs/fine-tuning
    python benchmarks/fine_tuning.py --data data/oxford64 --out runs/heads \
        --model runs/plus64 --ways after new_discriminator

Takes the five largest classes of the split `test` of --data as if they were a
user's own: the first 40 images of each to train on, the others to measure with.
Photographs that follow each other are often of one plant, so they are not
mixed. Prints the measures of `evaluate` before and after --minutes, beside
those of the same settings from the start. The kernel distance is unbiased, so
it can be read with so few images; the Frechet distance cannot, and is not
printed. A ratio of nearest training images far below that of real ones says
that images are copied. The folders measured_before, measured_after and
measured_from_start hold the measures, the nearest training images, and a few
captions of all classes. Existing runs are resumed. `new_discriminator` is a
training that begins with the generator of --model alone, as the models of the
package do.
"""

import argparse
import io
import json
import pathlib

import numpy as np
import PIL.Image

import keras_t2i
from keras_t2i.cli.main import main as keras_t2i_command
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.models.from_recipe import standardize_as_the_generator
from keras_t2i.plots.grids import image_grid
from keras_t2i.training.model_files import fine_tuning_recipe
from keras_t2i.training.model_files import load_gan

_NUM_CLASSES = 5
_NUM_TRAINED = 40
_MEASURES = (
    *("kernel_distance", "precision", "recall", "density", "coverage"),
    *("diversity", "nearest_training_ratio", "grain"),
)
_ROWS, _COLUMNS = 8, 6


def _write_own_images(data, folder):
    examples = PreparedExamples(data, "test")
    classes, counts = np.unique(examples.class_ids, return_counts=True)
    largest = classes[np.argsort(-counts, kind="stable")[:_NUM_CLASSES]]
    for class_id in largest:
        of_class = np.flatnonzero(examples.class_ids == class_id)
        # By name, and so in the order of the photographs.
        of_class = sorted(map(examples.read, of_class), key=lambda one: one.id)
        for number, example in enumerate(of_class):
            split = "train" if number < _NUM_TRAINED else "test"
            path = folder / split / f"class_{class_id}" / f"{example.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.open(io.BytesIO(example.image)).save(path)
            path.with_suffix(".txt").write_text("\n".join(example.captions))


def _measured(model, data, folder):
    out = folder / "evaluation.json"
    if not out.exists():
        folder.mkdir(exist_ok=True)
        _run(
            *("evaluate", "--model", model, "--data", data, "--out", out),
            *("--images-per-caption", 5),
        )
    examples = PreparedExamples(data, "test")
    # Of all classes.
    indices = np.linspace(0, len(examples) - 1, _ROWS).astype(int)
    captions = [examples.read(index).captions[0] for index in indices]
    gan = load_gan(str(model))
    images = gan.generate(
        np.repeat(captions, _COLUMNS).tolist(),
        seed=np.tile(np.arange(_COLUMNS), _ROWS),
    )
    images = images.reshape(_ROWS, _COLUMNS, *images.shape[1:])
    image_grid(images, captions).savefig(folder / "captions.png")
    return json.loads(out.read_text())


def _with_new_discriminator(model, path):
    trained = load_gan(str(model))
    gan = keras_t2i.TextToImageGAN.from_recipe(
        trained.recipe, text_encoder=trained.text_encoder
    )
    for name in ("generator", "ema_generator"):
        weights = getattr(trained, name).get_weights()
        getattr(gan, name).set_weights(weights)
    standardize_as_the_generator(gan)
    gan.save(path)


def _run(*options):
    if keras_t2i_command([str(option) for option in options]):
        raise SystemExit(1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", default="gan_int_cls_plus_flowers")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, help="in place of --minutes")
    parser.add_argument("--generator-learning-rate", type=float)
    parser.add_argument(
        "--ways",
        nargs="+",
        default=["after", "from_start"],
        choices=["after", "new_discriminator", "from_start"],
        help="trainings to compare (default: after from_start)",
    )
    arguments = parser.parse_args()

    model = arguments.model
    out, data = arguments.out, arguments.out / "data"
    if not data.exists():
        _write_own_images(arguments.data, out / "images")
        _run(
            *("prepare", "folder", "--source", out / "images", "--out", data),
            *("--image-size", 64),
        )
    recipe = fine_tuning_recipe(model).override(minutes=arguments.minutes)
    if arguments.steps is not None:
        recipe = recipe.override(steps=arguments.steps)
    if arguments.generator_learning_rate is not None:
        recipe = recipe.override(
            generator_learning_rate=arguments.generator_learning_rate
        )
    before = _measured(model, data, out / "measured_before")
    results = {"before": before}
    for name in arguments.ways:
        run, source = out / name, {"model": model}
        if name == "new_discriminator":
            file = out / "new_discriminator.keras"
            if not file.exists():
                _with_new_discriminator(model, file)
            source = {"model": str(file)}
        elif name == "from_start":
            source = {"text_encoder": model}
        keras_t2i.train(
            recipe, data=data, out=run, resume=run.exists(), **source
        )
        results[name] = _measured(run, data, out / f"measured_{name}")
    print(f"| measure | {' | '.join(results)} | real |")
    print("|---" * (len(results) + 2) + "|")
    real = before["real"]
    for measure in _MEASURES:
        values = [result[measure] for result in results.values()]
        row = " | ".join(
            "" if value is None else f"{value:.3f}"
            for value in (*values, real[measure])
        )
        print(f"| {measure} | {row} |")


if __name__ == "__main__":
    main()
