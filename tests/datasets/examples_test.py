import dataclasses
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_t2i.datasets.examples import ArrayExamples
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import extract_embeddings
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import noise_image
from tests.datasets.prepared_sets import write_prepared_set
from tests.tiny_models import randomize
from tests.tiny_models import tiny_text_encoder

_CLASSES = ("rose", "tulip", "lily")


def _examples(first, count):
    """Images that have one, two or three captions and any of the classes."""
    return [
        example(
            number,
            class_id=number % 3,
            captions=tuple(f"{number} {w}" for w in "abc"[: number % 3 + 1]),
        )
        for number in range(first, first + count)
    ]


_SPLITS = {
    "train": [_examples(0, 4), _examples(4, 2)],
    "val": [_examples(6, 2)],
    "test": [_examples(8, 3)],
}


@pytest.fixture(scope="module")
def encoder():
    return tiny_text_encoder()


@pytest.fixture(scope="module")
def made(encoder, tmp_path_factory):
    """`data` and `embeddings`, made once; each test damages its own copy."""
    folder = tmp_path_factory.mktemp("made")
    write_prepared_set(folder / "data", _SPLITS, _CLASSES)
    extract_embeddings(encoder, folder / "data", folder / "embeddings")
    return folder


@pytest.fixture
def data(made, tmp_path):
    return shutil.copytree(made / "data", tmp_path / "data")


@pytest.fixture
def embeddings(made, tmp_path):
    return shutil.copytree(made / "embeddings", tmp_path / "embeddings")


# === PreparedExamples ===


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train", range(6)),
        ("val", range(6, 8)),
        ("test", range(8, 11)),
        ("trainval", range(8)),
    ],
)
def test_prepared(data, split, numbers):
    examples = PreparedExamples(data, split)
    assert examples.image_size == 8
    assert len(examples) == len(numbers)
    assert examples.class_ids.tolist() == [number % 3 for number in numbers]
    expected = _examples(numbers[0], len(numbers))
    assert [examples.read(i) for i in range(len(examples))] == expected
    assert [id.decode() for id in examples.ids] == [e.id for e in expected]


def test_trainval_without_val(tmp_path):
    write_prepared_set(tmp_path, {"train": [_examples(0, 4)]}, _CLASSES)
    assert len(PreparedExamples(tmp_path, "trainval")) == 4


def test_split_that_is_called_trainval(tmp_path):
    splits = {
        "train": [_examples(0, 4)],
        "val": [_examples(4, 2)],
        "trainval": [_examples(6, 1)],
    }
    write_prepared_set(tmp_path, splits, _CLASSES)
    assert len(PreparedExamples(tmp_path, "trainval")) == 1


@pytest.mark.parametrize("split", ["tst", ["train"], None])
def test_no_such_split(data, split):
    with pytest.raises(
        ValueError,
        match=r"`split` must be one of \['test', 'train', 'trainval', 'val'\] "
        f".*Received: {re.escape(repr(split))}",
    ):
        PreparedExamples(data, split)


def test_without_classes(tmp_path):
    splits = {"train": [[example(number) for number in range(3)]]}
    write_prepared_set(tmp_path, splits)
    assert PreparedExamples(tmp_path, "train").class_ids is None


def test_other_splits_may_be_damaged(data):
    file = "test-00000-of-00001.tfrecord"
    (data / file).write_bytes(b"damaged")
    assert len(PreparedExamples(data, "trainval")) == 8
    with pytest.raises(ValueError, match=file):
        PreparedExamples(data, "test")


def test_damaged_manifest(data):
    (data / "manifest.json").write_text('{"name": "tiny", ')
    with pytest.raises(ValueError, match="manifest.json: must be JSON"):
        PreparedExamples(data, "train")


# === ExtractedEmbeddings ===


@pytest.mark.parametrize("split", ["train", "val", "test", "trainval"])
def test_embeddings_of_each_caption(data, embeddings, encoder, split):
    examples = PreparedExamples(data, split)
    extracted = ExtractedEmbeddings(embeddings, examples)
    assert extracted.embedding_dim == 16
    for index in range(len(examples)):
        captions = examples.read(index).captions
        values = extracted.read(index)
        assert values.dtype == np.float32
        np.testing.assert_allclose(
            values, embed_texts(encoder, captions), rtol=1e-5, atol=1e-6
        )


def _refused(path, examples, message):
    with pytest.raises(ValueError, match=message) as error:
        ExtractedEmbeddings(path, examples)
    assert str(path) in str(error.value)


def test_embeddings_of_other_images(embeddings, tmp_path):
    splits = {**_SPLITS, "train": [_examples(20, 4), _examples(24, 2)]}
    write_prepared_set(tmp_path / "other", splits, _CLASSES)
    examples = PreparedExamples(tmp_path / "other", "train")
    _refused(embeddings, examples, "of this data set.* Extract them again")


def test_embeddings_of_the_same_images_in_another_order(embeddings, tmp_path):
    first, second = _SPLITS["train"]
    splits = {**_SPLITS, "train": [first[::-1], second]}
    write_prepared_set(tmp_path / "other", splits, _CLASSES)
    examples = PreparedExamples(tmp_path / "other", "train")
    _refused(embeddings, examples, "of this data set.* Extract them again")


def test_embeddings_whose_shards_were_put_in_another_order(data, embeddings):
    path = embeddings / "manifest.json"
    values = json.loads(path.read_text())
    values["splits"]["train"]["shards"].reverse()
    del values["checksum"]
    path.write_text(json.dumps(values))
    examples = PreparedExamples(data, "train")
    _refused(embeddings, examples, "in their order.* Extract them again")


def test_embeddings_of_more_images(embeddings, tmp_path):
    splits = {**_SPLITS, "train": [_SPLITS["train"][0]]}
    write_prepared_set(tmp_path / "other", splits, _CLASSES)
    examples = PreparedExamples(tmp_path / "other", "train")
    _refused(embeddings, examples, "of this data set.* Extract them again")


def test_embeddings_of_other_captions_of_images_of_the_same_name(
    embeddings, tmp_path
):
    # As with `blooms` drawn from another seed, or captions that were corrected.
    train = [
        [dataclasses.replace(e, captions=("another",)) for e in part]
        for part in _SPLITS["train"]
    ]
    write_prepared_set(tmp_path / "other", {**_SPLITS, "train": train})
    examples = PreparedExamples(tmp_path / "other", "train")
    _refused(embeddings, examples, "of this data set.* Extract them again")


def test_embeddings_without_a_split(data, encoder, tmp_path):
    write_prepared_set(tmp_path / "part", {"train": _SPLITS["train"]})
    out = tmp_path / "embeddings"
    extract_embeddings(encoder, tmp_path / "part", out)
    _refused(
        out,
        PreparedExamples(data, "trainval"),
        r"splits \['train', 'val'\]. Received: none of \['val'\]",
    )


def test_prepared_images_instead_of_embeddings(data):
    examples = PreparedExamples(data, "train")
    _refused(data, examples, "which is a data set itself")


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "empty"])
def test_damaged_embeddings(data, embeddings, damage):
    file = embeddings / "train-00001-of-00002.tfrecord"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[40] ^= 4
    elif damage == "truncate":
        del content[-7:]
    elif damage == "empty":
        content.clear()
    file.write_bytes(content)
    if damage == "remove":
        file.unlink()
    examples = PreparedExamples(data, "train")
    _refused(embeddings, examples, file.name)


def test_shard_of_other_embeddings(data, embeddings, tmp_path):
    other = tiny_text_encoder()
    randomize(other)
    extract_embeddings(other, data, tmp_path / "other")
    file = "val-00000-of-00001.tfrecord"
    (tmp_path / "other" / file).replace(embeddings / file)
    _refused(embeddings, PreparedExamples(data, "val"), f"{file}.*another data")


def test_damaged_manifest_of_embeddings(data, embeddings):
    path = embeddings / "manifest.json"
    values = json.loads(path.read_text())
    values["embedding_dim"] = "16"
    path.write_text(json.dumps(values))
    examples = PreparedExamples(data, "train")
    _refused(embeddings, examples, "`embedding_dim`.* Received: '16'")


# === ArrayExamples ===


def _array_examples(images=None, captions=None, class_ids=None, image_size=8):
    if images is None:
        images = np.stack([noise_image(0), noise_image(1)])
    if captions is None:
        captions = [["a", "b"], ["c"]]
    return ArrayExamples(images, captions, class_ids, image_size)


def test_arrays():
    examples = _array_examples(class_ids=[1, 0])
    assert len(examples) == 2
    assert examples.image_size == 8
    assert examples.class_ids.tolist() == [1, 0]
    for index, captions in enumerate([("a", "b"), ("c",)]):
        read = examples.read(index)
        assert read.captions == captions
        pixels = np.asarray(Image.open(io.BytesIO(read.image)))
        np.testing.assert_array_equal(pixels, noise_image(index))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"images": np.zeros((2, 8, 8, 3), "float32")},
            r"uint8 of shape.*Received: float32 of shape \(2, 8, 8, 3\)",
        ),
        (
            {"images": np.zeros((2, 8, 8), "uint8")},
            r"uint8 of shape.*Received: uint8 of shape \(2, 8, 8\)",
        ),
        (
            {"images": np.zeros((2, 8, 8, 4), "uint8")},
            r"uint8 of shape.*Received: uint8 of shape \(2, 8, 8, 4\)",
        ),
        ({"captions": [["a"]]}, "Received: 2 images and 1 lists of captions"),
        ({"captions": 5}, "Received: 2 images and 0 lists of captions"),
        (
            {"images": np.zeros((0, 8, 8, 3), "uint8"), "captions": []},
            "at least one. Received: 0 images and 0 lists",
        ),
        ({"captions": ["a rose", ["b"]]}, "a list.*Received: 'a rose' for im"),
        ({"captions": [["a"], []]}, r"Received: \[\] for image 1"),
        ({"captions": [["a"], ["b", " "]]}, "Received: ' ' for image 1"),
        ({"captions": [["a"], ["{}"]]}, "Received: '{}' for image 1"),
        (
            {"class_ids": [1]},
            r"of shape \(2,\). Received: int64 of shape \(1,\)",
        ),
        ({"class_ids": [[1], [2]]}, r"Received: int64 of shape \(2, 1\)"),
        ({"image_size": 11}, r"at least 11 pixels.*Received: 10 x 12"),
    ],
)
def test_arrays_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        _array_examples(**arguments)
