"""Trains style encoders that differ in one setting, for the same time.

    python benchmarks/compare_style_settings.py --data data/blooms \\
        --model runs/gan --out runs/style --minutes 15 plain image_noise

Each is a run folder of its own under --out, as of `train-style`;
`style_blooms.py` measures them. What is there already is gone on with, so an
interrupted comparison is started again by the same command.
"""

import argparse
import pathlib
import sys

import keras_t2i
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.cli.train_style import style_batches
from keras_t2i.training.runner import fit_run
from keras_t2i.training.runner import num_images
from keras_t2i.training.runner import set_up
from keras_t2i.training.runner import training_split
from keras_t2i.datasets.manifest import read_manifest

# Width of the style encoder, and what is done to the pictures.
SETTINGS = {
    "plain": (32, {}),
    "image_noise": (32, {"image_noise": 0.2}),
    "more_image_noise": (32, {"image_noise": 0.5}),
    "color_jitter": (32, {"color_jitter": 0.1}),
    "both": (32, {"image_noise": 0.2, "color_jitter": 0.1}),
    "width_64": (64, {}),
    "reconstruction": (32, {"reconstruction_weight": 1.0}),
    "more_reconstruction": (32, {"reconstruction_weight": 5.0}),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    duration = parser.add_mutually_exclusive_group(required=True)
    duration.add_argument("--minutes", type=float)
    duration.add_argument("--steps", type=int)
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    arguments = parser.parse_args()
    for name in arguments.settings:
        print(name, file=sys.stderr)
        _train(name, arguments)


def _train(name, arguments):
    width, inversion_options = SETTINGS[name]
    run = RunFolder(pathlib.Path(arguments.out) / name)
    set_up({"seed": 0})
    manifest = read_manifest(arguments.data)
    split = training_split(manifest)
    options = {
        name: getattr(arguments, name)
        for name in ("model", "data", "steps", "minutes")
    }
    options["epochs"] = None
    if run.last_step():
        # What is gone on with must be of the same GAN and data.
        run.resumed_options("compare_style_settings", options)
        inversion = run.load_checkpoint()
    else:
        gan = load_gan(arguments.model)
        inversion = keras_t2i.StyleInversion(
            gan.ema_generator,
            gan.text_encoder,
            keras_t2i.StyleEncoder(gan.image_size, width, gan.noise_dim),
            **inversion_options,
        )
        inversion.compile()
    run.write_config("compare_style_settings", options)
    interrupted = fit_run(
        run,
        inversion,
        lambda step: style_batches(inversion, arguments.data, split, step),
        options,
        num_images(manifest, split),
    )
    run.publish_model()
    if interrupted:
        # The next settings are not to be trained either.
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
