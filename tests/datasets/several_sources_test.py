import pickle

import pytest

from keras_t2i.datasets.folder import CaptionedFolder
from keras_t2i.datasets.source import SeveralSources
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text


def _folder(root, *files):
    for file in files:
        write_image(root / f"{file}.jpg")
        write_text(root / f"{file}.txt", f"{file} of {root.name}")
    return CaptionedFolder(root)


def test_classes_and_images_are_named_by_their_source(tmp_path):
    both = SeveralSources(
        {
            "a": _folder(tmp_path / "a", "red/1", "blue/1"),
            "b": _folder(
                tmp_path / "b", "train/red/1", "train/x/1", "test/x/1"
            ),
        }
    )
    assert (both.name, both.class_names) == (
        "folder",
        ["a/blue", "a/red", "b/red", "b/x"],
    )
    assert both.notes == ["b: splits: the folders test, train"]
    copy = pickle.loads(pickle.dumps(both))
    records = {
        split: {r.id: r.class_id for r in (copy.read(key, 32) for key in keys)}
        for split, keys in both.splits().items()
    }
    assert records == {
        "train": {
            "a/blue/1.jpg": 0,
            "a/red/1.jpg": 1,
            "b/train/red/1.jpg": 2,
            "b/train/x/1.jpg": 3,
        },
        "test": {"b/test/x/1.jpg": 3},
    }


def test_without_classes(tmp_path):
    sources = {name: _folder(tmp_path / name, "1", "2") for name in "ab"}
    write_image(tmp_path / "b/3.jpg")
    sources["b"] = CaptionedFolder(tmp_path / "b")
    both = SeveralSources(sources)
    records = [both.read(key, 32) for key in both.splits()["train"]]
    assert [record.id for record in records] == [
        *("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")
    ]
    assert {record.class_id for record in records} == {-1}
    assert len(both.unusable) == 1


def test_classes_in_some_alone(tmp_path):
    sources = {
        "a": _folder(tmp_path / "a", "red/1", "blue/1"),
        "b": _folder(tmp_path / "b", "1"),
    }
    with pytest.raises(
        ValueError, match="Received: 'a' with classes, 'b' without. Prep"
    ):
        SeveralSources(sources)


def test_no_source():
    with pytest.raises(ValueError, match="at least one source.*Received: {}"):
        SeveralSources({})


def test_names_that_could_be_of_a_class(tmp_path):
    source = _folder(tmp_path / "a", "red/1", "blue/1")
    with pytest.raises(ValueError, match="no slash.*Received: 'a/b'"):
        SeveralSources({"a": source, "a/b": source})
