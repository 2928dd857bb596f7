import dataclasses
import gc
import os
import resource
import shutil
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.shards import EmbeddedCaptions
from keras_t2i.datasets.shards import ShardReader
from keras_t2i.files import file_sha256
from tests.datasets.prepared_sets import write_shard_file

_COLUMNS = {"class_id": tf.int64, "id": tf.string}


def _records(first, count):
    return [
        CaptionedImage(f"id{i}", bytes([i]) * (10 * i), ("text",), i % 3)
        for i in range(first, first + count)
    ]


@pytest.fixture
def shards(tmp_path):
    return [
        write_shard_file(
            tmp_path / f"{name}.tfrecord",
            [record.serialize() for record in _records(first, count)],
        )
        for name, first, count in (("a", 1, 4), ("b", 5, 1), ("c", 6, 3))
    ]


def _refused(folder, shards, message):
    with pytest.raises(ValueError, match=message) as error:
        ShardReader(folder, shards, _COLUMNS)
    assert "\n" not in str(error.value)


def _rehashed(folder, shard):
    """The shard as a manifest would have it that was made after the damage."""
    return dataclasses.replace(shard, sha256=file_sha256(folder / shard.file))


def test_records_of_all_shards_in_order(tmp_path, shards):
    reader = ShardReader(tmp_path, shards, _COLUMNS)
    assert len(reader) == 8
    read = [CaptionedImage.parse(reader.read(i)) for i in range(8)]
    assert read == _records(1, 8)


def test_records_in_any_order(tmp_path, shards):
    reader = ShardReader(tmp_path, shards, _COLUMNS)
    for index in (7, 0, 4, 7, 3):
        record = CaptionedImage.parse(reader.read(np.int64(index)))
        assert record.id == f"id{index + 1}"


def test_shards_in_another_order(tmp_path, shards):
    reader = ShardReader(tmp_path, shards[::-1], _COLUMNS)
    assert CaptionedImage.parse(reader.read(0)).id == "id6"
    assert reader.columns["id"].tolist() == [
        f"id{i}".encode() for i in (6, 7, 8, 5, 1, 2, 3, 4)
    ]


def test_columns(tmp_path, shards):
    columns = ShardReader(tmp_path, shards, _COLUMNS).columns
    assert columns["class_id"].tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    assert columns["id"].tolist() == [f"id{i}".encode() for i in range(1, 9)]


def test_more_records_than_are_scanned_at_a_time(tmp_path):
    records = [
        CaptionedImage(str(i), b"x" * (i % 7), ("a",), i).serialize()
        for i in range(2500)
    ]
    shard = write_shard_file(tmp_path / "many.tfrecord", records)
    reader = ShardReader(tmp_path, [shard], _COLUMNS)
    assert reader.columns["class_id"].tolist() == list(range(2500))
    assert [reader.read(i) for i in (0, 1023, 1024, 2048, 2499)] == [
        records[i] for i in (0, 1023, 1024, 2048, 2499)
    ]


def test_missing_file(tmp_path, shards):
    (tmp_path / "b.tfrecord").unlink()
    _refused(tmp_path, shards, r"b\.tfrecord must be there.*no such file")


def test_flipped_byte(tmp_path, shards):
    path = tmp_path / "c.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    _refused(
        tmp_path,
        shards,
        rf"c\.tfrecord must have the SHA-256.*{shards[2].sha256}\. Received: "
        rf"{file_sha256(path)}\. The file is damaged",
    )
    # Even where the manifest fits the damage, TFRecord's own checksums tell.
    shards[2] = _rehashed(tmp_path, shards[2])
    _refused(tmp_path, shards, r"c\.tfrecord must hold the records.*not be rea")


@pytest.mark.parametrize("kept", [0, 5, -1])
def test_truncated_file(tmp_path, shards, kept):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(path.read_bytes()[:kept])
    _refused(tmp_path, shards, r"a\.tfrecord must have the SHA-256")
    shards[0] = _rehashed(tmp_path, shards[0])
    _refused(tmp_path, shards, r"a\.tfrecord must hold (the|4) rec")


def test_shard_of_another_data_set(tmp_path, shards):
    other = tmp_path / "other"
    other.mkdir()
    write_shard_file(
        other / "a.tfrecord", [record.serialize() for record in _records(2, 4)]
    )
    shutil.copy(other / "a.tfrecord", tmp_path / "a.tfrecord")
    _refused(tmp_path, shards, r"a\.tfrecord.*from another data set")


def test_shards_swapped(tmp_path, shards):
    os.rename(tmp_path / "a.tfrecord", tmp_path / "d.tfrecord")
    os.rename(tmp_path / "b.tfrecord", tmp_path / "a.tfrecord")
    os.rename(tmp_path / "d.tfrecord", tmp_path / "b.tfrecord")
    _refused(tmp_path, shards, r"a\.tfrecord must have the SHA-256")


def test_other_number_of_records(tmp_path, shards):
    shards[0] = dataclasses.replace(shards[0], num_records=5)
    _refused(
        tmp_path,
        shards,
        r"a\.tfrecord must hold 5 records.*Received: 4 records",
    )


def test_no_tfrecords(tmp_path, shards):
    (tmp_path / "a.tfrecord").write_text("a text " * 10)
    shards[0] = _rehashed(tmp_path, shards[0])
    _refused(tmp_path, shards, r"a\.tfrecord must hold the records")


@pytest.mark.parametrize("record", [b"\xff\xff\xff", b""])
def test_records_of_something_else(tmp_path, record):
    shard = write_shard_file(tmp_path / "a.tfrecord", [record])
    _refused(tmp_path, [shard], r"a\.tfrecord must hold the records")


def test_memory_does_not_hold_the_files(tmp_path):
    num_records, size = 40, 2**19
    shards = []
    for number in range(2):
        records = [
            CaptionedImage(f"{number}-{i}", os.urandom(size), ("a",), i)
            for i in range(num_records // 2)
        ]
        path = tmp_path / f"{number}.tfrecord"
        shards.append(write_shard_file(path, [r.serialize() for r in records]))
    del records
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert total > 20 * 10**6
    tracemalloc.start()
    reader = ShardReader(tmp_path, shards, _COLUMNS)
    sizes = [len(reader.read(i)) for i in range(len(reader))]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(sizes) > size
    assert peak < 5 * 10**6


def _num_open(folder):
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.exists(link)]
    return sum(target.startswith(str(folder)) for target in targets)


def test_files_are_closed(tmp_path, shards):
    reader = ShardReader(tmp_path, shards, _COLUMNS)
    assert _num_open(tmp_path) == 3
    del reader
    assert _num_open(tmp_path) == 0


def test_more_shards_than_files_that_may_be_open(tmp_path, shards):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir("/proc/self/fd")))
    free = [number for number in range(len(used) + 20) if number not in used]
    # Twenty more at most. The scan opens one at a time.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[19] + 1, limits[1]))
    try:
        _refused(tmp_path, shards * 20, r"for the 60 of .*ulimit -n \d+`\.$")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    gc.collect()
    assert _num_open(tmp_path) == 0


_IMAGE = CaptionedImage(
    id="rose/blüte 1.jpg",
    image=b"\x89PNG\x00\xff",
    captions=("a red flower", "eine rote Blüte 🌹"),
    class_id=3,
)


def test_image_round_trip():
    assert CaptionedImage.parse(_IMAGE.serialize()) == _IMAGE


def test_image_without_class():
    example = CaptionedImage("1", b"image", ("a caption",))
    assert example.class_id == -1
    assert CaptionedImage.parse(example.serialize()) == example


def test_image_features():
    parsed = tf.io.parse_single_example(
        _IMAGE.serialize(),
        {
            "image": tf.io.FixedLenFeature([], tf.string),
            "captions": tf.io.RaggedFeature(tf.string),
            "class_id": tf.io.FixedLenFeature([], tf.int64),
            "id": tf.io.FixedLenFeature([], tf.string),
        },
    )
    assert parsed["image"].numpy() == b"\x89PNG\x00\xff"
    assert [text.decode() for text in parsed["captions"].numpy()] == [
        "a red flower",
        "eine rote Blüte 🌹",
    ]
    assert parsed["class_id"].numpy() == 3
    assert parsed["id"].numpy().decode() == "rose/blüte 1.jpg"


def test_embeddings_round_trip():
    values = np.array([[0.5, -1.25, 3.0], [1e-8, 2.0, np.pi]], np.float32)
    record = EmbeddedCaptions("a", values).serialize()
    parsed = EmbeddedCaptions.parse(record)
    assert parsed.id == "a"
    assert parsed.embeddings.dtype == np.float32
    np.testing.assert_array_equal(parsed.embeddings, values)


def test_embeddings_features():
    # Not contiguous, float64 and big-endian: written as little-endian float32.
    values = np.array([[1.0, 9.0, -2.0, 9.0]], ">f8")[:, ::2]
    parsed = tf.io.parse_single_example(
        EmbeddedCaptions("a", values).serialize(),
        {
            "embeddings": tf.io.FixedLenFeature([], tf.string),
            "num_captions": tf.io.FixedLenFeature([], tf.int64),
        },
    )
    assert parsed["embeddings"].numpy() == b"\0\0\x80\x3f\0\0\0\xc0"
    assert parsed["num_captions"].numpy() == 1


@pytest.mark.parametrize(
    "record",
    [_IMAGE, EmbeddedCaptions("a", np.zeros((2, 3), np.float32))],
    ids=["image", "embeddings"],
)
def test_same_bytes_each_time(record):
    assert len({record.serialize() for _ in range(5)}) == 1
