"""Runs the Python of README and docs, and parses their commands and JSON.

Commands are not run: many train for an hour. Each is parsed by its own program,
so that every command, script and option that a page names is there.
"""

import argparse
import functools
import json
import pathlib
import re
import runpy
import shlex
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_t2i
from keras_t2i.cli.main import main
from keras_t2i.text.image_encoders import image_encoder
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_text_encoder

_ROOT = pathlib.Path(__file__).parents[1]
_PAGES = {
    str(path.relative_to(_ROOT)): path.read_text("utf-8")
    for path in sorted(
        [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")],
    )
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_IMAGE_SIZE = 64
# Programs of others.
_NOT_OURS = {
    *("", "cp", "docker", "jupyter", "kubectl", "pip", "pre-commit", "pytest"),
    *("export", "python3", "sbatch", "tensorboard"),
}


def _blocks(language):
    found = [
        pytest.param(page, block, id=f"{page}-{number}")
        for page, text in _PAGES.items()
        for number, (kind, block) in enumerate(_BLOCK.findall(text))
        if kind == language
    ]
    assert found
    return found


def _pages_with(language):
    return sorted({parameter.values[0] for parameter in _blocks(language)})


def _commands():
    """All lines of all shell blocks, with those that follow a backslash."""
    for page, block in (parameter.values for parameter in _blocks("sh")):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                while words and re.fullmatch(r"[A-Z0-9_]+=\S*", words[0]):
                    words = words[1:]
                if words:
                    yield pytest.param(words, id=f"{page}: {' '.join(words)}")


class _Parsed(Exception):
    """The arguments are good; the program would begin."""


@pytest.mark.parametrize("words", _commands())
def test_commands_are_parsed(words, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *arguments):
        parse(parser, *arguments)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    program, *options = words
    if program == "keras-t2i":
        with pytest.raises(_Parsed):
            main(options)
    elif program == "python" and options[0].endswith(".py"):
        script = _ROOT / options[0]
        assert script.exists()
        if len(options) == 1:
            return
        monkeypatch.setattr(sys, "argv", options)
        monkeypatch.syspath_prepend(script.parent)
        with pytest.raises(_Parsed):
            try:
                runpy.run_path(str(script), run_name="__main__")
            except ModuleNotFoundError as error:
                pytest.skip(f"not installed: {error.name}")
    else:
        assert pathlib.PurePath(program).name in _NOT_OURS


@pytest.mark.parametrize(("page", "block"), _blocks("json"))
def test_json_is_whole(page, block):
    json.loads(block)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """What the pages say that earlier commands have made, but tiny."""
    folder = tmp_path_factory.mktemp("docs")
    runs = folder / "runs"
    for name, num_images in ("mine", 40), ("large", 520):
        out = str(folder / "data" / name)
        count = ["--num-images", str(num_images)]
        assert main(["prepare", "blooms", *count, "--out", out]) == 0
    for run in "text", "gan", "style", "demo/gan":
        (runs / run).mkdir(parents=True)
    keras.utils.set_random_seed(0)
    encoder = tiny_text_encoder()
    dim = encoder.embedding_dim
    joint = keras_t2i.JointEmbedding(
        encoder, image_encoder(_IMAGE_SIZE, embedding_dim=dim, width=4)
    )
    joint.save(runs / "text" / "model.keras")
    text = str(runs / "text")
    data = str(folder / "data" / "mine")
    embed = ["embed", "--data", data, "--text-encoder", text, "--out"]
    assert main([*embed, f"{text}/embeddings"]) == 0
    sizes = {"width": 2, "text_embedding_dim": dim, "text_projection_dim": 4}
    gan = keras_t2i.TextToImageGAN(
        keras_t2i.Generator(_IMAGE_SIZE, noise_dim=NOISE_DIM, **sizes),
        keras_t2i.Discriminator(_IMAGE_SIZE, **sizes),
        encoder,
    )
    gan.compile()
    gan.save(runs / "gan" / "model.keras")
    shutil.copy(runs / "gan" / "model.keras", runs / "demo" / "gan")
    style_encoder = keras_t2i.StyleEncoder(
        _IMAGE_SIZE, width=2, noise_dim=NOISE_DIM
    )
    keras_t2i.StyleInversion(gan.ema_generator, encoder, style_encoder).save(
        runs / "style" / "model.keras"
    )
    keras_t2i.export.export_saved_model(
        gan, folder / "saved_models/flowers", style_encoder=style_encoder
    )
    Image.new("RGB", (80, 70)).save(folder / "photo.jpg")
    # A judge of images that takes no time.
    keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(2, 4, strides=4)]
    ).save(folder / "judge.keras")
    return folder


def _given(page):
    """What the words of a page say that its reader has."""
    if page == "docs/style.md":
        images = np.random.default_rng(0).integers(0, 256, (120, 64, 64, 3))
        captions = [f"a flower with {n % 7} petals" for n in range(120)]
        return {"images": images.astype("uint8"), "captions": captions}
    if page == "docs/evaluation.md":
        return {"data": keras_t2i.datasets.make_dataset("data/mine")}
    return {}


@pytest.fixture
def one_epoch():
    keras.config.set_max_epochs(1)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
@pytest.mark.parametrize("page", _pages_with("python"))
def test_python_runs(page, workspace, monkeypatch, one_epoch, two_replicas):
    monkeypatch.chdir(workspace)
    # A second strategy in this process would use the keys of the first one's
    # collective operations, and fail the tests that come after.
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    program = "".join(
        block
        for language, block in _BLOCK.findall(_PAGES[page])
        if language == "python"
    )
    # The exported model itself in place of its server.
    address = "http://localhost:8501/v1/models/"
    program = program.replace(address, "saved_models/")
    # The pretrained network takes the most time.
    tiny = "steps=1, width=4, batch_size=4, feature_network=None"
    program = program.replace("minutes=60", tiny)
    # Where a training is to write, nothing is.
    program = program.replace('out="runs/gan"', 'out="runs/new"')
    # Presets as they are would take minutes to train. One that comes with its
    # weights is not trained.
    if "gan_int_cls_plus_flowers" not in program:
        monkeypatch.setattr(
            keras_t2i.TextToImageGAN,
            "from_preset",
            functools.partial(keras_t2i.TextToImageGAN.from_preset, width=4),
        )
    if page == "docs/evaluation.md":
        # As many images as an evaluation needs.
        program = program.replace("data/mine", "data/large")
        load = keras_t2i.evaluation.load_judge
        monkeypatch.setattr(
            keras_t2i.evaluation, "load_judge", lambda: load("judge.keras")
        )
    names = {"keras": keras, "keras_t2i": keras_t2i, **_given(page)}
    exec(compile(program, page, "exec"), names)
