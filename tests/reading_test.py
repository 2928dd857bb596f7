import os

import pytest

from keras_t2i.reading import UnusableFileError
from keras_t2i.reading import parse_json
from keras_t2i.reading import read_file
from keras_t2i.reading import read_json
from keras_t2i.reading import read_text
from keras_t2i.reading import walk


def test_a_regular_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_file(tmp_path / "a", 3) == b"abc"
    with pytest.raises(
        UnusableFileError, match="a: has 3 bytes, more than the"
    ):
        read_file(tmp_path / "a", 2)


def test_what_never_ends(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UnusableFileError, match="is no regular file"):
            read_file(path, 10)


def test_what_can_not_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", 10)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"),
        (b"a\xffb", "a\udcffb"),
        (b"a\0b", "a\0b"),
        ("\ufeffwei\u00df\r\n".encode("utf-16-be"), "wei\u00df\n"),
        # Half of a pair.
        (b"\xff\xfe\x3c\xd8a\0", "\ud83ca"),
    ],
)
def test_text(tmp_path, content, text):
    (tmp_path / "a").write_bytes(content)
    assert read_text(tmp_path / "a") == text
    (tmp_path / "a").write_bytes(b"\xff\xfe\x3c\xd8a\0")
    assert read_text(tmp_path / "a", errors="replace") == "\ufffda"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfea", "is not utf-16-le"),
        ("a rose".encode("utf-16-le"), "a third of it are NUL"),
        (bytes(100), "a third of it are NUL"),
    ],
)
def test_what_is_no_text(tmp_path, content, reason):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UnusableFileError, match=reason):
        read_text(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"[" * 200_000, b'"\xff"', b"{]"])
def test_damaged_json(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a")


def test_json_that_would_fill_the_memory():
    with pytest.raises(ValueError, match="more than 10,000,000 lists"):
        parse_json("[" + "{}," * 10_000_000 + "{}]")


def test_walk(tmp_path):
    for name in ("b/c", "a/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "e").touch()
    os.symlink(tmp_path / "a", tmp_path / "b" / "link")
    (tmp_path / ".git").mkdir()
    for name in (".git/f", "a/.DS_Store", "a/d/._e"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in walk(tmp_path)]
    assert found == ["a", "a/d", "a/d/e", "b", "b/c", "b/c/e", "b/link"]
    assert list(walk(tmp_path / "none")) == []
