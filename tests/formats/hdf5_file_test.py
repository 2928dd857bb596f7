import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest

from keras_t2i.datasets.published_embeddings import open_published_embeddings
from keras_t2i.formats.array_files import HDF5File
from tests.damaged_files import damaged
from tests.damaged_files import measured


def write_all_kinds(path):
    """A file with arrays of images, of captions, and packed ones."""
    with h5py.File(path, "w") as file:
        file["a/1"] = np.arange(6.0, dtype="f4").reshape(2, 3)
        group = file.create_group("train/image_1_0")
        group["name"] = "image_1"
        group["embeddings"] = np.ones(3, "f4")
        packed = {"compression": "gzip", "fletcher32": True}
        file.create_dataset("b", data=np.ones((8, 3)), **packed)
    return path


def read_all(path):
    source = HDF5File(path)
    for name in source.names[:10]:
        source.read(name)


def test_a_data_set_per_image(tmp_path):
    path = tmp_path / "clip.h5"
    with h5py.File(path, "w") as file:
        file["a/1"] = np.arange(6.0, dtype="f4").reshape(2, 3)
        file["b"] = np.ones(3, "f8")
        file["counts"] = np.ones(3, "i4")
    source = open_published_embeddings(path, {})
    assert source.names == ["a/1", "b"]
    np.testing.assert_array_equal(source.read("a/1"), [[0, 1, 2], [3, 4, 5]])
    assert source.read("b").dtype == np.float32


def test_a_group_per_caption(tmp_path):
    # As flowers.hdf5 has them, which several projects share.
    path = tmp_path / "flowers.hdf5"
    with h5py.File(path, "w") as file:
        for split, image in (("train", "image_1"), ("test", "image_2")):
            for caption in range(2):
                group = file.create_group(f"{split}/{image}_{caption}")
                group["name"] = image
                group["img"] = np.void(b"\xff\xd8\xff")
                group["embeddings"] = np.full(3, caption, "f4")
                group["class"] = "rose"
                group["txt"] = "a rose"
    source = open_published_embeddings(path, {})
    assert sorted(source.names) == ["image_1", "image_2"]
    np.testing.assert_array_equal(source.read("image_2"), [[0] * 3, [1] * 3])


def test_links_and_files_elsewhere_are_not_read(tmp_path):
    other, path = tmp_path / "other.h5", tmp_path / "a.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones(3)
    (tmp_path / "raw").write_bytes(np.ones(3).tobytes())
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink(str(other), "secret")
        file["cycle/up"] = h5py.SoftLink("/cycle")
        file["own"] = np.ones(3)
        file.create_dataset(
            "raw", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)]
        )
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(other), "secret", (3,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("zeros", (2**24,), "f8", compression="gzip")
    source = HDF5File(path)
    assert source.names == ["own", "raw", "virtual", "zeros"]
    np.testing.assert_array_equal(source.read("own"), np.ones(3))
    for name, message in (
        ("raw", "data in another file"),
        ("virtual", "data in another file"),
        ("zeros", "bytes of 67108864"),
    ):
        with pytest.raises(ValueError, match=f"'{name}',.*{message}"):
            source.read(name)


def test_damaged_files(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["own"] = np.ones(300)
    content = path.read_bytes()
    for variant in (
        b"",
        b"no HDF5",
        content[:-100],
        content[: len(content) // 2],
    ):
        path.write_bytes(variant)
        with pytest.raises(ValueError, match="a.h5.* must be arrays in HDF5"):
            HDF5File(path).read("own")
    with pytest.raises(FileNotFoundError, match="b.h5"):
        HDF5File(tmp_path / "b.h5")


def test_a_heap_of_texts_without_end(tmp_path):
    path = write_all_kinds(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    free_space = content.index(b"GCOL") + 16 + 16 + 8
    # After one text of seven bytes, all that is left of the heap.
    assert content[free_space : free_space + 16].hex() == (
        "0000000000000000d80f000000000000"
    )
    content[free_space + 8 : free_space + 16] = (8).to_bytes(8, "little")
    path.write_bytes(content)
    # The HDF5 library itself does not return: not in this process.
    code = f"""
from keras_t2i.formats.array_files import HDF5File
HDF5File({str(path)!r})
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"ValueError: {path} must be arrays in HDF5.")
    assert "an object of 8 bytes" in last


def test_any_damage_is_told_by_one_kind_of_error(tmp_path):
    path = write_all_kinds(tmp_path / "a.h5")
    content = path.read_bytes()
    refused = 0
    for seed in range(300):
        path.write_bytes(damaged(content, np.random.default_rng(seed)))
        was_refused, _, peak = measured(read_all, path, seed)
        assert peak < 2**27
        refused += was_refused
    # Most of what is changed is padding or numbers, which have no checksum.
    assert refused > 50


def test_a_name_that_says_that_it_is_very_large(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a/embeddings"] = np.ones(3)
        # As of a damaged file: nothing of it has been written.
        file.create_dataset("a/name", (), f"S{2**30}")
    tracemalloc.start()
    assert HDF5File(path).names == ["a"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
