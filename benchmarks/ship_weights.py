"""Writes the weights of a trained GAN as a preset of the package.

    python benchmarks/ship_weights.py --model runs/plus64 \\
        --preset gan_int_cls_plus --name gan_int_cls_plus_flowers \\
        --description "Flowers of Oxford-102, 64 pixels."

Kept are the moving average of the generator and the text encoder, in half
precision. Printed are the file's size and how far the images that it generates
are from those of the trained model, in grey levels.
"""

import argparse
import hashlib
import json
import pathlib

import keras
import numpy as np

import keras_t2i
from keras_t2i.cli.model_files import load_gan
from keras_t2i.files import replace_when_whole
from keras_t2i.presets import preset
from keras_t2i.presets import presets

_CAPTIONS = [
    f"a {color} flower with {detail}"
    for color in ("red", "yellow", "white", "purple", "pink", "blue", "orange")
    for detail in ("long thin petals", "a dark center", "rounded petals")
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="run folder or file")
    parser.add_argument("--preset", required=True, help="it was trained with")
    parser.add_argument("--name", required=True, help="of the new preset")
    parser.add_argument("--description", required=True)
    arguments = parser.parse_args()
    gan = load_gan(arguments.model)
    folder = pathlib.Path(keras_t2i.__file__).parent / "presets"
    file = folder / "weights" / f"{arguments.name}.npz"
    file.parent.mkdir(exist_ok=True)
    arrays = {
        f"{name}/{index:03}": weight.astype("float16")
        for name, network in (
            ("generator", gan.ema_generator),
            ("text_encoder", gan.text_encoder),
        )
        for index, weight in enumerate(network.get_weights())
    }
    with replace_when_whole(file) as temporary:
        with open(temporary, "wb") as opened:
            np.savez(opened, **arrays)
    model = dict(preset("gan", arguments.preset)["model"])
    model["image_size"] = gan.image_size
    values = {
        "description": arguments.description,
        "model": model,
        "training": preset("gan", arguments.preset)["training"],
        "text_encoder": keras.saving.serialize_keras_object(gan.text_encoder),
        "weights_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    path = folder / "gan" / f"{arguments.name}.json"
    with replace_when_whole(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", "utf-8")

    presets.cache_clear()
    shipped = keras_t2i.TextToImageGAN.from_preset(arguments.name)
    before, after = (
        model.generate(_CAPTIONS).astype("int") for model in (gan, shipped)
    )
    difference = np.abs(before - after)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    print(
        f"{len(_CAPTIONS)} images: at most {difference.max()} grey levels from "
        f"the trained model, {difference.mean():.3f} on average"
    )


if __name__ == "__main__":
    main()
