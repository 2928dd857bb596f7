import json
import os

import keras
import pytest

from keras_t2i import Recipe
from keras_t2i import TextRecipe
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.version import __version__

_RECIPE = Recipe().override(width=4, batch_size=8, steps=20)
_INPUTS = {
    "data": {"path": "data", "digest": "d1"},
    "text_encoder": {"path": "text", "digest": "d2"},
}
_PATHS = {"data": "data", "text_encoder": "text", "text_embeddings": None}
_NOT_GIVEN = dict.fromkeys(_PATHS)
# A config of before there were recipes.
_EARLIER = {
    "command": "train",
    "options": {
        "data": "data",
        "text_encoder": "text",
        "preset": "gan_int_cls",
        "width": 4,
        "batch_size": 8,
        "epochs": None,
        "steps": 20,
        "minutes": None,
        "end_to_end": False,
        "strategy": "none",
        "precision": "float32",
        "keep_best": None,
        "seed": 0,
    },
    "versions": {"keras_t2i": "0.1.0"},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    run = RunFolder(tmp_path / "deep" / "run")
    run.write_config(_RECIPE, _INPUTS)
    return run


def _lines(*steps):
    return [
        json.dumps({"step": step, "seconds": step / 10, "loss": 0.5}) + "\n"
        for step in steps
    ]


# === A folder to make ===


@pytest.mark.parametrize("make", [False, True])
def test_new_or_empty_folder(tmp_path, make):
    if make:
        (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").check_free()
    assert (tmp_path / "run").exists() == make


def test_folder_with_a_run(run):
    with pytest.raises(
        ValueError, match="^`out` must.*/run', which holds a run.*`resume=True`"
    ):
        run.check_free()


def test_folder_of_a_run_that_was_killed_at_once(tmp_path):
    (tmp_path / ".tmp-config.json").touch()
    RunFolder(tmp_path).check_free()


@pytest.mark.parametrize(
    ("kind", "found"), [("folder", "holds other files"), ("file", "is a file")]
)
def test_folder_with_other_files(tmp_path, kind, found):
    path = tmp_path / "run"
    if kind == "folder":
        path.mkdir()
        (path / "notes.txt").touch()
    else:
        path.touch()
    with pytest.raises(
        ValueError, match=f"^`out` must.*which {found}. Name another"
    ) as error:
        RunFolder(path).check_free()
    assert "resume" not in str(error.value)


def test_a_run_that_came_and_went_meanwhile(tmp_path):
    """Another process may train while this one extracts its embeddings."""
    run, other = (RunFolder(tmp_path / "run") for _ in range(2))
    run.check_free()
    other.check_free()
    other.write_config(_RECIPE, _INPUTS)
    config = other.config.read_text()
    del other  # Its lock ends.
    with pytest.raises(ValueError, match="which holds a run.*`resume"):
        run.write_config(_RECIPE.override(width=8), _INPUTS)
    assert run.config.read_text() == config


# === config.json ===


def test_config(run):
    config = json.loads(run.config.read_text())
    assert config["command"] == "train"
    assert config["recipe"] == _RECIPE.to_dict()
    assert config["inputs"] == _INPUTS
    assert config["versions"]["keras_t2i"] == __version__
    assert config["versions"]["keras"] == keras.__version__
    assert set(config["versions"]) == {
        "keras_t2i",
        "keras",
        "tensorflow",
        "numpy",
        "python",
    }
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


@pytest.fixture(params=["recipe", "options"])
def any_run(run, request):
    """A run of now, and one of before there were recipes."""
    if request.param == "options":
        run.config.write_text(json.dumps(_EARLIER))
    return run


def test_what_a_run_was_started_with(any_run):
    recipe, options = any_run.started_with(Recipe)
    assert recipe == _RECIPE
    assert options["data"] == "data" and options["text_encoder"] == "text"
    assert options["discriminator_width"] == 4
    assert Recipe.from_run(any_run.path) == _RECIPE


def test_resume_finds_the_inputs(any_run):
    assert any_run.resumed(_RECIPE, _NOT_GIVEN) == (_RECIPE, _PATHS)


@pytest.mark.parametrize(
    "duration", [{"epochs": 3}, {"steps": 40}, {"minutes": 0.5}]
)
def test_resume_with_another_duration(any_run, duration):
    recipe = _RECIPE.override(**duration)
    assert any_run.resumed(recipe, _NOT_GIVEN) == (recipe, _PATHS)


def test_resume_with_the_same_inputs(any_run):
    assert any_run.resumed(_RECIPE, _PATHS) == (_RECIPE, _PATHS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("discriminator_width", 8, "`discriminator_width` 8, started with 4"),
        ("batch_size", 16, "`batch_size` 16, started with 8"),
        ("end_to_end", True, "`end_to_end=True`, started without it"),
        ("keep_best", "recall", "`keep_best` recall, started without it"),
        ("image_noise_half_life", None, "no `image_noise_half_life`, .* 6000"),
    ],
)
def test_resume_with_another_recipe(any_run, name, value, message):
    with pytest.raises(
        ValueError, match=f"only `epochs`, `steps` and `minutes`.*{message}"
    ):
        any_run.resumed(_RECIPE.override(**{name: value}), _NOT_GIVEN)


def test_resume_without_an_option_that_the_run_was_started_with(run):
    run.write_config(_RECIPE.override(end_to_end=True), _INPUTS)
    with pytest.raises(ValueError, match="no `end_to_end`, started with it."):
        run.resumed(_RECIPE, _NOT_GIVEN)


def test_resume_with_another_input(any_run, tmp_path):
    with pytest.raises(ValueError, match="embeddings` e, started without it"):
        any_run.resumed(_RECIPE, {**_NOT_GIVEN, "text_embeddings": "e"})
    # A run that knows its digest compares that, in `check_unchanged`.
    moved = tmp_path / "moved"
    moved.mkdir()
    given = {**_NOT_GIVEN, "data": str(moved)}
    if any_run.digest("data") is None:
        with pytest.raises(ValueError, match="moved, started with data"):
            any_run.resumed(_RECIPE, given)
        return
    _, paths = any_run.resumed(_RECIPE, given)
    assert paths == {**_PATHS, "data": str(moved)}
    with pytest.raises(ValueError, match="`data` must be as it was.*/moved', "):
        any_run.check_unchanged({"data": {"path": str(moved), "digest": "d3"}})
    any_run.check_unchanged({"data": {"path": str(moved), "digest": "d1"}})


def test_resume_with_another_name_of_the_same_path(any_run):
    for path in ("./data", os.path.abspath("data")):
        any_run.resumed(_RECIPE, {**_NOT_GIVEN, "data": path})


def test_resume_without_data_that_are_gone(any_run):
    os.rmdir("data")
    with pytest.raises(
        ValueError, match="not there. Give its new path as `data`"
    ):
        any_run.resumed(_RECIPE, _NOT_GIVEN)


@pytest.mark.parametrize("inputs", [[], {"data": []}, {"data": {}}, 3])
def test_inputs_of_another_kind(run, inputs):
    config = json.loads(run.config.read_text())
    run.config.write_text(json.dumps({**config, "inputs": inputs}))
    assert run.digest("data") is None


def test_what_a_checkpoint_has(run):
    assert not run.has_read("data", "data")
    run.checkpoints.mkdir()
    (run.checkpoints / "step-00000010.keras").touch()
    assert run.has_read("data", "data")
    assert not run.has_read("data", "other")


def test_an_input_that_has_changed(run):
    changed = {**_INPUTS, "data": {"path": "data", "digest": "d3"}}
    with pytest.raises(ValueError, match="`data` must be as it was.*'data'"):
        run.write_config(_RECIPE, changed)
    run.write_config(_RECIPE, {**_INPUTS, "model": {"path": "m"}})
    # Runs of before have no digests.
    run.config.write_text(json.dumps(_EARLIER))
    run.write_config(_RECIPE, changed)


def test_a_config_of_before_becomes_one_of_now(run):
    run.config.write_text(json.dumps(_EARLIER))
    recipe, _ = run.resumed(_RECIPE, _NOT_GIVEN)
    run.write_config(recipe, _INPUTS)
    config = json.loads(run.config.read_text())
    assert "options" not in config
    assert config["recipe"] == _RECIPE.to_dict()


@pytest.mark.parametrize("kind", ["nothing", "folder", "file"])
def test_resume_without_a_run(tmp_path, kind):
    path = tmp_path / "run"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    with pytest.raises(
        ValueError, match="^`resume`.*/run', which holds no run"
    ):
        RunFolder(path).resumed(_RECIPE, _NOT_GIVEN)


def test_resume_a_run_of_another_command(run):
    with pytest.raises(
        ValueError, match="a run of `train-text`. Received: .*a run of `train`"
    ):
        run.resumed(TextRecipe(), _NOT_GIVEN)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"command": "tr',
        "[]",
        "3",
        "{}",
        '{"command": "train", "options": []}',
        '{"command": "train", "options": {"width": 4}}',
    ],
)
def test_resume_with_a_damaged_config(run, content):
    run.config.write_text(content)
    with pytest.raises(ValueError, match="config.json must be the JSON that a"):
        run.resumed(_RECIPE, _NOT_GIVEN)


# === One process at a time ===


def test_two_trainings_in_one_folder(run):
    other = RunFolder(run.path)
    for enter in (
        other.lock,
        lambda: other.write_config(_RECIPE, _INPUTS),
        lambda: other.resumed(_RECIPE, _NOT_GIVEN),
    ):
        with pytest.raises(ValueError, match="no other process trains"):
            enter()
    # No file is left of it.
    assert [file.name for file in run.path.iterdir()] == ["config.json"]


def test_the_lock_ends_with_the_run(tmp_path):
    RunFolder(tmp_path).lock()
    run = RunFolder(tmp_path)
    run.lock()
    run.lock()


# === metrics.jsonl ===


def test_cut_metrics(run):
    run.metrics.write_text("".join(_lines(10, 20, 30, 40)))
    assert run.seconds_until(20) == 2.0
    run.cut_metrics(20)
    assert run.metrics.read_text() == "".join(_lines(10, 20))


def test_cut_metrics_between_lines(run):
    run.metrics.write_text("".join(_lines(10, 20, 30)))
    assert run.seconds_until(25) == 2.0
    run.cut_metrics(25)
    assert run.metrics.read_text() == "".join(_lines(10, 20))


def test_cut_metrics_drops_the_end_of_a_training_between_lines(run):
    run.metrics.write_text("".join(_lines(10, 20, 25)))
    # Its time counts, its line is to be part of the next one.
    assert run.seconds_until(25) == 2.5
    run.cut_metrics(25)
    assert run.metrics.read_text() == "".join(_lines(10, 20))


def test_cut_metrics_keeps_the_end_of_a_training_that_is_over(run):
    run.metrics.write_text("".join(_lines(10, 20, 25)))
    assert run.seconds_until(25) == 2.5
    run.cut_metrics(25, is_over=True)
    assert run.metrics.read_text() == "".join(_lines(10, 20, 25))
    run.cut_metrics(20, is_over=True)
    assert run.metrics.read_text() == "".join(_lines(10, 20))


@pytest.mark.parametrize(
    "rest", ['{"step": 30, "sec', '{"step": 30', "{", "\0\0\0"]
)
def test_cut_metrics_with_a_part_of_a_line(run, rest):
    run.metrics.write_text("".join(_lines(10, 20)) + rest)
    assert run.seconds_until(30) == 2.0
    run.cut_metrics(30)
    assert run.metrics.read_text() == "".join(_lines(10, 20))


def test_cut_metrics_to_nothing(run):
    run.metrics.write_text("".join(_lines(10, 20)))
    assert run.seconds_until(0) == 0.0
    run.cut_metrics(0)
    assert run.metrics.read_text() == ""


def test_cut_metrics_that_are_not_there(run):
    assert run.seconds_until(10) == 0.0
    run.cut_metrics(10)
    assert not run.metrics.exists()


def test_seconds_until(run):
    assert run.seconds_until(20) == 0.0
    run.metrics.write_text("".join(_lines(10, 20, 30)))
    assert [run.seconds_until(step) for step in (9, 20, 25, 99)] == [
        *(0.0, 2.0, 2.0, 3.0),
    ]


def test_measured_until(run):
    assert run.measured_until(30, "val_recall") == []
    lines = [
        {"step": 10, "seconds": 1.0},
        {"step": 20, "seconds": 2.0, "val_recall": 0.5},
        {"step": 30, "seconds": 3.0, "val_recall": 0.25, "val_coverage": 1.0},
        {"step": 40, "seconds": 4.0, "val_recall": 0.75},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run.metrics.write_text(text + '{"step": 50, "val_re')
    assert run.measured_until(39, "val_recall") == [(20, 0.5), (30, 0.25)]
    assert run.measured_until(60, "val_recall")[2:] == [(40, 0.75)]
    assert run.measured_until(60, "val_coverage") == [(30, 1.0)]


# === Checkpoints ===


def test_last_step(run):
    assert run.last_step() == 0
    run.checkpoints.mkdir()
    for name in (
        "step-00000090.keras",
        "step-00000100.keras",
        ".tmp-step-00000110.keras",
        "notes.txt",
    ):
        (run.checkpoints / name).write_text(name)
    assert run.last_step() == 100


def test_publish_model(run):
    run.checkpoints.mkdir()
    for step in (90, 100):
        path = run.checkpoints / f"step-{step:08d}.keras"
        path.write_text(f"model {step}")
    run.model.write_text("model 80")
    run.publish_model()
    assert run.model.read_text() == "model 100"
    assert not list(run.path.glob(".*"))


def test_publish_best(run):
    run.checkpoints.mkdir()
    (run.checkpoints / "step-00000090.keras").write_text("model 90")
    run.best.write_text("model 110, after the last checkpoint")
    run.publish_best(90)
    assert run.best.read_text() == "model 90"
    with pytest.raises(ValueError, match="no '.*/step-00000080.keras'. Start"):
        run.publish_best(80)
    assert run.best.read_text() == "model 90"
    run.publish_best(None)
    assert not run.best.exists()
    run.publish_best(None)
    assert not list(run.path.glob(".*"))
