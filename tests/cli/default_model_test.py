import functools
import os

import numpy as np
from PIL import Image

from keras_t2i import TextToImageGAN
from keras_t2i.cli.main import main
from keras_t2i.pretrained.network_files import pretrained_size
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.training import model_files

_CAPTION = "A pink flower, with a yellow center!"
_NAME = "gan_int_cls_plus_flowers"


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    lines = lines[lines.index(f"{_NAME} (default)") :]
    assert f"  size: {pretrained_size(_NAME) / 1e6:.1f} MB" in lines
    assert "  images: 64x64 pixels" in lines
    assert "  data: oxford_flowers" in lines
    score = next(line for line in lines if "Frechet distance" in line)
    measured, real = score.split(": ")[1].strip(")").split(" (")
    assert float(measured) > float(real) > 0


def test_neither_model_nor_file_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # The commands share what takes each of them seconds to make.
    monkeypatch.setattr(
        model_files, "load_gan", functools.cache(model_files.load_gan)
    )
    gan = TextToImageGAN.from_preset(_NAME)
    stem = "a-pink-flower-with-a-yellow-center"
    # What is there is kept.
    for seed, file in enumerate((f"{stem}.png", f"{stem}-2.png")):
        assert main(["generate", _CAPTION, "--seed", str(seed)]) == 0
        assert capsys.readouterr().out == f"images: {file}\n"
        with Image.open(file) as image:
            np.testing.assert_array_equal(
                image, gan.generate([_CAPTION], seed=seed)[0]
            )
    assert main(["interpolate", "red", "blue", "--steps", "2"]) == 0
    assert capsys.readouterr().out == "images: red-to-blue.png\n"
    assert main(["transfer", "red", "--style", f"{stem}.png"]) == 0
    assert capsys.readouterr().out == "images: red.png\n"
    assert main(["embed", _CAPTION]) == 0
    assert capsys.readouterr().out == f"embeddings: {stem}.npy\n"
    np.testing.assert_array_equal(
        np.load(f"{stem}.npy"), embed_texts(gan.text_encoder, [_CAPTION])
    )
    assert main(["generate", "?!"]) == 0
    assert capsys.readouterr().out == "images: caption.png\n"
    assert main(["generate", "../../etc", "a rose"]) == 0
    assert capsys.readouterr().out == "images: etc.png\n"
    assert sorted(os.listdir()) == [
        f"{stem}-2.png",
        f"{stem}.npy",
        f"{stem}.png",
        "caption.png",
        "etc.png",
        "red-to-blue.png",
        "red.png",
    ]


def test_a_data_set_needs_a_folder(tmp_path, capsys):
    assert main(["embed", "--data", str(tmp_path)]) == 2
    assert "needs --out, the folder" in capsys.readouterr().err


def test_a_preset_with_weights_is_a_model(tmp_path):
    out = tmp_path / "flower.png"
    argv = ["generate", "a pink flower", "--model", _NAME, "--out", str(out)]
    assert main([*argv, "--seed", "3"]) == 0
    (expected,) = TextToImageGAN.from_preset(_NAME).generate(
        "a pink flower", seed=3
    )
    np.testing.assert_array_equal(Image.open(out), expected)


def test_what_is_there_by_that_name_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / _NAME).write_text("no model")
    argv = ["generate", "a pink flower", "--model", _NAME, "--out", "x.png"]
    assert main(argv) == 2
    assert "must name a model saved by this library" in capsys.readouterr().err
