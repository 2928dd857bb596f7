import contextlib
import errno
import hashlib
import json
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.folder import CaptionedFolder
from keras_t2i.datasets.images import encode_png
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.oxford_flowers import OxfordFlowers
from keras_t2i.datasets.preparation import prepare
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.files import locked_folder
from keras_t2i.reading import UnusableFileError
from tests.datasets.raw_files import write_class_list
from tests.datasets.raw_files import write_flower
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text
from tests.full_disk import small_files

_TRAIN = "train-00000-of-00001.tfrecord"
_TEST = "test-00000-of-00001.tfrecord"


class Squares:
    """Squares of one color. The number of an image can mean trouble."""

    name = "squares"

    def __init__(self, troubles=None, seconds=0, class_names=("a", "b")):
        self.class_names = list(class_names)
        self.unusable = []
        self.numbers_read = []
        self._troubles = troubles or {}
        self._seconds = seconds

    def splits(self):
        return {
            "train": [(number,) for number in range(6)],
            "test": [(number,) for number in range(6, 10)],
        }

    def caption_file(self, key):
        return None

    def read(self, key, image_size):
        (number,) = key
        self.numbers_read.append(number)
        time.sleep(self._seconds)
        if number in self._troubles:
            raise self._troubles[number]
        pixels = np.full((image_size, image_size, 3), number, "uint8")
        return CaptionedImage(
            id=f"square {number}",
            image=encode_png(pixels),
            captions=tuple(f"{number}, {word}" for word in "xyz"),
            class_id=number % 2 if self.class_names else -1,
        )


def _broken(number):
    return UnusableFileError(f"{number}.png", "is broken")


def _contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def _records(folder, file):
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "captions": tf.io.RaggedFeature(tf.string),
        "class_id": tf.io.FixedLenFeature([], tf.int64),
        "id": tf.io.FixedLenFeature([], tf.string),
    }
    records = tf.data.TFRecordDataset(str(folder / file))
    return [tf.io.parse_single_example(r, features) for r in records]


@pytest.fixture
def flowers(tmp_path):
    root = tmp_path / "raw"
    for number in range(1, 9):
        write_flower(root, (number + 1) // 2, number)
    write_class_list(root, "train", [1, 2])
    write_class_list(root, "val", [3])
    write_class_list(root, "test", [4])
    return root


# === What is written ===


def test_oxford_flowers(tmp_path, flowers):
    out = tmp_path / "deep" / "out"
    preparation = prepare(OxfordFlowers(flowers), out, image_size=32)
    assert preparation.skipped == ()
    assert preparation.manifest == read_manifest(out)
    manifest = preparation.manifest
    assert (manifest.name, manifest.image_size) == ("oxford_flowers", 32)
    assert manifest.class_names == tuple(f"class_{n:05d}" for n in range(1, 5))
    sizes = {
        name: (split.num_images, split.num_captions)
        for name, split in manifest.splits.items()
    }
    assert sizes == {"train": (4, 8), "val": (2, 4), "test": (2, 4)}
    (shard,) = manifest.splits["test"].shards
    assert (shard.file, shard.num_records) == (_TEST, 2)
    digest = hashlib.sha256((out / _TEST).read_bytes()).hexdigest()
    assert shard.sha256 == digest
    record = _records(out, _TEST)[0]
    assert record["id"] == b"image_00007"
    assert record["class_id"] == 3
    assert list(record["captions"].numpy()) == [
        b"flower 7 of class 4",
        b"it is pretty",
    ]
    assert tf.io.decode_image(record["image"]).shape == (38, 48, 3)
    assert set(os.listdir(out)) == {
        "manifest.json",
        _TRAIN,
        "val-00000-of-00001.tfrecord",
        _TEST,
    }


def test_folder_without_classes(tmp_path):
    for number in range(10):
        write_image(tmp_path / f"raw/{number}.jpg")
        write_text(tmp_path / f"raw/{number}.txt", f"number {number}")
    preparation = prepare(CaptionedFolder(tmp_path / "raw"), tmp_path / "out")
    assert preparation.manifest.class_names == ()
    assert preparation.manifest.splits["train"].num_images == 9
    records = _records(tmp_path / "out", _TRAIN)
    assert {int(record["class_id"]) for record in records} == {-1}


def test_blooms(tmp_path):
    prepare(BloomsSource(20, seed=3), tmp_path / "out", image_size=32)
    records = _records(tmp_path / "out", "val-00000-of-00001.tfrecord")
    assert [record["id"].numpy() for record in records] == [
        b"val-000000",
        b"val-000001",
    ]
    assert tf.io.decode_png(records[0]["image"]).shape == (32, 32, 3)
    prepare(BloomsSource(20, seed=4), tmp_path / "other", image_size=32)
    assert _contents(tmp_path / "out") != _contents(tmp_path / "other")


def test_too_few_blooms():
    with pytest.raises(ValueError, match="at least 10.* Received: 9"):
        BloomsSource(9)


def test_arguments_that_no_blooms_can_be_made_with():
    with pytest.raises(ValueError, match="num_images.* Received: 10.5"):
        BloomsSource(10.5)
    # Before `prepare` has made a folder.
    with pytest.raises(ValueError, match="seed.* Received: -1"):
        BloomsSource(10, seed=-1)


def test_whole_numbers_of_numpy(tmp_path):
    prepare(BloomsSource(10, seed=3), tmp_path / "out", image_size=32)
    source = BloomsSource(np.int64(10), seed=np.int64(3))
    prepare(source, tmp_path / "other", image_size=np.int64(32))
    assert _contents(tmp_path / "out") == _contents(tmp_path / "other")


def test_shards_of_a_thousand(tmp_path):
    class ManySquares(Squares):
        def splits(self):
            return {"train": [(number % 256,) for number in range(2001)]}

    manifest = prepare(ManySquares(), tmp_path / "out", image_size=1).manifest
    shards = manifest.splits["train"].shards
    assert [(shard.file, shard.num_records) for shard in shards] == [
        ("train-00000-of-00003.tfrecord", 1000),
        ("train-00001-of-00003.tfrecord", 1000),
        ("train-00002-of-00003.tfrecord", 1),
    ]


def test_twice_gives_the_same_bytes(tmp_path, flowers):
    write_text(flowers / "jpg/image_00005.jpg", "no image")
    prepare(OxfordFlowers(flowers), tmp_path / "one")
    prepare(OxfordFlowers(flowers), tmp_path / "two")
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")


def test_progress(tmp_path):
    calls = []
    prepare(
        Squares(),
        tmp_path / "out",
        image_size=8,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 10) for done in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]


# === Files that can not be used ===


def test_unusable_files_are_skipped_and_named(tmp_path):
    source = Squares(troubles={3: _broken(3), 6: _broken(6)})
    source.unusable = [_broken(99)]
    preparation = prepare(source, tmp_path / "out", image_size=8)
    assert preparation.skipped == (
        "99.png: is broken",
        "3.png: is broken",
        "6.png: is broken",
    )
    train = preparation.manifest.splits["train"]
    assert (train.num_images, train.num_captions) == (5, 15)
    assert train.shards[0].num_records == 5
    ids = [r["id"].numpy() for r in _records(tmp_path / "out", _TRAIN)]
    assert ids == [b"square %d" % number for number in (0, 1, 2, 4, 5)]


def test_shard_without_a_usable_image_is_left_out(tmp_path):
    class ManySquares(Squares):
        def splits(self):
            return {"train": [(0,)] * 500 + [(1,)] * 500 + [(3,)] * 7}

    source = ManySquares(troubles={3: _broken(3)})
    out = tmp_path / "out"
    preparation = prepare(source, out, image_size=1)
    assert preparation.manifest == read_manifest(out)
    (shard,) = preparation.manifest.splits["train"].shards
    assert shard.num_records == 1000
    assert len(preparation.skipped) == 7
    assert set(os.listdir(out)) == {shard.file, "manifest.json"}


def test_strict_ends_at_an_unusable_file(tmp_path):
    source = Squares(troubles={3: _broken(3)})
    with pytest.raises(ValueError, match="3.png: is broken"):
        prepare(source, tmp_path / "out", image_size=8, strict=True)
    assert os.listdir(tmp_path / "out") == []


def test_strict_ends_at_a_file_that_the_listing_left_out(tmp_path):
    source = Squares()
    source.unusable = [_broken(99)]
    with pytest.raises(ValueError, match="99.png: is broken"):
        prepare(source, tmp_path / "out", image_size=8, strict=True)
    assert not (tmp_path / "out").exists()


def test_strict_refuses_a_data_set_that_lacks_images(tmp_path):
    source = Squares(troubles={3: _broken(3)})
    prepare(source, tmp_path / "out", image_size=8)
    with pytest.raises(ValueError, match="out must.*without 1 images of 'trai"):
        prepare(source, tmp_path / "out", image_size=8, strict=True)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert prepare(
        Squares(), tmp_path / "whole", image_size=8, strict=True
    ).was_there


def test_strict_refuses_a_data_set_that_lacks_captions(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"raw/{name}.jpg")
        write_text(tmp_path / f"raw/{name}.txt", "one\ntwo")
    (tmp_path / "raw/b.txt").write_bytes(b"one\ntw\xff\n")
    source = CaptionedFolder(tmp_path / "raw")
    assert prepare(source, tmp_path / "out").num_skipped == 1
    with pytest.raises(ValueError, match="b.txt line 2"):
        prepare(source, tmp_path / "out", strict=True)


def test_split_without_a_usable_image(tmp_path):
    troubles = {number: _broken(number) for number in range(6, 10)}
    with pytest.raises(ValueError, match="'test' .* 4 files .* 9.png: is brok"):
        prepare(Squares(troubles), tmp_path / "out", image_size=8)
    assert os.listdir(tmp_path / "out") == []


def test_split_without_images(tmp_path):
    class NoSquares(Squares):
        def splits(self):
            return {"train": []}

    with pytest.raises(ValueError, match="'train' must have at least one"):
        prepare(NoSquares(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_usable_class(tmp_path):
    troubles = {number: _broken(number) for number in (1, 3, 5)}
    with pytest.raises(ValueError, match="one class only, 'a'.*--preset gan"):
        prepare(Squares(troubles), tmp_path / "out", image_size=8)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("option", ["image_size", "num_workers"])
@pytest.mark.parametrize("value", [0, -1, 64.0, "64"])
def test_counts(tmp_path, option, value):
    with pytest.raises(ValueError, match=f"{option}.* Received: {value!r}"):
        prepare(Squares(), tmp_path / "out", **{option: value})


# === Interrupted runs ===


def _interrupt(out, **options):
    """Is interrupted when `train` is whole and `test` half written."""
    source = Squares(troubles={8: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, image_size=8, **options)


def test_an_interrupted_run_goes_on(tmp_path):
    out = tmp_path / "out"
    _interrupt(out)
    assert set(os.listdir(out)) == {_TRAIN, "preparing.json"}
    source = Squares()
    calls = []
    prepare(source, out, image_size=8, progress=lambda *c: calls.append(c))
    assert source.numbers_read == [6, 7, 8, 9]
    assert calls[0] == (6, 10)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def test_captions_that_change_are_not_mixed_with_older_ones(tmp_path, flowers):
    class Interrupted(OxfordFlowers):
        def read(self, key, image_size):
            if key[0] == "class_00004":
                raise KeyboardInterrupt
            return super().read(key, image_size)

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare(Interrupted(flowers), out)
    (file,) = flowers.glob("text_c10/class_00001/image_00001.txt")
    write_text(file, "another caption")
    prepare(OxfordFlowers(flowers), out)
    prepare(OxfordFlowers(flowers), tmp_path / "whole")
    assert _contents(out) == _contents(tmp_path / "whole")
    assert prepare(OxfordFlowers(flowers), out).was_there
    # A finished data set is not that of other captions.
    write_text(file, "yet another one")
    with pytest.raises(
        ValueError, match="from another source, captions or options"
    ):
        prepare(OxfordFlowers(flowers), out)


def test_a_run_interrupted_before_the_manifest_goes_on(tmp_path):
    out = tmp_path / "out"
    _interrupt(out)
    journal = (out / "preparing.json").read_bytes()
    prepare(Squares(), out, image_size=8)
    whole = _contents(out)
    (out / "manifest.json").unlink()
    (out / "preparing.json").write_bytes(journal)
    (out / f".tmp-{_TEST}").write_bytes(b"half a shard")
    prepare(Squares(), out, image_size=8)
    assert _contents(out) == whole


def test_a_damaged_shard_is_written_again(tmp_path):
    out = tmp_path / "out"
    _interrupt(out)
    (out / _TRAIN).write_bytes(b"something else")
    prepare(Squares(), out, image_size=8)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def test_a_shard_that_was_not_noted_is_written_again(tmp_path):
    out = tmp_path / "out"
    _interrupt(out)
    journal = json.loads((out / "preparing.json").read_text())
    (out / "preparing.json").write_text(json.dumps({**journal, "shards": {}}))
    with pytest.raises(KeyboardInterrupt):
        prepare(Squares({2: KeyboardInterrupt()}), out, image_size=8)
    prepare(Squares(), out, image_size=8)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def test_files_put_right_meanwhile_come_in(tmp_path):
    out = tmp_path / "out"
    troubles = {3: _broken(3), 8: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        prepare(Squares(troubles), out, image_size=8)
    assert prepare(Squares(), out, image_size=8).skipped == ()
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def test_other_options_do_not_go_on(tmp_path):
    out = tmp_path / "out"
    _interrupt(out)
    before = _contents(out)
    with pytest.raises(ValueError, match="begun with others. Empty the folder"):
        prepare(Squares(), out, image_size=16)
    with pytest.raises(ValueError, match="begun with others. Empty the folder"):
        prepare(Squares(class_names=["c", "d"]), out, image_size=8)
    assert _contents(out) == before


@pytest.mark.parametrize(
    "content", ["", "[]", '{"fingerprint": 1}', "[" * 200_000]
)
def test_damaged_journal(tmp_path, content):
    (tmp_path / "preparing.json").write_text(content)
    with pytest.raises(ValueError, match="preparing.json.* a damaged file"):
        prepare(Squares(), tmp_path, image_size=8)


def test_interrupted_before_anything_was_whole(tmp_path):
    source = Squares(troubles={2: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", image_size=8)
    prepare(Squares(), tmp_path / "out", image_size=16)
    assert read_manifest(tmp_path / "out").image_size == 16


def test_finished_folder(tmp_path):
    out = tmp_path / "out"
    first = prepare(Squares(), out, image_size=8)
    before = _contents(out)
    source = Squares()
    second = prepare(source, out, image_size=8)
    assert source.numbers_read == []
    assert second.was_there and not first.was_there
    assert second.manifest == first.manifest
    for other, size in ((Squares(), 16), (Squares(class_names="cd"), 8)):
        with pytest.raises(ValueError, match="out, which is a prepared data"):
            prepare(other, out, image_size=size)
    assert _contents(out) == before


def test_finished_folder_of_an_earlier_version(tmp_path):
    prepare(Squares(), tmp_path, image_size=8)
    path = tmp_path / "manifest.json"
    values = json.loads(path.read_text())
    del values["source_fingerprint"], values["checksum"]
    path.write_text(json.dumps(values))
    assert read_manifest(tmp_path).source_fingerprint == ""
    with pytest.raises(ValueError, match="which is a prepared data set"):
        prepare(Squares(), tmp_path, image_size=8)


# === Others that write there ===


def test_another_process_that_prepares_there(tmp_path):
    with locked_folder(tmp_path):
        with pytest.raises(ValueError, match="no other process.*Received: '.*"):
            prepare(Squares(), tmp_path, image_size=8)
    assert os.listdir(tmp_path) == []
    prepare(Squares(), tmp_path, image_size=8)


def test_what_killed_runs_left_is_removed_and_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    out = tmp_path / "out"
    (out / ".tmp-folder").mkdir(parents=True)
    for name in ("manifest.json", _TRAIN, "other"):
        os.symlink(secret, out / f".tmp-{name}")
    prepare(Squares(), out, image_size=8)
    assert set(os.listdir(out)) == {"manifest.json", _TRAIN, _TEST}
    assert secret.read_text() == "secret"


def test_shards_of_something_else(tmp_path):
    (tmp_path / _TRAIN).write_bytes(b"precious")
    with pytest.raises(ValueError, match="holds shards of something else"):
        prepare(Squares(), tmp_path, image_size=8)
    assert _contents(tmp_path) == {_TRAIN: b"precious"}


# === A full disk ===


@pytest.mark.parametrize(
    ("file", "after"), [(_TRAIN, 0), (_TEST, 6), ("manifest.json", 10)]
)
def test_full_disk(tmp_path, file, after):
    out = tmp_path / "out"
    with contextlib.ExitStack() as disk:

        def fill_disk(num_done, num_images):
            if num_done == after:
                disk.enter_context(small_files(0))

        with pytest.raises(OSError, match="File too large") as error:
            prepare(Squares(), out, image_size=8, progress=fill_disk)
    assert error.value.errno == errno.EFBIG
    assert str(error.value).endswith(f"{str(out / file)!r}")
    left = os.listdir(out)
    assert file not in left
    assert not any(name.startswith(".tmp-") for name in left)
    prepare(Squares(), out, image_size=8)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def test_out_is_a_file(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(ValueError, match="`out` must.*which is a file"):
        prepare(Squares(), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "precious"
