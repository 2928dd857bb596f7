import functools
import re

import pytest
from PIL import Image

from keras_t2i.callbacks import RunRecorder
from keras_t2i.cli import demo
from keras_t2i.cli.main import main
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.recipes.base_recipe import presets
from keras_t2i.training import runner
from keras_t2i.training.model_files import load_gan


@pytest.fixture
def small(monkeypatch):
    """The same, on fewer images, for seconds instead of minutes."""
    monkeypatch.setitem(
        presets("text_encoder")["char_cnn_rnn_features"], "batch_size", 8
    )
    monkeypatch.setattr(demo, "_NUM_IMAGES", 60)
    monkeypatch.setattr(demo, "_TEXT_MINUTES", 0.002)
    monkeypatch.setattr(demo, "_FEATURES_SIZE", 32)
    small = {"generator_width": 4, "discriminator_width": 4, "batch_size": 8}
    for name, value in {**small, "feature_network": None}.items():
        monkeypatch.setitem(presets("gan")["gan_int_cls_plus"], name, value)
    monkeypatch.setattr(demo, "_NUM_EVALUATED", 5)
    # Trainings of minutes end where metrics are recorded.
    recorder = functools.partial(RunRecorder, every_steps=1)
    monkeypatch.setattr(runner, "RunRecorder", recorder)


@pytest.mark.usefixtures("eagerly")
def test_demo(small, tmp_path, capsys):
    out = tmp_path / "deep" / "demo"
    assert main(["demo", "--minutes", "0.002", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == f"run folder: {out}/gan"
    assert lines[1] == "images that show what an unseen caption says, of 5:"
    assert lines[-1] == f"captions and images: {out}/images.png"
    for line in lines[2:-1]:
        assert re.fullmatch(
            r"  (petal|center) (color|count|shape): [\d.]+%", line
        )
    announced = re.findall(r"^(\d of 4): ", captured.err, re.MULTILINE)
    assert announced == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert read_manifest(out / "data").name == "blooms"
    assert load_gan(out / "gan").image_size == 64
    with Image.open(out / "images.png") as grid:
        assert grid.height == 5 * 136


def test_out_that_is_taken(small, tmp_path, error_of):
    (tmp_path / "notes.txt").touch()
    line = error_of("demo", "--out", tmp_path)
    assert "--out must name a new or empty folder" in line
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_that_is_there(tmp_path, error_of):
    (tmp_path / "config.json").touch()
    line = error_of("demo", "--out", tmp_path)
    assert line.endswith("which holds a run. Name another one.")


def test_an_earlier_demo(tmp_path, error_of):
    (tmp_path / "data").mkdir()
    line = error_of("demo", "--out", tmp_path)
    assert "which holds an earlier demo. Remove it" in line
