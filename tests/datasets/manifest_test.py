import json

import pytest

from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest

_SHARDS = ("train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord")


@pytest.fixture
def manifest(tmp_path):
    """Is written to `tmp_path`, with shards that are no real ones."""
    shards = tuple(Shard(file, "0" * 64, 3) for file in _SHARDS)
    manifest = Manifest(
        name="flowers",
        image_size=64,
        class_names=("rose", "gänseblümchen"),
        splits={"train": Split(6, 20, shards)},
    )
    write_manifest(tmp_path, manifest)
    for file in _SHARDS:
        (tmp_path / file).write_bytes(b"records")
    return manifest


def _change(folder, *keys, to):
    """Replaces one value, or removes it if `to` is `...`."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    place = values
    for key in keys[:-1]:
        place = place[key]
    if to is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    path.write_text(json.dumps(values))


def test_round_trip(tmp_path, manifest):
    assert read_manifest(tmp_path) == manifest


def test_json(tmp_path, manifest):
    values = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert len(values.pop("checksum")) == 64
    assert values == {
        "name": "flowers",
        "image_size": 64,
        "class_names": ["rose", "gänseblümchen"],
        "splits": {
            "train": {
                "num_images": 6,
                "num_captions": 20,
                "shards": [
                    {"file": file, "sha256": "0" * 64, "num_records": 3}
                    for file in _SHARDS
                ],
            }
        },
    }


def test_no_flipped_bit_changes_what_is_read(tmp_path, manifest):
    path = tmp_path / "manifest.json"
    content = path.read_bytes()
    refused = 0
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            # As where the name of the checksum has changed.
            assert read_manifest(tmp_path) == manifest
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 7 * len(content)


def test_values_changed_by_hand(tmp_path, manifest):
    _change(tmp_path, "class_names", 0, to="lily")
    with pytest.raises(ValueError, match="manifest.json: `checksum`.*damaged"):
        read_manifest(tmp_path)


def test_a_manifest_of_an_earlier_version(tmp_path, manifest):
    _change(tmp_path, "checksum", to=...)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_no_manifest(tmp_path, folder):
    with pytest.raises(ValueError, match="keras-t2i prepare.*which has none"):
        read_manifest(tmp_path / folder)


def test_file_instead_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="/file', which has none"):
        read_manifest(tmp_path / "file")


@pytest.mark.parametrize(
    "content", [b"", b'{"name": ', b"\xe4", b"[" * 100_000]
)
def test_not_json(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match="manifest.json: must be JSON. Recei"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_not_an_object(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="must be a JSON object. Received"):
        read_manifest(tmp_path)


_TRAIN = ("splits", "train")
_SHARD = (*_TRAIN, "shards", 1)


@pytest.mark.parametrize(
    "keys",
    [
        ("name",),
        ("image_size",),
        ("class_names",),
        ("splits",),
        (*_TRAIN, "num_images"),
        (*_TRAIN, "num_captions"),
        (*_TRAIN, "shards"),
        (*_SHARD, "file"),
        (*_SHARD, "sha256"),
        (*_SHARD, "num_records"),
    ],
)
def test_missing_key(tmp_path, manifest, keys):
    _change(tmp_path, *keys, to=...)
    with pytest.raises(ValueError, match=f"must have `{keys[-1]}`. Received"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("name",), 1, "must be of type str. Received: 1"),
        (("image_size",), "64", "must be of type int. Received: '64'"),
        (("image_size",), 64.0, "must be of type int. Received: 64.0"),
        (("image_size",), True, "must be of type int. Received: True"),
        (("image_size",), 0, "must be at least 1. Received: 0"),
        (("class_names",), "rose", "must be of type list. Received: 'rose'"),
        (("class_names",), [1], r"a list of strings. Received: \[1\]"),
        (("splits",), [], r"must be of type dict. Received: \[\]"),
        (("splits",), {}, "at least one split. Received: {}"),
        (_TRAIN, 1, "must be of type dict. Received: 1"),
        ((*_TRAIN, "num_images"), 7, "of its shards, 6. Received: 7"),
        ((*_TRAIN, "num_images"), -1, "at least 1. Received: -1"),
        ((*_TRAIN, "num_captions"), 5, "at least 6. Received: 5"),
        ((*_TRAIN, "shards"), {}, "must be of type list. Received: {}"),
        (_SHARD, "a", r"shards\[1\]` must be a JSON object. Received: 'a'"),
        ((*_SHARD, "num_records"), 0, "at least 1. Received: 0"),
        ((*_SHARD, "sha256"), None, "must be of type str. Received: None"),
        ((*_SHARD, "sha256"), "00", "64 hexadecimal digits. Received: '00'"),
    ],
)
def test_wrong_value(tmp_path, manifest, keys, value, message):
    _change(tmp_path, *keys, to=value)
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "file", ["../a", "/etc/passwd", "a/b", "..", ".", "", "a\0b"]
)
def test_shard_elsewhere(tmp_path, manifest, file):
    _change(tmp_path, *_SHARD, "file", to=file)
    with pytest.raises(ValueError, match="bare name of a file in the same fol"):
        read_manifest(tmp_path)


def test_missing_shard(tmp_path, manifest):
    (tmp_path / _SHARDS[1]).unlink()
    with pytest.raises(ValueError, match=f"are there. Received: '{_SHARDS[1]}"):
        read_manifest(tmp_path)


def test_empty_shard(tmp_path, manifest):
    (tmp_path / _SHARDS[1]).write_bytes(b"")
    with pytest.raises(ValueError, match=f"'{_SHARDS[1]}', of 0 bytes"):
        read_manifest(tmp_path)
