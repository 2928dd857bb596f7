"""`keras-t2i train --from`: a trained GAN is trained on."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_t2i import Recipe
from keras_t2i import TextToImageGAN
from keras_t2i.cli.main import main
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.normalization import standardizations_of
from keras_t2i.recipes.recipe import FINE_TUNING_MINUTES
from keras_t2i.text import PrecomputedEmbeddings
from keras_t2i.training.entry import INPUTS
from keras_t2i.training.gan_training import GANTraining
from keras_t2i.training.model_files import fine_tuning_recipe
from keras_t2i.training.model_files import networks_learned_from
from keras_t2i.training.run_folder import RunFolder
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import killed_after
from tests.cli.run_states import lines_of
from tests.tiny_models import tiny_text_encoder

_SHIPPED = "gan_int_cls_plus_flowers"


@pytest.fixture
def source(gan_run, tmp_path):
    """A copy, which tests may remove."""
    return shutil.copytree(gan_run, tmp_path / "source")


def _train(*options):
    return main(["train", *(str(option) for option in options)])


def _begun(folder, data, model, **changes):
    """The GAN of a training before its first step."""
    recipe = fine_tuning_recipe(str(model)).override(**changes)
    given = {"data": str(data), "model": str(model)}
    paths = {**dict.fromkeys(INPUTS[Recipe]), **given}
    return GANTraining(RunFolder(folder), recipe, paths).gan


def _equal(network, other):
    return all(
        np.array_equal(own, expected)
        for own, expected in zip(
            network.get_weights(), other.get_weights(), strict=True
        )
    )


def test_it_begins_with_the_trained_networks(data, source, tmp_path):
    trained = keras.saving.load_model(source / "model.keras")
    gan = _begun(tmp_path / "run", data, source)
    for name in ("generator", "discriminator", "ema_generator", "text_encoder"):
        assert _equal(getattr(gan, name), getattr(trained, name)), name
    assert not _equal(gan.generator, gan.ema_generator)
    assert not gan.text_encoder.trainable
    # The optimizers are new, and so is the count that the average follows.
    assert int(gan.steps_trained) == 0 < int(trained.steps_trained)
    assert int(gan.generator_optimizer.iterations) == 0
    # Forty steps of the image noise have passed.
    assert gan.recipe == trained.recipe.override(
        minutes=FINE_TUNING_MINUTES, image_noise=0.5 * 0.5 ** (40 / 6000)
    )
    # A folder of `save_to_preset` does as well, and what is no part of the
    # networks may differ.
    trained.save_to_preset(tmp_path / "preset")
    gan = _begun(
        tmp_path / "other", data, tmp_path / "preset", batch_size=4, seed=3
    )
    assert _equal(gan.generator, trained.generator)
    assert (gan.recipe.batch_size, gan.seed) == (4, 3)


@pytest.mark.usefixtures("eagerly")
def test_the_run(data, source, tmp_path, capsys, checkpoints_every):
    checkpoints_every(2)
    # Trainings of other files have left embeddings with it.
    without = shutil.ignore_patterns("embeddings-*")
    data = shutil.copytree(data, tmp_path / "data", ignore=without)
    before = contents(source)
    out = tmp_path / "run"
    options = ["--data", data, "--from", source]
    assert _train(*options, "--steps", 3, "--out", out) == 0
    config = json.loads((out / "config.json").read_text())
    assert set(config["inputs"]) == {"data", "model"}
    assert config["inputs"]["model"]["path"] == str(source)
    assert len(config["inputs"]["model"]["digest"]) == 64
    started_with = json.loads((source / "config.json").read_text())["recipe"]
    assert config["recipe"] == {
        **started_with,
        "steps": 3,
        "image_size": 32,
        "image_noise": pytest.approx(0.5, abs=0.01),
    }
    # The embeddings of the captions lie with the data set.
    (embeddings,) = data.glob("embeddings-*")
    assert (embeddings / "manifest.json").is_file()
    assert contents(source) == before
    trained = keras.saving.load_model(source / "model.keras")
    tuned = keras.saving.load_model(out / "model.keras")
    assert not _equal(tuned.generator, trained.generator)
    assert _equal(tuned.text_encoder, trained.text_encoder)
    assert int(tuned.steps_trained) == 3
    # It goes on from its checkpoint, whatever has become of the other run.
    killed = killed_after(2, out, tmp_path / "killed")
    shutil.rmtree(source)
    assert _train("--out", killed, "--resume") == 0
    assert_same_state(killed / "model.keras", out / "model.keras")
    assert lines_of(killed) == lines_of(out)
    capsys.readouterr()
    options = ["--out", out, "--resume", "--from", data]
    assert _train(*options, "--steps", 4) == 2
    assert "--from must" in capsys.readouterr().err


def test_what_a_gan_has_learned_from_is_known(tmp_path):
    def config(name, recipe=None, **inputs):
        folder = tmp_path / name
        folder.mkdir()
        inputs = {key: {"path": str(path)} for key, path in inputs.items()}
        values = {"recipe": recipe or {}, "inputs": inputs}
        (folder / "config.json").write_text(json.dumps(values))
        return str(folder)

    text = config("text", {"image_encoder": "efficientnet_lite2"})
    first = config("first", text_encoder=text)
    tuned = config("tuned", model=config("between", model=first))
    assert networks_learned_from(tuned) == ["efficientnet_lite2"]
    # A GAN can also give its text encoder alone.
    encoded = config("encoded", text_encoder=first)
    assert networks_learned_from(encoded) == ["efficientnet_lite2"]
    assert networks_learned_from(_SHIPPED) == ["efficientnet_lite0"]
    tuned = config("flowers", model=_SHIPPED)
    assert networks_learned_from(tuned) == ["efficientnet_lite0"]
    assert (
        networks_learned_from(config("itself", model=tmp_path / "itself")) == []
    )
    assert (
        networks_learned_from("http://localhost:8501/v1/models/flowers") == []
    )


def test_the_gan_of_the_package(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(data, tmp_path / "data")
    gan = _begun(tmp_path / "run", data, _SHIPPED)
    shipped = TextToImageGAN.from_preset(_SHIPPED)
    for name in ("generator", "ema_generator", "text_encoder"):
        assert _equal(getattr(gan, name), getattr(shipped, name)), name
    (expected,) = standardizations_of(shipped.generator)
    for member in members_of(gan.discriminator):
        for layer in standardizations_of(member):
            np.testing.assert_array_equal(layer.mean, expected.mean)
    assert gan.recipe.minutes == FINE_TUNING_MINUTES
    assert gan.recipe.feature_network == "efficientnet_lite0"


def test_what_does_not_fit(data, text_run, source, tmp_path, error_of):
    def line_of(*options):
        out = tmp_path / "run"
        line = error_of("train", "--data", data, "--out", out, *options)
        assert not out.exists()
        return line

    assert "--from must name a run folder or a .keras file, or be a" in (
        line_of("--from", tmp_path / "nothing")
    )
    assert (
        "--from has settings of its own. Received: also --preset gan_cls"
        in (line_of("--from", source, "--preset", "gan_cls"))
    )
    line = line_of("--preset", _SHIPPED, "--text-encoder", text_run)
    assert f"Fine-tune it by --from {_SHIPPED}, or name gan_int_cls_plus." in (
        line
    )
    assert "Received: also --text-encoder" in (
        line_of("--from", source, "--text-encoder", text_run)
    )
    line = line_of("--from", source, "--width", 8)
    assert "--width must be that of --from, 4, whose" in line
    assert "Received: 8. Leave it out" in line
    line = line_of("--from", text_run)
    assert "--from must name a text-to-image GAN" in line


def test_a_gan_that_cannot_be_trained_on(data, source, tmp_path, error_of):
    gan = keras.saving.load_model(source / "model.keras")
    path = tmp_path / "gan.keras"
    options = ["--data", data, "--out", tmp_path / "run", "--from", path]
    without = PrecomputedEmbeddings(gan.text_encoder.embedding_dim)
    TextToImageGAN(
        gan.generator, gan.discriminator, without, recipe=gan.recipe
    ).save(path)
    assert "A --from that reads no texts is trained with --text-embeddings" in (
        error_of("train", *options)
    )
    TextToImageGAN(gan.generator, gan.discriminator, gan.text_encoder).save(
        path
    )
    assert "--from must be a GAN that was made from a recipe" in (
        error_of("train", *options)
    )


def test_the_devices_are_those_of_this_machine(tmp_path):
    recipe = Recipe().override(width=2, image_size=32, strategy="mirrored")
    gan = TextToImageGAN.from_preset(
        "gan_int_cls", image_size=32, width=2, text_encoder=tiny_text_encoder()
    )
    gan.recipe = recipe
    gan.save_to_preset(tmp_path / "preset")
    assert fine_tuning_recipe(str(tmp_path / "preset")).strategy == "none"
