import pytest

from keras_t2i.captions import is_empty_caption
from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.source import read_captions
from keras_t2i.reading import UnusableFileError


@pytest.mark.parametrize(
    "text",
    ["", " ", "\t\r\n", "{}", " {} ", "\u00a0\u2003", "\ufeff", " \ufeff{}"],
)
def test_empty(text):
    assert is_empty_caption(text)


@pytest.mark.parametrize("text", ["a", "{ }", "{}{}", "{a}", ".", "\ufffd"])
def test_not_empty(text):
    assert not is_empty_caption(text)


def test_usable_captions_are_stripped_and_otherwise_as_written():
    texts = ["\ufeff A  Red\tflower.\r", "{}", " ", "caf\ufffd \u2028 x"]
    assert usable_captions(texts) == (
        "A  Red\tflower.",
        "caf\ufffd \u2028 x",
    )


def test_captions_that_utf8_can_not_hold_are_left_out():
    assert usable_captions(["half \ud83c of an emoji", "a rose"]) == ("a rose",)


def test_is_utf8():
    assert is_utf8("\U0001f339 rose")
    assert not is_utf8("\udce4")


def test_read_captions(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"\xef\xbb\xbfred petals\r\n\r\n{}\r\n"
        b"wei\xc3\x9f\xe2\x80\xa8x \xef\xbf\xbd"
    )
    captions, left_out = read_captions(path)
    assert captions == ("red petals", "weiß\u2028x \ufffd")
    assert left_out == ()


@pytest.mark.parametrize("content", [b"", b"\n \n", b"{}\n{}\n"])
def test_no_usable_caption(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(UnusableFileError, match="a.txt: has no usable caption"):
        read_captions(path)


def test_not_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"g\xe4nsebl\xfcmchen")
    with pytest.raises(
        UnusableFileError,
        match=r"a.txt: has no usable caption \(.* line 1: is not UTF-8\)",
    ):
        read_captions(path)


def test_only_damaged_lines_are_left_out(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"a flower\na 3\xbe inch flower\n" + b"a" * 10_001 + b"\na rose"
    )
    captions, left_out = read_captions(path)
    assert captions == ("a flower", "a rose")
    assert [str(error) for error in left_out] == [
        f"{path} line 2: is not UTF-8",
        f"{path} line 3: has 10,001 characters, more than the 10,000 that a "
        "caption may have",
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_whatever_editor_wrote_them(tmp_path, encoding, line_end):
    path = tmp_path / "a.txt"
    path.write_bytes(f"a rose{line_end}weiß{line_end}".encode(encoding))
    assert read_captions(path) == (("a rose", "weiß"), ())


def test_missing_file(tmp_path):
    with pytest.raises(UnusableFileError, match="a.txt: No such file"):
        read_captions(tmp_path / "a.txt")
