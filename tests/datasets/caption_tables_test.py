import pytest

from keras_t2i.datasets.folder import read_csv
from keras_t2i.datasets.folder import read_json_lines


def _read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    reader = read_csv if name.endswith(".csv") else read_json_lines
    captions_of, unusable = reader(path)
    return captions_of, [str(error) for error in unusable]


def test_json_lines(tmp_path):
    captions_of, unusable = _read(
        tmp_path,
        "captions.jsonl",
        b'\xef\xbb\xbf{"file": "a.jpg", "captions": ["one", "two"]}\r\n\n'
        b'{"file": "./b//c.jpg", "caption": "wei\xc3\x9f", "more": 1}\n'
        b'{"file": "a.jpg", "caption": "three"}',
    )
    assert captions_of == {
        "a.jpg": ["one", "two", "three"],
        "b/c.jpg": ["weiß"],
    }
    assert unusable == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"file": "a.jpg", "caption": "\xe4"}', "is not UTF-8"),
        (b'{"file": "a.jpg", "caption": ', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'["a.jpg", "caption"]', "expected {"),
        (b'{"caption": "a"}', "expected {"),
        (b'{"file": "a.jpg"}', "expected {"),
        (b'{"file": 1, "caption": "a"}', "expected {"),
        (b'{"file": "a.jpg", "caption": null}', "expected {"),
        (b'{"file": "a.jpg", "captions": "a"}', "expected {"),
        (b'{"file": "a.jpg", "captions": ["a", 1]}', "expected {"),
    ],
)
def test_json_line_that_can_not_be_used(tmp_path, line, reason):
    good = b'{"file": "b.jpg", "caption": "b"}\n'
    captions_of, unusable = _read(
        tmp_path, "captions.jsonl", good + line + b"\n" + good
    )
    assert captions_of == {"b.jpg": ["b", "b"]}
    (error,) = unusable
    assert error.startswith(f"{tmp_path / 'captions.jsonl'} line 2: {reason}")


def test_csv(tmp_path):
    captions_of, unusable = _read(
        tmp_path,
        "captions.csv",
        b'\xef\xbb\xbfcaption,file,more\r\n"red, and\nround",a.jpg,1\r\n'
        b'blue, "./b.jpg",2\r\n\r\ngreen,a.jpg,3\r\n',
    )
    assert captions_of == {
        "a.jpg": ["red, and\nround", "green"],
        "b.jpg": ["blue"],
    }
    assert unusable == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a.jpg,\xe4", "is not UTF-8"),
        (b"a.jpg", "expected 2 columns"),
        (b"a.jpg,red, and round", "expected 2 columns"),
    ],
)
def test_csv_row_that_can_not_be_used(tmp_path, row, reason):
    captions_of, unusable = _read(
        tmp_path, "captions.csv", b"file,caption\n" + row + b"\nb.jpg,b\n"
    )
    assert captions_of == {"b.jpg": ["b"]}
    (error,) = unusable
    assert error.startswith(f"{tmp_path / 'captions.csv'} line 2: {reason}")


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", r"Received: \[\]"),
        (b"a.jpg,red\n", r"Received: \['a.jpg', 'red'\]"),
        (b"file;caption\n", r"Received: \['file;caption'\]"),
    ],
)
def test_csv_without_the_header(tmp_path, content, received):
    with pytest.raises(ValueError, match=f"header file,caption. {received}"):
        _read(tmp_path, "captions.csv", content)


def test_what_is_no_csv(tmp_path):
    content = b"file,caption\na.jpg," + b"x" * 200_000
    with pytest.raises(ValueError, match="must be a CSV file.*field larger"):
        _read(tmp_path, "captions.csv", content)
