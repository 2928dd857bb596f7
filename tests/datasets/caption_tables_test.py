import pytest

from keras_t2i.datasets.caption_tables import read_csv
from keras_t2i.datasets.caption_tables import read_json_lines


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
        (b'a.jpg,"a "red" rose"', "is not CSV ("),
        (b"a.jpg," + b"x" * 10_001, "has 10,001 characters, more than"),
        (b"a.jpg," + b"x" * 200_000, "is not CSV (field larger than"),
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


@pytest.mark.parametrize(
    "rows",
    [
        b'a.jpg,"red\nb.jpg,blue\nc.jpg,green\n',
        b'a.jpg,"red\nb.jpg,blue\nc.jpg,"green\n',
        b'a.jpg,"red\nb.jpg,blue"\nc.jpg,green\n',
        b'a.jpg,"red\nb.jpg,"blue"\nc.jpg,green\n',
        b'"a.jpg,red\nb.jpg,blue\nc.jpg",green\n',
        b'a.jpg,"red\n' + b"b.jpg,blue\n" * 20_000,
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_quotation_mark_that_takes_in_other_rows(tmp_path, rows, line_end):
    content = b"file,caption\nd.jpg,white\n" + rows
    with pytest.raises(ValueError, match="csv.*Received: one in line 3"):
        _read(tmp_path, "captions.csv", content.replace(b"\n", line_end))


def test_a_header_with_such_a_mark(tmp_path):
    with pytest.raises(ValueError, match="Received: one in line 1"):
        _read(tmp_path, "captions.csv", b'"file,caption\na.jpg,red\n')


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "metadata.jsonl",
            b'{"file_name": "a.jpg", "text": "red", "id": 3}\n'
            b'{"image": "a.jpg", "text": "blue"}\n',
        ),
        ("metadata.csv", b"text,file_name\nred,a.jpg\nblue,a.jpg\n"),
        ("captions.csv", b"image,caption\ra.jpg,red\ra.jpg,blue\r"),
    ],
)
def test_tables_of_others(tmp_path, name, content):
    assert _read(tmp_path, name, content) == ({"a.jpg": ["red", "blue"]}, [])


def test_damaged_captions_are_left_out_alone(tmp_path):
    content = b'{"file": "a.jpg", "captions": ["red", "\xbe", "\\ud83c"]}\n'
    content += b'{"file": "b.jpg", "caption": "' + b"x" * 200_000 + b'"}'
    captions_of, unusable = _read(tmp_path, "captions.jsonl", content)
    assert captions_of == {"a.jpg": ["red"]}
    path = tmp_path / "captions.jsonl"
    assert unusable == [
        f"{path} line 1: is not UTF-8 (caption 2)",
        f"{path} line 1: is not UTF-8 (caption 3)",
        f"{path} line 2: has 200,000 characters, more than the 10,000 that a "
        "caption may have",
    ]


def test_utf16(tmp_path):
    content = "file,caption\r\na.jpg,weiß\r\n".encode("utf-16")
    assert _read(tmp_path, "captions.csv", content)[0] == {"a.jpg": ["weiß"]}
