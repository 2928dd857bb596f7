import pickle

import numpy as np
import pytest

from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.text import extract_embeddings
from keras_t2i.text import write_stackgan_pickles
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.tiny_models import tiny_text_encoder

_NAMES = ("char-CNN-RNN-embeddings", "filenames", "class_info")


def _written(tmp_path, splits, class_names=()):
    data, embeddings = tmp_path / "data", tmp_path / "embeddings"
    write_prepared_set(data, splits, class_names)
    extract_embeddings(tiny_text_encoder(), data, embeddings)
    write_stackgan_pickles(data, embeddings, tmp_path / "out")
    return data, embeddings, tmp_path / "out"


def _load(folder, encoding="latin1"):
    """As GANs of the days of Python 2 are made to run on Python 3."""
    return [
        pickle.loads(
            (folder / f"{name}.pickle").read_bytes(), encoding=encoding
        )
        for name in _NAMES
    ]


@pytest.mark.parametrize("encoding", ["latin1", "bytes"])
def test_three_lists(tmp_path, encoding):
    splits = {
        "train": [[example(0, 1, ("a", "b")), example(1, 0, ("c", "d"))]],
        "val": [[example(2, 2, ("e",))]],
        "test": [[example(3, 1, ("f", "g", "h"))]],
    }
    data, embeddings, out = _written(tmp_path, splits, "xyz")
    rows, files, classes = _load(out / "train", encoding)
    expected = ["image-000", "image-001", "image-002"]
    if encoding == "bytes":
        expected = [name.encode() for name in expected]
    assert files == expected
    assert classes == [2, 1, 3]
    # One caption was written twice, so that all are of one shape.
    assert np.array(rows).shape == (3, 2, 16)
    examples = PreparedExamples(data, "trainval")
    extracted = ExtractedEmbeddings(embeddings, examples)
    np.testing.assert_array_equal(rows[0], extracted.read(0))
    np.testing.assert_array_equal(rows[2], extracted.read(2)[[0, 0]])
    assert rows[0].dtype == np.float32
    rows, files, classes = _load(out / "test")
    assert (rows[0].shape, files, classes) == ((3, 16), ["image-003"], [2])


def test_without_classes_and_with_names_of_all_kinds(tmp_path):
    images = [
        type(image)(id, image.image, image.captions)
        for id, image in zip(
            ("a/é.jpg", "Mr. b", "c.PNG"), map(example, range(3))
        )
    ]
    _, _, out = _written(tmp_path, {"train": [images]})
    _, files, classes = _load(out / "train")
    assert files == ["a/é", "Mr. b", "c"]
    assert classes == [1, 2, 3]
    assert [path.name for path in out.iterdir()] == ["train"]


def test_protocol_2_and_names_of_old(tmp_path):
    _, _, out = _written(tmp_path, {"train": [[example(0), example(1)]]})
    for name in _NAMES:
        content = (out / "train" / f"{name}.pickle").read_bytes()
        assert content.startswith(b"\x80\x02]")
        assert b"_core" not in content and b"_codecs" not in content


def test_out_that_is_taken(tmp_path):
    data, embeddings, out = _written(
        tmp_path, {"train": [[example(0), example(1)]]}
    )
    before = (out / "train" / "filenames.pickle").read_bytes()
    with pytest.raises(ValueError, match="no files in train yet. Received"):
        write_stackgan_pickles(data, embeddings, out)
    assert (out / "train" / "filenames.pickle").read_bytes() == before


def test_out_that_holds_other_things(tmp_path):
    out = tmp_path / "out"
    (out / "train").mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    _written(tmp_path, {"train": [[example(0)]], "test": [[example(1)]]})
    names = sorted(path.name for path in out.iterdir())
    assert names == ["notes.txt", "test", "train"]
    assert _load(out / "train")[1] == ["image-000"]


def test_damage_leaves_nothing(tmp_path):
    data, embeddings, out = tmp_path / "data", tmp_path / "e", tmp_path / "out"
    write_prepared_set(data, {"train": [[example(0)]], "test": [[example(1)]]})
    extract_embeddings(tiny_text_encoder(), data, embeddings)
    (shard,) = embeddings.glob("test-*")
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(ValueError, match="test-.* must have the SHA-256"):
        write_stackgan_pickles(data, embeddings, out)
    assert list(out.rglob("*")) == []


@pytest.mark.parametrize(
    "splits", [{"train": [0, 1]}, {"train": [0], "test": [1]}]
)
def test_names_that_differ_by_their_suffix(tmp_path, splits):
    images = [
        type(image)(id, image.image, image.captions)
        for id, image in zip(("a/1.jpg", "a/1.png"), map(example, range(2)))
    ]
    splits = {
        split: [[images[number] for number in numbers]]
        for split, numbers in splits.items()
    }
    message = "data must hold images .*Received: 'a/1.jpg' and 'a/1.png'"
    with pytest.raises(ValueError, match=message):
        _written(tmp_path, splits)
    assert not (tmp_path / "out").exists()


def test_without_embeddings_there_is_no_folder(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    write_prepared_set(data, {"train": [[example(0)]], "test": [[example(1)]]})
    with pytest.raises(ValueError, match="nowhere"):
        write_stackgan_pickles(data, tmp_path / "nowhere", out)
    assert not out.exists()
