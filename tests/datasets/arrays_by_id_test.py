import io
import pathlib
import zipfile

import numpy as np
import pytest

from keras_t2i.datasets.published_embeddings import arrays_by_id
from keras_t2i.datasets.published_embeddings import match_names
from tests.damaged_files import check_damaged_files

ARRAYS = {
    "a/1": np.arange(6.0, dtype="f4").reshape(2, 3),
    "a/2.x": np.array([0.5, -1.0, 2.0]),
    "花": np.ones((1, 3), "f2"),
}


def _table(arrays):
    rows = [(name, np.ravel(array)[:3]) for name, array in arrays.items()]
    return np.array(rows, [("id", "U9"), ("embeddings", "f4", (3,))])


@pytest.fixture(params=["npz", "compressed", "folder"])
def path(request, tmp_path):
    path = tmp_path / "arrays"
    if request.param == "folder":
        for name, array in ARRAYS.items():
            file = path / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, array)
        return path
    path = path.with_suffix(".npz")
    save = np.savez if request.param == "npz" else np.savez_compressed
    save(path, **ARRAYS)
    return path


def test_arrays(path):
    source = arrays_by_id(path)
    assert sorted(source.names) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        read = source.read(name)
        assert (read.dtype, read.shape) == (np.float32, array.shape)
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("id_type", ["<U9", ">U9", "S9"])
def test_a_table(tmp_path, id_type):
    path = tmp_path / "table.npy"
    table = np.zeros(3, [("id", id_type), ("embeddings", "f4", (3,))])
    names = list(ARRAYS)
    table["id"] = [n.encode() for n in names] if id_type == "S9" else names
    table["embeddings"] = np.arange(9).reshape(3, 3)
    np.save(path, table)
    source = arrays_by_id(path)
    assert source.names == names
    np.testing.assert_array_equal(source.read("a/2.x"), [3, 4, 5])


def test_ids_that_are_no_text(tmp_path):
    path = tmp_path / "table.npy"
    for id_type, letter in (("U4", b"a\0\0\0"), ("S4", b"a")):
        table = np.array(
            [("a", [1.0])], [("id", id_type), ("embeddings", "f4", 1)]
        )
        np.save(path, table)
        content = bytearray(path.read_bytes())
        place = content.rindex(letter)
        content[place : place + len(letter)] = b"\xff" * len(letter)
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged one .*decode"):
            arrays_by_id(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3, int), r"floating point .*'a',|int64 of shape \(3,\)"),
        (np.ones((1, 2, 3)), r"float64 of shape \(1, 2, 3\)"),
        (np.ones((0, 3)), r"of shape \(0, 3\)"),
        (np.array([1, np.nan]), "finite. Received: NaN or infinity"),
        (np.array([1e300]), "finite. Received: NaN or infinity"),
    ],
)
def test_arrays_that_are_refused(tmp_path, array, message):
    path = tmp_path / "a.npz"
    np.savez(path, a=array)
    with pytest.raises(ValueError, match=message):
        arrays_by_id(path).read("a")


def test_objects_are_never_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("executed",)

    for path in (tmp_path / "a.npz", tmp_path / "a.npy"):
        if path.suffix == ".npz":
            np.savez(path, a=np.array([Trap()]))
        else:
            np.save(path, np.array([Trap()]))
        with pytest.raises(ValueError, match="Python objects"):
            arrays_by_id(path).read("a")


def test_what_unpacks_to_very_much_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", bytes(2**26 + 1))
    with pytest.raises(ValueError, match="67108865 bytes for 'a' of 67108864"):
        arrays_by_id(path).read("a")


def test_arrays_that_unpack_to_very_much_together_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    sparse = np.zeros(2**18, "f4")
    sparse[::50] = np.random.default_rng(0).normal(size=len(sparse[::50]))
    np.savez_compressed(path, a=sparse, b=sparse)
    np.testing.assert_array_equal(arrays_by_id(path).read("b"), sparse)
    np.savez_compressed(path, a=np.zeros(2**18, "f4"), b=np.ones(2**18, "f4"))
    size = path.stat().st_size
    assert size < 10_000
    message = f"a.npz must be a .npz .*2097408 bytes in a file of {size}"
    with pytest.raises(ValueError, match=message):
        arrays_by_id(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"", "a damaged one"),
        ("a.npy", b"", "header that cannot be read"),
        ("a.txt", b"hello", "header that cannot be read"),
    ],
)
def test_other_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} must be .*{message}"):
        arrays_by_id(path)


def test_other_tables(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"`id` and `embeddings`.*float64"):
        arrays_by_id(path)
    np.save(path, np.ones(2, [("id", "i4"), ("embeddings", "f4", (2,))]))
    with pytest.raises(ValueError, match="strings as `id`. Received: int32"):
        arrays_by_id(path)
    np.save(path, _table({"a": [1, 2, 3], "b": [1, 2, 3]})[[0, 0]])
    with pytest.raises(ValueError, match="2 names, 1 different"):
        arrays_by_id(path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.npz"):
        arrays_by_id(tmp_path / "a.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="array for each image. .* none"):
        arrays_by_id(tmp_path / "empty")
    with pytest.raises(ValueError, match="a file or a folder.*/dev/zero"):
        arrays_by_id(pathlib.Path("/dev/zero"))


# === Damaged files ===


def _read_all(path):
    source = arrays_by_id(path)
    for name in source.names[:10]:
        source.read(name)


def _content(kind):
    file = io.BytesIO()
    if kind == ".npy":
        np.save(file, _table(ARRAYS))
    else:
        save = np.savez if kind == ".npz" else np.savez_compressed
        save(file, **ARRAYS)
    return file.getvalue()


@pytest.mark.parametrize("kind", [".npy", ".npz", ".compressed.npz"])
def test_damaged_files(tmp_path, kind):
    path = tmp_path / f"a{kind}"
    check_damaged_files(_read_all, path, _content(kind), range(300), 2**20)


@pytest.mark.large
@pytest.mark.parametrize("kind", [".npy", ".npz", ".compressed.npz"])
def test_many_damaged_files(tmp_path, kind):
    path = tmp_path / f"a{kind}"
    seeds = range(300, 10_300)
    check_damaged_files(_read_all, path, _content(kind), seeds, 2**20)


# === Names ===


@pytest.mark.parametrize(
    ("ids", "names", "found"),
    [
        (["b", "a"], ["a", "b", "c"], ["b", "a"]),
        (["image_00001"], ["jpg/image_00001"], ["jpg/image_00001"]),
        (["1.X/a_1"], ["1.Y/a_1.jpg"], ["1.Y/a_1.jpg"]),
        (["a/1.jpg", "b/1.jpg"], ["b/1", "a/1"], ["a/1", "b/1"]),
        (["Mr. A"], ["Mr. A"], ["Mr. A"]),
        # The stems would do for other images, but are not unique.
        (["a/1", "a/2"], ["a/1.png", "b/1.png", "a/2.png"], None),
    ],
)
def test_names_are_matched(ids, names, found):
    expected = found or ["a/1.png", "a/2.png"]
    assert match_names(ids, names, "some.npz") == expected


def test_missing_images_are_named():
    with pytest.raises(
        ValueError,
        match=r"some.npz must hold each of the 5 images .*Received: 2 images, "
        r"without 4 of them: 'b', 'c', 'd', \.\.\.\. .*like 'a'",
    ):
        match_names(list("abcde"), ["a", "x"], "some.npz")
    # Which of both is meant?
    with pytest.raises(ValueError, match="without 1 of them: 'a/1'"):
        match_names(["a/1"], ["b/1", "c/1"], "some.npz")
