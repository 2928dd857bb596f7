import numpy as np
import PIL.Image

from keras_t2i import TextToImageGAN
from keras_t2i.cli.main import main

NAME = "gan_int_cls_plus_flowers"


def test_a_preset_with_weights_is_a_model(tmp_path):
    out = tmp_path / "flower.png"
    argv = ["generate", "a pink flower", "--model", NAME, "--out", str(out)]
    assert main([*argv, "--seed", "3"]) == 0
    (expected,) = TextToImageGAN.from_preset(NAME).generate(
        "a pink flower", seed=3
    )
    np.testing.assert_array_equal(PIL.Image.open(out), expected)


def test_what_is_there_by_that_name_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text("no model")
    argv = ["generate", "a pink flower", "--model", NAME, "--out", "x.png"]
    assert main(argv) == 2
    assert "must name a model saved by this library" in capsys.readouterr().err
