import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_t2i.cli.main import main
from keras_t2i.export import Client
from keras_t2i.pretrained.network_files import pretrained_size
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.training import model_files
from tests.pretrained_gans import pretrained_gan

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
    gan = pretrained_gan(_NAME)
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


@pytest.mark.large
def test_neither_model_nor_folder_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 0
    folder = f"saved_models/{_NAME}"
    printed = capsys.readouterr().out
    assert printed == f"SavedModel: {tmp_path / folder / '1'}\n"
    expected = pretrained_gan(_NAME).generate(_CAPTION, seed=0)
    served = Client(folder).generate(_CAPTION).astype(int)
    np.testing.assert_allclose(served, expected, atol=1)


_NO_NETWORK = """
import socket

def refuse(*arguments):
    raise OSError("no network")

socket.socket.connect = socket.getaddrinfo = refuse
"""


def test_without_network_and_home(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(_NO_NETWORK)
    root = pathlib.Path(__file__).parents[2]
    environment = {
        "PATH": os.environ["PATH"],
        # Neither is there, nor can it be made.
        **{"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"},
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
    }
    process = subprocess.run(
        [sys.executable, "-m", "keras_t2i", "generate", _CAPTION],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    file = "a-pink-flower-with-a-yellow-center.png"
    assert process.stdout == f"images: {file}\n"
    expected = pretrained_gan(_NAME).generate(_CAPTION, seed=0)
    np.testing.assert_array_equal(Image.open(tmp_path / file), expected[0])


def test_a_data_set_needs_a_folder(tmp_path, capsys):
    assert main(["embed", "--data", str(tmp_path)]) == 2
    assert "needs --out, the folder" in capsys.readouterr().err


def test_a_preset_with_weights_is_a_model(tmp_path):
    out = tmp_path / "flower.png"
    argv = ["generate", "a pink flower", "--model", _NAME, "--out", str(out)]
    assert main([*argv, "--seed", "3"]) == 0
    (expected,) = pretrained_gan(_NAME).generate("a pink flower", seed=3)
    np.testing.assert_array_equal(Image.open(out), expected)


def test_what_is_there_by_that_name_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / _NAME).write_text("no model")
    argv = ["generate", "a pink flower", "--model", _NAME, "--out", "x.png"]
    assert main(argv) == 2
    assert "must name a model saved by this library" in capsys.readouterr().err
