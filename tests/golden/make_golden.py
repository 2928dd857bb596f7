"""Makes the files of this folder, with the code of the day.

They stand for all that users have saved: later code must read them and give the
same outputs. These are of version 0.1.0.dev0, before there were recipes. Leave
them as they are, and make new ones elsewhere:

    python -m tests.golden.make_golden FOLDER
"""

import json
import os
import pathlib
import shutil
import sys
import zipfile

import keras
import numpy as np

import keras_t2i
from keras_t2i.cli.main import main
from tests.golden.outputs import outputs_of
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import randomize
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder

_WORDS = ("a", "red", "flower")


def _gan():
    schedule = keras_t2i.StagedMatching(start_step=1, rise_steps=10)
    gan = tiny_gan(matching_schedule=schedule)
    gan.compile(
        keras.optimizers.Adam(keras_t2i.LinearDecay(1e-3, 1, 9), beta_1=0.5),
        keras.optimizers.Adam(2e-3, beta_1=0.5),
    )
    gan.train_on_batch(embeddings_batch())
    return gan


def _joint_embedding():
    model = keras_t2i.JointEmbedding(
        tiny_text_encoder(vocabulary=_WORDS, recurrence="gated"),
        keras_t2i.text.image_encoder(IMAGE_SIZE, EMBEDDING_DIM, width=2),
        similarity="cosine",
        num_classes=2,
        class_head_weight=0.1,
    )
    model.compile(loss=keras_t2i.losses.SoftmaxJointEmbedding())
    return model


def _style_inversion():
    gan = tiny_gan()
    model = keras_t2i.StyleInversion(
        gan.ema_generator,
        gan.text_encoder,
        tiny_style_encoder(),
        reconstruction_weight=1.0,
    )
    model.compile()
    return model


def _discriminator_ensemble():
    sizes = {
        "image_size": IMAGE_SIZE,
        "width": 2,
        "text_embedding_dim": EMBEDDING_DIM,
        "text_projection_dim": 4,
        "projection_dim": 4,
    }
    return keras_t2i.DiscriminatorEnsemble(
        [
            keras_t2i.PixelDiscriminator(**sizes),
            keras_t2i.FeatureDiscriminator(**sizes, network_size=IMAGE_SIZE),
        ]
    )


def _modulated_generator():
    return keras_t2i.ModulatedGenerator(
        IMAGE_SIZE,
        width=2,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        noise_dim=NOISE_DIM,
    )


# Each public class is one of these, or a part of one.
MODELS = {
    "char_cnn_rnn": tiny_text_encoder,
    "generator": tiny_generator,
    "modulated_generator": _modulated_generator,
    "discriminator": lambda: tiny_discriminator(
        fusion_size=4, as_released=True
    ),
    "discriminator_ensemble": _discriminator_ensemble,
    "style_encoder": tiny_style_encoder,
    "style_inversion": _style_inversion,
    "joint_embedding": _joint_embedding,
    "text_to_image_gan": _gan,
}


def make(folder):
    """Writes all files into a folder, which must not be there."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir()
    expected = {}
    for name, make_model in MODELS.items():
        keras.utils.set_random_seed(1)
        model = make_model()
        if not model.compiled or name == "joint_embedding":
            randomize(model)
        path = folder / f"{name}.keras"
        model.save(path)
        _pack(path)
        for output, values in outputs_of(model).items():
            expected[f"{name}/{output}"] = values
    np.savez_compressed(folder / "expected.npz", **expected)
    _write_configs(folder / "configs.json")
    _make_run(folder)


def _write_configs(path):
    """What is too large to keep with its weights, or is no model."""
    objects = [
        keras_t2i.applications.EfficientNetLite0(weights=None),
        keras_t2i.applications.EfficientNetLite2(weights=None),
        keras_t2i.LinearDecay(0.5, 6, 10),
        keras_t2i.StagedMatching(start_step=1, rise_steps=10),
        keras_t2i.losses.RelativisticPairing(),
        keras_t2i.losses.SoftmaxJointEmbedding(),
        keras_t2i.losses.StructuredJointEmbedding(),
    ]
    configs = [keras.saving.serialize_keras_object(item) for item in objects]
    path.write_text(json.dumps(configs, indent=1) + "\n", "utf-8")


def _make_run(folder):
    """A data set, its embeddings, and a run on it that can go on."""
    os.chdir(folder)
    for command in (
        "prepare blooms --num-images 10 --image-size 32 --out data",
        "embed --data data --text-encoder char_cnn_rnn.keras --out embeddings",
    ):
        if main(command.split()):
            raise RuntimeError(f"`keras-t2i {command}` failed.")
    recipe = keras_t2i.Recipe.from_preset("gan_int_cls").override(
        width=2, batch_size=4, steps=2
    )
    keras_t2i.train(
        recipe, data="data", text_encoder="char_cnn_rnn.keras", out="run"
    )
    shutil.rmtree("run/samples")
    # The same as the last checkpoint.
    (folder / "run" / "model.keras").unlink()
    for path in (folder / "run").rglob("*.keras"):
        _pack(path)


def _pack(path):
    """Compresses the parts of a .keras file, each of them as it was."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, compresslevel=9)


if __name__ == "__main__":
    make(sys.argv[1])
