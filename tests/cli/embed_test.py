import io
import os
import re
import shutil

import numpy as np
import pytest

from keras_t2i.cli.main import main
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.files import locked_folder
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.training.model_files import load_text_encoder
from tests.cli.conftest import contents

pytestmark = pytest.mark.usefixtures("loaded_once")


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
    assert captured.err == (
        "unknown: 1 captions have characters that the text encoder does not "
        "know: 1 of all 43 characters\n"
    )
    embeddings = np.load(out)
    assert embeddings.dtype == np.float32
    expected = embed_texts(load_text_encoder(text_run), captions)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(embeddings[0], embeddings[2])
    assert [path.name for path in out.parent.iterdir()] == ["embeddings.npy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.npy"], "one of captions, .* and --data.*Received: none"),
        (
            ["a rose", "--data", "DATA", "--out", "a.npy"],
            "one of captions, .*Received: 1 captions and --data",
        ),
        (
            ["a rose", "--captions", "a.txt", "--out", "a.npy"],
            "one of captions, .*Received: 1 captions and --captions",
        ),
        (["--captions", "none.txt", "--out", "a.npy"], "none.txt"),
        (
            ["--data", "DATA", "--from", "a.npz", "--out", "a"],
            "one of --text-encoder and --from. Received: both",
        ),
        (
            ["a rose", "--layout", "stackgan", "--out", "a.npy"],
            "are for a data set. Received: no --data",
        ),
        (["a rose", " ", "--out", "a.npy"], "some text. Received: ' '"),
        (["{}", "--out", "a.npy"], "some text. Received: '{}'"),
        (["a rose", "--out", "a.txt"], "must name a .npy or .npz.*'a.txt'"),
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


# === Captions of a file ===


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_captions_of_a_file(text_run, tmp_path, monkeypatch, capsys, source):
    captions = ["a red flower", "ein Blümchen \ufffd", "\u2028 x", "a" * 202]
    content = "\ufeff" + "\r\n".join(captions) + "\n"
    content = content.encode().replace("\ufffd".encode(), b"\xff")
    path = tmp_path / "captions.txt"
    path.write_bytes(content)
    if source == "stdin":
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        path = "-"
    out = tmp_path / "out" / "a.npz"
    argv = ["embed", "--captions", str(path), "--text-encoder", str(text_run)]
    assert main([*argv, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"embeddings: {out}\n"
    assert captured.err == (
        "cut: 1 captions are longer than the 201 characters that are read\n"
        "unknown: 2 captions have characters that the text encoder does not "
        "know: 3 of all 230 characters\n"
    )
    with np.load(out) as arrays:
        assert arrays["captions"].tolist() == captions
        expected = embed_texts(load_text_encoder(text_run), captions)
        np.testing.assert_allclose(
            arrays["embeddings"], expected, rtol=1e-5, atol=1e-6
        )


def test_captions_in_utf16(text_run, tmp_path):
    argv = ["embed", "--captions", str(tmp_path / "a.txt"), "--text-encoder"]
    argv += [str(text_run), "--out", str(tmp_path / "a.npz")]
    text = "a red flower\r\nein Bl\u00fcmchen\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16"))
    assert main(argv) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["captions"].tolist() == text.splitlines()


def test_captions_without_end(text_run, tmp_path, error_of, monkeypatch):
    argv = ["--text-encoder", text_run, "--out", tmp_path / "a.npy"]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_text("a" * 10_001)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**36)
    (tmp_path / "utf16").write_bytes("a rose".encode("utf-16-le"))
    for path, message in {
        "/dev/zero": "/dev/zero: is no regular file",
        tmp_path / "pipe": "pipe: is no regular file",
        tmp_path / "sparse": "sparse: has 68,719,476,736 bytes, more than",
        tmp_path / "long": "long, which has 10,001 characters",
        tmp_path / "utf16": "is no UTF-8 text, as a third of it are NUL",
    }.items():
        assert message in error_of("embed", "--captions", path, *argv)


def test_another_process_that_writes_there(data, text_run, tmp_path, error_of):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".tmp-left").symlink_to(data)
    argv = ["embed", "--data", data, "--text-encoder", text_run, "--out", out]
    with locked_folder(out):
        assert "no other process writes to" in error_of(*argv)
    assert main([str(argument) for argument in argv]) == 0
    assert not (out / ".tmp-left").is_symlink()


def test_lines_that_are_no_captions(text_run, tmp_path, error_of):
    path = tmp_path / "captions.txt"
    argv = ["embed", "--captions", path, "--text-encoder", text_run]
    for content in ("a\n\nb\n", "", "a\n{}"):
        path.write_text(content)
        line = error_of(*argv, "--out", tmp_path / "a.npy")
        number = 1 if not content else 2
        assert f"in line {number} of {path}" in line
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b" * 1025, "1025 characters, the last 'b', in caption (line) 2."),
        ("b\0", "2 characters, the last '\\x00', in caption (line) 2."),
    ],
    ids=["long", "NUL"],
)
def test_captions_that_an_array_can_not_hold(
    text_run, tmp_path, error_of, text, message
):
    path = tmp_path / "captions.txt"
    path.write_text(f"a\n{text}\n{'c' * 1024}\n")
    argv = ["embed", "--captions", path, "--text-encoder", text_run]
    assert message in error_of(*argv, "--out", tmp_path / "out" / "a.npz")
    assert not (tmp_path / "out").exists()
    argv = [str(argument) for argument in argv]
    assert main([*argv, "--out", str(tmp_path / "a.npy")]) == 0
    assert np.load(tmp_path / "a.npy").shape == (3, 256)
    # As many characters as there may be.
    path.write_text("c" * 1024)
    assert main([*argv, "--out", str(tmp_path / "a.npz")]) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["captions"].tolist() == ["c" * 1024]


# === Embeddings of others ===


def test_import(data, tmp_path, capsys):
    ids = [
        id
        for split in ("train", "val", "test")
        for id in PreparedExamples(data, split).text_ids()
    ]
    source = tmp_path / "clip.npz"
    arrays = {id: np.full(3, n, "f4") for n, id in enumerate(ids)}
    np.savez(source, **arrays, more=np.ones(3))
    out = tmp_path / "deep" / "embeddings"
    argv = ["embed", "--data", str(data), "--from", str(source)]
    assert main([*argv, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"embeddings: {out}\n"
    assert captured.err.splitlines()[-1] == (
        "not used: embeddings of 1 images that the data set does not have"
    )
    examples = PreparedExamples(data, "test")
    rows = ExtractedEmbeddings(out, examples).read(2)
    np.testing.assert_array_equal(rows, [arrays[examples.text_ids()[2]]])


def test_import_without_all_images(data, tmp_path, error_of):
    source = tmp_path / "clip.npz"
    np.savez(source, more=np.ones(3))
    out = tmp_path / "out"
    line = error_of("embed", "--data", data, "--from", source, "--out", out)
    assert "without 60 of them: 'train-000000', 'train-000001'" in line
    assert not out.exists()


def test_stackgan_layout(data, text_run, tmp_path, capsys):
    out = tmp_path / "birds"
    argv = ["embed", "--data", str(data), "--text-encoder", str(text_run)]
    argv += ["--out", str(out), "--layout", "stackgan"]
    assert main(argv) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        f"{folder}/{name}.pickle"
        for folder in ("test", "train")
        for name in ("char-CNN-RNN-embeddings", "class_info", "filenames")
    ]
    # And back again: all of it is there, in the same order.
    back = tmp_path / "back"
    argv = ["embed", "--data", str(data), "--from", str(out)]
    assert main([*argv, "--out", str(back)]) == 0
    shards = tmp_path / "shards"
    argv = ["embed", "--data", str(data), "--text-encoder", str(text_run)]
    assert main([*argv, "--out", str(shards)]) == 0
    for path in shards.glob("*.tfrecord"):
        assert path.read_bytes() == (back / path.name).read_bytes()
