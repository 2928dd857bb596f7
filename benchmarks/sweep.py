"""Trains models that differ in one setting, for as many minutes or steps.

    python benchmarks/sweep.py --data data/blooms --text-encoder runs/text \\
        --out runs/settings --minutes 20 gan gan_cls
    python benchmarks/sweep.py --data data/oxford64 \\
        --out runs/text-settings --minutes 8 hinge softmax
    python benchmarks/sweep.py --data data/oxford64 --out runs/text-settings \\
        --minutes 8 --image-encoder efficientnet_lite0 softmax features
    python benchmarks/sweep.py --data data/blooms --model runs/gan \\
        --out runs/style-settings --minutes 15 plain image_noise

Each is a run folder under --out. Existing ones are resumed, so the same command
resumes an interrupted sweep. GANs and style
encoders are measured by `blooms_gan.py` and `style_blooms.py`. Text encoders
are trained on the split `train` alone and measured on --split, so that the test
classes choose nothing; what `evaluate-text` measures is printed as a table.
"""

import argparse
import pathlib
import sys

import keras_t2i
from keras_t2i import Recipe
from keras_t2i import StyleRecipe
from keras_t2i import TextRecipe
from keras_t2i.cli.text_evaluation import evaluate_text
from keras_t2i.datasets.manifest import read_manifest

_COLUMNS = ("zero_shot_accuracy", "precision_at_50", "recall_at_10")


def _gan(preset, **changes):
    return Recipe.from_preset(preset).override(**changes)


def _text(preset, **changes):
    recipe = TextRecipe.from_preset(preset)
    return recipe.override(split="train", **changes)


def _features(**changes):
    # Compared before the preset had cosines.
    return _text("char_cnn_rnn_features", **{"similarity": "dot", **changes})


def _style(**changes):
    return StyleRecipe(**{"reconstruction_weight": 0.0, **changes})


_FULL = TextRecipe.from_preset("char_cnn_rnn_flowers")
SETTINGS = {
    "gan": _gan("gan"),
    "gan_cls": _gan("gan_cls"),
    "gan_int": _gan("gan_int"),
    "gan_int_cls": _gan("gan_int_cls"),
    "fusion_4": _gan("gan_int_cls", fusion_size=4),
    "no_image_noise": _gan("gan_int_cls", image_noise=0.0),
    "steady_image_noise": _gan("gan_int_cls", image_noise_half_life=None),
    "image_noise_twice_as_long": _gan(
        "gan_int_cls", image_noise_half_life=12000
    ),
    "equal_learning_rates": _gan(
        "gan_int_cls",
        generator_learning_rate=2e-4,
        discriminator_learning_rate=2e-4,
    ),
    "no_mode_seeking": _gan("gan_int_cls", mode_seeking_weight=0.0),
    "staged_by_steps": _gan("gan_int_cls", matching_start_step=1000),
    "staged_by_accuracy": _gan("gan_int_cls", matching_accuracy_threshold=0.8),
    "heads_apart": _gan("gan_int_cls", scores_jointly=False),
    "random_mismatches": _gan("gan_int_cls", mismatch_candidates=1),
    "residual_blocks": _gan("gan_cls", residual_blocks=True),
    "one_caption": _gan("gan_int_cls", captions_per_image=1),
    # The recipe with everything, and less one part at a time.
    "plus": _gan("gan_int_cls_plus"),
    "plus_plain_generator": _gan("gan_int_cls_plus", generator="Generator"),
    "plus_pixels_alone": _gan("gan_int_cls_plus", feature_network=None),
    "plus_features_alone": _gan("gan_int_cls_plus", discriminator=None),
    "plus_labels": _gan("gan_int_cls_plus", relativistic=False),
    "plus_no_augmentation": _gan(
        "gan_int_cls_plus", translation=0.0, cutout=0.0
    ),
    "plus_no_penalty": _gan("gan_int_cls_plus", penalty_weight=0.0),
    "plus_no_mode_seeking": _gan("gan_int_cls_plus", mode_seeking_weight=0.0),
    "plus_fused_output": _gan("gan_int_cls_plus", full_resolution=False),
    # And with other sizes.
    "plus_batch_32": _gan("gan_int_cls_plus", batch_size=32),
    "plus_wide_heads": _gan("gan_int_cls_plus", feature_width=128),
    "plus_feature_size_64": _gan("gan_int_cls_plus", feature_size=64),
    "plus_feature_size_128": _gan("gan_int_cls_plus", feature_size=128),
    "plus_hard_mismatches": _gan("gan_int_cls_plus", mismatch_candidates=8),
    # Text encoders.
    "published": _text("char_cnn_rnn_flowers"),
    "hinge": _text("char_cnn_rnn_small", batch_size=64),
    "hinge_margin_0.2": _text("char_cnn_rnn_small", batch_size=64, margin=0.2),
    "hinge_2_images": _text(
        "char_cnn_rnn_small", batch_size=64, images_per_class=2
    ),
    "hinge_40": _text("char_cnn_rnn_small"),
    "hinge_3e-4": _text(
        "char_cnn_rnn_small", batch_size=64, learning_rate=3e-4
    ),
    "softmax": _text("char_cnn_rnn_small_softmax"),
    "softmax_2_images": _text("char_cnn_rnn_small_softmax", images_per_class=2),
    "softmax_4_images": _text("char_cnn_rnn_small_softmax", images_per_class=4),
    "softmax_hot": _text(
        "char_cnn_rnn_small_softmax", images_per_class=2, temperature=5.0
    ),
    "softmax_cold": _text("char_cnn_rnn_small_softmax", temperature=0.2),
    "softmax_128": _text("char_cnn_rnn_small_softmax", batch_size=128),
    "softmax_3e-4": _text("char_cnn_rnn_small_softmax", learning_rate=3e-4),
    "softmax_full": _text(
        "char_cnn_rnn_small_softmax",
        convolution_filters=_FULL.convolution_filters,
        recurrence=_FULL.recurrence,
        embedding_dim=_FULL.embedding_dim,
        images_per_class=2,
        learning_rate=5e-4,
    ),
    # For --image-encoder, as is softmax, which has neither decay nor averages.
    "features": _features(),
    "features_decay": _features(ema_momentum=None),
    "features_average": _features(decay_share=None),
    "features_average_0.99": _features(ema_momentum=0.99),
    "features_average_0.999": _features(ema_momentum=0.999),
    "features_cosine": _features(similarity="cosine"),
    "features_class_head": _features(class_head_weight=0.5),
    "features_2_images": _features(images_per_class=2),
    "features_words": _features(vocabulary_size=5000),
    "features_cosine_words": _features(
        similarity="cosine", vocabulary_size=5000
    ),
    # Style encoders, and what is done to the images.
    "plain": _style(),
    "image_noise": _style(image_noise=0.2),
    "more_image_noise": _style(image_noise=0.5),
    "color_jitter": _style(color_jitter=0.1),
    "both": _style(image_noise=0.2, color_jitter=0.1),
    "width_64": _style(width=64),
    "reconstruction": _style(reconstruction_weight=1.0),
    "more_reconstruction": _style(reconstruction_weight=5.0),
}
# The options that change a recipe, where they are given.
_CHANGES = (
    *("minutes", "steps", "seed"),
    *("width", "batch_size", "precision", "image_encoder"),
)
# What a model is made from.
_INPUTS = ("data", "text_encoder", "text_embeddings", "model")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--text-encoder", help="of GANs")
    parser.add_argument(
        "--text-embeddings",
        help="of GANs, made by `embed` (default: beside the text encoder)",
    )
    parser.add_argument("--model", help="of style encoders, a GAN")
    parser.add_argument("--out", required=True)
    duration = parser.add_mutually_exclusive_group(required=True)
    duration.add_argument("--minutes", type=float)
    duration.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--width", type=int, help="of GANs")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--precision", help="of GANs")
    parser.add_argument(
        "--image-encoder",
        help="of text encoders: efficientnet_lite0, or whatever else "
        "train-text takes (default: small)",
    )
    parser.add_argument(
        "--split", default="val", help="to measure text encoders on"
    )
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    arguments = parser.parse_args()
    changes, inputs = (
        {
            name: getattr(arguments, name)
            for name in names
            if getattr(arguments, name) is not None
        }
        for names in (_CHANGES, _INPUTS)
    )
    recipes = {
        name: SETTINGS[name].override(**changes) for name in arguments.settings
    }
    has_texts = any(isinstance(one, TextRecipe) for one in recipes.values())
    if has_texts:
        if not read_manifest(arguments.data).class_names:
            parser.error("--data must have classes, for zero-shot accuracy")
        print("| setting | steps | " + " | ".join(_COLUMNS) + " |", flush=True)
        print("|---|---|" + "---|" * len(_COLUMNS), flush=True)
    for name, recipe in recipes.items():
        print(name, file=sys.stderr)
        out = pathlib.Path(arguments.out) / name
        resume = (out / "config.json").is_file()
        model = keras_t2i.train(recipe, out=out, resume=resume, **inputs)
        if isinstance(recipe, TextRecipe):
            _print_row(name, model, recipe, arguments)


def _print_row(name, model, recipe, arguments):
    features = None
    if model.image_network is None and len(model.image_encoder.input_shape) < 4:
        features = recipe.image_encoder
    results = evaluate_text(model, arguments.data, arguments.split, features)
    values = " | ".join(f"{results[column]:.1%}" for column in _COLUMNS)
    steps = int(model.optimizer.iterations)
    print(f"| {name} | {steps:,} | {values} |", flush=True)


if __name__ == "__main__":
    main()
