import dataclasses
import json

import pytest

from keras_t2i.datasets.manifest import EmbeddingManifest
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest

_FILE = "train-00000-of-00001.tfrecord"
_SPLITS = {"train": Split(3, 7, (Shard(_FILE, "0" * 64, 3),))}
_MANIFEST = EmbeddingManifest(16, "1" * 64, "2" * 64, _SPLITS)


@pytest.fixture
def folder(tmp_path):
    write_manifest(tmp_path, _MANIFEST)
    (tmp_path / _FILE).write_bytes(b"records")
    return tmp_path


def _change(folder, **values):
    path = folder / "manifest.json"
    kept = {**json.loads(path.read_text()), **values}
    kept = {name: value for name, value in kept.items() if value is not ...}
    path.write_text(json.dumps(kept))


def test_round_trip(folder):
    assert read_embedding_manifest(folder) == _MANIFEST
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        _FILE,
    ]


def test_no_manifest(tmp_path):
    with pytest.raises(ValueError, match="`keras-t2i embed`.*which has none"):
        read_embedding_manifest(tmp_path)


def test_embeddings_are_no_data_set(folder):
    with pytest.raises(ValueError, match="prepare`.*which holds embeddings"):
        read_manifest(folder)


def test_a_data_set_is_no_embeddings(folder):
    write_manifest(folder, Manifest("flowers", 64, (), _SPLITS))
    with pytest.raises(ValueError, match="embed`.*which is a data set itself"):
        read_embedding_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_not_json(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match="must be (a )?JSON.*Received"):
        read_embedding_manifest(folder)


@pytest.mark.parametrize(
    "key", ["embedding_dim", "data_fingerprint", "fingerprint", "splits"]
)
def test_missing_key(folder, key):
    _change(folder, **{key: ...})
    with pytest.raises(ValueError, match=f"must have `{key}`. Received"):
        read_embedding_manifest(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("embedding_dim", 0, "at least 1. Received: 0"),
        ("embedding_dim", 1.5, "of type int. Received: 1.5"),
        ("fingerprint", 3, "of type str. Received: 3"),
        ("data_fingerprint", None, "of type str. Received: None"),
        ("splits", {}, "at least one split"),
    ],
)
def test_wrong_value(folder, key, value, message):
    _change(folder, **{key: value})
    with pytest.raises(ValueError, match=message):
        read_embedding_manifest(folder)


def test_missing_shard(folder):
    (folder / _FILE).unlink()
    with pytest.raises(ValueError, match=f"files that are there.*{_FILE}"):
        read_embedding_manifest(folder)


# === The fingerprint of a data set ===

_DATA = Manifest("a", 64, ("rose",), _SPLITS)
_OTHER_SHARD = Shard(_FILE, "1" * 64, 3)


def test_fingerprint_is_of_the_contents():
    other_names = dataclasses.replace(_DATA, name="b")
    assert data_fingerprint(other_names) == data_fingerprint(_DATA)
    assert len(data_fingerprint(_DATA)) == 64


@pytest.mark.parametrize(
    "splits",
    [
        {"train": Split(3, 7, (_OTHER_SHARD,))},
        {"test": _SPLITS["train"]},
        {**_SPLITS, "test": _SPLITS["train"]},
        {"train": Split(6, 14, _SPLITS["train"].shards * 2)},
    ],
)
def test_other_contents_have_another_fingerprint(splits):
    other = dataclasses.replace(_DATA, splits=splits)
    assert data_fingerprint(other) != data_fingerprint(_DATA)


def test_fingerprint_knows_the_order_of_shards_but_not_of_splits():
    two = (_SPLITS["train"].shards[0], _OTHER_SHARD)

    def fingerprint(shards, names):
        splits = {name: Split(6, 14, shards) for name in names}
        return data_fingerprint(dataclasses.replace(_DATA, splits=splits))

    assert fingerprint(two, "ab") == fingerprint(two, "ba")
    assert fingerprint(two, "ab") != fingerprint(two[::-1], "ab")
