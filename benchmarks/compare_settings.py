"""Trains GANs that differ in one setting, for the same number of minutes.

    python benchmarks/compare_settings.py --data data/blooms \\
        --text-encoder runs/text --embeddings runs/text/embeddings \\
        --out runs/settings --minutes 20 gan gan_cls

Each is a run folder of its own under --out; `blooms_gan.py` measures them. What
is there already is gone on with, so an interrupted comparison is started again
by the same command.
"""

import argparse
import copy
import pathlib
import sys

import keras_t2i
from keras_t2i.callbacks import CollapseWarning
from keras_t2i.callbacks import ImageGrid
from keras_t2i.cli.model_files import load_text_encoder
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.samples import sample_captions
from keras_t2i.cli.train import some_texts
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import num_images
from keras_t2i.cli.training import set_up
from keras_t2i.cli.training import training_split
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.models.presets import gan_optimizer
from keras_t2i.models.presets import networks_of_preset
from keras_t2i.presets import preset

# The preset, and what differs from its `model` and its `training`.
_BY_STEPS = {"start_step": 1000, "rise_steps": 1000}
_PIXELS = [{"class_name": "PixelDiscriminator", "width": 32}]
_FEATURES = [{"class_name": "FeatureDiscriminator", "width": 64}]
_BY_ACCURACY = {"accuracy_threshold": 0.8, "rise_steps": 1000}
SETTINGS = {
    "gan": ("gan", {}),
    "gan_cls": ("gan_cls", {}),
    "gan_int": ("gan_int", {}),
    "gan_int_cls": ("gan_int_cls", {}),
    "fusion_4": ("gan_int_cls", {"discriminator": {"fusion_size": 4}}),
    "no_image_noise": ("gan_int_cls", {"gan": {"image_noise": 0.0}}),
    "steady_image_noise": (
        "gan_int_cls",
        {"gan": {"image_noise_half_life": None}},
    ),
    "image_noise_twice_as_long": (
        "gan_int_cls",
        {"gan": {"image_noise_half_life": 12000}},
    ),
    "equal_learning_rates": (
        "gan_int_cls",
        {
            "training": {
                "generator_learning_rate": 2e-4,
                "discriminator_learning_rate": 2e-4,
            }
        },
    ),
    "no_mode_seeking": ("gan_int_cls", {"gan": {"mode_seeking_weight": 0.0}}),
    "staged_by_steps": (
        "gan_int_cls",
        {"gan": {"matching_schedule": _BY_STEPS}},
    ),
    "staged_by_accuracy": (
        "gan_int_cls",
        {"gan": {"matching_schedule": _BY_ACCURACY}},
    ),
    "heads_apart": ("gan_int_cls", {"gan": {"scores_jointly": False}}),
    "random_mismatches": (
        "gan_int_cls",
        {"training": {"mismatch_candidates": 1}},
    ),
    "residual_blocks": ("gan_cls", {"generator": {"residual_blocks": True}}),
    "one_caption": ("gan_int_cls", {"training": {"captions_per_image": 1}}),
    # The recipe with everything, and less one part at a time.
    "plus": ("gan_int_cls_plus", {}),
    "plus_plain_generator": (
        "gan_int_cls_plus",
        {"generator": {"class_name": "Generator", "width": 32}},
    ),
    "plus_pixels_alone": ("gan_int_cls_plus", {"discriminator": _PIXELS}),
    "plus_features_alone": ("gan_int_cls_plus", {"discriminator": _FEATURES}),
    "plus_labels": ("gan_int_cls_plus", {"gan": {"relativistic": False}}),
    "plus_no_augmentation": (
        "gan_int_cls_plus",
        {"gan": {"translation": 0.0, "cutout": 0.0}},
    ),
    "plus_no_penalty": (
        "gan_int_cls_plus",
        {"discriminator": [{**_PIXELS[0], "penalty_weight": 0.0}, *_FEATURES]},
    ),
    "plus_no_mode_seeking": (
        "gan_int_cls_plus",
        {"gan": {"mode_seeking_weight": 0.0}},
    ),
    "plus_fused_output": (
        "gan_int_cls_plus",
        {"generator": {"class_name": "ModulatedGenerator", "width": 32}},
    ),
    # And with other sizes.
    "plus_batch_32": ("gan_int_cls_plus", {"training": {"batch_size": 32}}),
    "plus_wide_heads": (
        "gan_int_cls_plus",
        {"discriminator": [*_PIXELS, {**_FEATURES[0], "width": 128}]},
    ),
    "plus_hard_mismatches": (
        "gan_int_cls_plus",
        {"training": {"mismatch_candidates": 8}},
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--text-encoder", required=True)
    parser.add_argument("--embeddings", required=True, help="made by `embed`")
    parser.add_argument("--out", required=True)
    parser.add_argument("--width", type=int, help="default: the preset's")
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    duration = parser.add_mutually_exclusive_group(required=True)
    duration.add_argument("--minutes", type=float)
    duration.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    arguments = parser.parse_args()
    for name in arguments.settings:
        print(name, file=sys.stderr)
        _train(name, arguments)


def _train(name, arguments):
    base, changes = SETTINGS[name]
    run = RunFolder(pathlib.Path(arguments.out) / name)
    set_up({"seed": arguments.seed, "precision": arguments.precision})
    manifest = read_manifest(arguments.data)
    split = training_split(manifest)
    options = {
        name: getattr(arguments, name)
        for name in (
            *("data", "text_encoder", "embeddings", "width", "batch_size"),
            *("precision", "seed", "steps", "minutes"),
        )
    }
    options["epochs"] = None
    changed = copy.deepcopy(preset("gan", base))
    model, training = changed["model"], changed["training"]
    for part, values in changes.items():
        if part == "training":
            training.update(values)
        elif isinstance(values, list) or "class_name" in values:
            model[part] = values
        else:
            model[part].update(values)
    batch_size = arguments.batch_size or training["batch_size"]
    if run.last_step():
        # What is gone on with must be of the same data and options.
        run.resumed_options("compare_settings", options)
        gan = run.load_checkpoint()
    else:
        encoder = load_text_encoder(arguments.text_encoder)
        encoder.trainable = False
        (generator, discriminator, encoder), gan_options = networks_of_preset(
            model, manifest.image_size, arguments.width, encoder
        )
        gan = keras_t2i.TextToImageGAN(
            generator,
            discriminator,
            encoder,
            seed=arguments.seed,
            **gan_options,
        )
        steps_per_epoch = num_images(manifest, split) // batch_size
        gan.compile(
            *(
                gan_optimizer(training, network, steps_per_epoch)
                for network in ("generator", "discriminator")
            )
        )

    def make_stream(step):
        return make_dataset(
            arguments.data,
            split,
            batch_size,
            text_embeddings=arguments.embeddings,
            seed=arguments.seed,
            start_step=step,
            mismatched=gan.matching_aware,
            captions_per_image=training["captions_per_image"],
            mismatch_candidates=training["mismatch_candidates"],
        )

    if training.get("standardize_texts") and not run.last_step():
        gan.standardize_texts(some_texts(make_stream(0)))
    captions, _ = sample_captions(arguments.data, manifest)
    run.write_config("compare_settings", options)
    interrupted = fit_run(
        run,
        gan,
        make_stream,
        options,
        num_images(manifest, split),
        callbacks=lambda first_step: [
            ImageGrid(run.samples, captions, first_step=first_step),
            CollapseWarning(first_step=first_step),
        ],
        decay_share=training.get("decay_share"),
    )
    run.publish_model()
    if interrupted:
        # The next settings are not to be trained either.
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
