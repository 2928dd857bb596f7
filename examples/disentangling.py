"""Whether style and content are disentangled: pairs of one background or two.

    python examples/disentangling.py --out disentangling.png

trains small GANs, and a style encoder for each. With trained ones, in the same
order:

    python examples/disentangling.py --variants GAN GAN-INT-CLS \\
        --models runs/gan/model.keras runs/gan_int_cls/model.keras \\
        --style-encoders runs/style/model.keras runs/style_int_cls/model.keras

Needs scikit-learn: pip install "keras-t2i[metrics]"
"""

import argparse
import importlib.util

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import small_models

VARIANTS = {
    "GAN": "gan",
    "GAN-CLS": "gan_cls",
    "GAN-INT": "gan_int",
    "GAN-INT-CLS": "gan_int_cls",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS)
    )
    parser.add_argument("--models", nargs="+", metavar="FILE.keras")
    parser.add_argument("--style-encoders", nargs="+", metavar="FILE.keras")
    parser.add_argument("--out", default="disentangling.png")
    parser.add_argument(
        "--num-unseen", type=int, default=500, help="images to verify on"
    )
    small_models.add_options(parser)
    options = small_models.parsed(parser)
    trained = [options.models, options.style_encoders]
    if any(trained) and not all(
        files and len(files) == len(options.variants) for files in trained
    ):
        parser.error(
            "--models and --style-encoders must both name one file for each "
            f"of the {len(options.variants)} variants"
        )
    if importlib.util.find_spec("sklearn") is None:
        parser.error('needs scikit-learn: pip install "keras-t2i[metrics]"')
    features = {}
    for place, variant in enumerate(options.variants):
        if options.models:
            gan = keras.saving.load_model(options.models[place])
            style_encoder = small_models.loaded_style_encoder(
                options.style_encoders[place]
            )
        else:
            gan = small_models.trained_gan(options, VARIANTS[variant])
            style_encoder = small_models.trained_style_encoder(options, gan)
        unseen = small_models.unseen_blooms(options.num_unseen, gan.image_size)
        images = np.stack([bloom.image for bloom in unseen])
        features[variant] = style_encoder.predict(
            images / 127.5 - 1.0, verbose=0
        )
    # The baseline: a text says nothing of the style.
    features["text"] = keras_t2i.text.embed_texts(
        gan.text_encoder, [bloom.captions[0] for bloom in unseen]
    )
    backgrounds = [bloom.style.background for bloom in unseen]
    curves = keras_t2i.metrics.style_verification(features, backgrounds)
    for name, curve in curves.items():
        print(f"{name}: AUC {curve.auc:.3f}")
    keras_t2i.plots.roc_curves(curves).savefig(options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
