import re
import shutil

import numpy as np
import pytest

from keras_t2i.cli.main import main
from keras_t2i.cli.model_files import load_text_encoder
from keras_t2i.datasets.embedding_manifest import read_embedding_manifest
from keras_t2i.text.embeddings import embed_texts
from tests.cli.conftest import contents


def test_data_set(data, text_run, tmp_path, capsys):
    out = tmp_path / "deep" / "embeddings"
    argv = ["--data", str(data), "--text-encoder", str(text_run)]
    assert main(["embed", *argv, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"embeddings: {out}\n"
    assert captured.err.splitlines()[-1].startswith("Embedding: 60 of 60 ima")
    manifest = read_embedding_manifest(out)
    assert manifest.embedding_dim == 256
    assert manifest.splits["train"].num_captions == 480


@pytest.mark.parametrize("kind", ["run", "file", "gan"])
def test_captions(text_run, gan_run, tmp_path, capsys, kind):
    source = {
        "run": text_run,
        "file": text_run / "model.keras",
        "gan": gan_run,
    }[kind]
    out = tmp_path / "deep" / "embeddings.npy"
    captions = ["a red flower", "ein blaues Blümchen", "a red flower"]
    argv = ["embed", *captions, "--text-encoder", str(source)]
    assert main([*argv, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"embeddings: {out}\n"
    assert captured.err == ""
    embeddings = np.load(out)
    assert embeddings.dtype == np.float32
    expected = embed_texts(load_text_encoder(text_run), captions)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(embeddings[0], embeddings[2])
    assert [path.name for path in out.parent.iterdir()] == ["embeddings.npy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.npy"], "either captions or --data.*0 captions and no"),
        (
            ["a rose", "--data", "DATA", "--out", "a.npy"],
            "either captions or --data DIR. Received: 1 captions and --data",
        ),
        (["a rose", " ", "--out", "a.npy"], "some text. Received: ' '"),
        (["{}", "--out", "a.npy"], "some text. Received: '{}'"),
        (["a rose", "--out", "a.txt"], "--out must name a .npy.*'a.txt'"),
        (["--data", "nowhere", "--out", "a"], "`keras-t2i prepare`.*nowhere"),
    ],
)
def test_bad_input(
    data, text_run, tmp_path, monkeypatch, error_of, options, message
):
    monkeypatch.chdir(tmp_path)
    options = [str(data) if o == "DATA" else o for o in options]
    line = error_of("embed", *options, "--text-encoder", text_run)
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["a.npy", "deep/a.npy"])
def test_missing_text_encoder(tmp_path, error_of, out):
    line = error_of(
        *["embed", "a rose", "--text-encoder", tmp_path / "none"],
        *["--out", tmp_path / out],
    )
    assert "--text-encoder must name a run folder or a .keras file" in line
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_taken(data, text_run, tmp_path, error_of):
    out = shutil.copytree(data, tmp_path / "out")
    line = error_of(
        *["embed", "--data", data, "--text-encoder", text_run, "--out", out]
    )
    assert "must not hold a data set or embeddings yet" in line
    assert contents(out) == contents(data)
