import pickle
import shutil
import tracemalloc

import numpy as np
import pytest

from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.published_embeddings import open_published_embeddings
from keras_t2i.text import import_embeddings
from tests.damaged_files import check_damaged_files
from tests.damaged_files import damaged
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor

DIM = 3
# Ids of the data set, their classes and the embeddings of two captions each.
CLASSES = ("001.Sooty_Gull", "002.Auk")
IDS = [("b", 0), ("a", 0), ("c", 1), ("d", 1), ("e", 0)]
ROWS = {
    id: np.arange(6, dtype="f4").reshape(2, DIM) + 10 * number
    for number, (id, _) in enumerate(IDS)
}


@pytest.fixture
def data(tmp_path):
    """Four images to train on, in two shards, and one to test on."""

    def image(number):
        id, class_id = IDS[number]
        captioned = example(number, class_id, ("x", "y"))
        return type(captioned)(
            f"{CLASSES[class_id]}/{id}",
            captioned.image,
            captioned.captions,
            class_id,
        )

    splits = {
        "train": [[image(0), image(1), image(2)], [image(3)]],
        "test": [[image(4)]],
    }
    write_prepared_set(tmp_path / "data", splits, CLASSES)
    return tmp_path / "data"


def _write_npz(folder):
    arrays = {f"images/{id}.jpg": rows for id, rows in ROWS.items()}
    np.savez(folder.with_suffix(".npz"), **arrays)
    return folder.with_suffix(".npz")


def _write_npy(folder):
    table = [(f"{CLASSES[c]}/{id}", ROWS[id]) for id, c in IDS]
    fields = [("id", "U30"), ("embeddings", "f4", (2, DIM))]
    np.save(folder.with_suffix(".npy"), np.array(table, fields))
    return folder.with_suffix(".npy")


def _write_npy_folder(folder):
    for id, c in IDS:
        path = folder / CLASSES[c] / f"{id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, ROWS[id])
    return folder


def _write_images_t7(folder):
    # As in the archives, classes may be named a little differently.
    for id, c in IDS:
        path = folder / f"{CLASSES[c]}s" / f"{id}.t7"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = LuaTable(
            img=f"{CLASSES[c]}/{id}.jpg",
            txt=tensor(ROWS[id]),
            char=tensor(np.ones((201, 2), "u1"), "torch.ByteTensor"),
        )
        path.write_bytes(t7_bytes(table))
    return folder


def _class_rows(class_id):
    """All images of a class, by name: (num_images, dim, num_captions)."""
    names = sorted(id for id, c in IDS if c == class_id)
    return np.ascontiguousarray(np.stack([ROWS[name].T for name in names]))


def _write_classes_t7(folder):
    folder.mkdir()
    for class_id, name in enumerate(CLASSES):
        path = folder / f"{name}s.t7"
        path.write_bytes(t7_bytes(tensor(_class_rows(class_id))))
    return folder


def _write_stackgan(folder, protocol=2):
    for split, ids in (("train", IDS[:4]), ("test", IDS[4:])):
        (folder / split).mkdir(parents=True)
        parts = {
            "char-CNN-RNN-embeddings": [ROWS[id] for id, _ in ids],
            "filenames": [f"{CLASSES[c]}/{id}" for id, c in ids],
            "class_info": [c + 1 for _, c in ids],
        }
        for name, values in parts.items():
            path = folder / split / f"{name}.pickle"
            path.write_bytes(pickle.dumps(values, protocol))
    return folder


LAYOUTS = {
    "npz": _write_npz,
    "npy": _write_npy,
    "folder of npy": _write_npy_folder,
    "t7 of images": _write_images_t7,
    "t7 of classes": _write_classes_t7,
    "StackGAN": _write_stackgan,
    "StackGAN, protocol 0": lambda folder: _write_stackgan(folder, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(data, tmp_path, layout):
    path = LAYOUTS[layout](tmp_path / "published")
    calls = []
    out = tmp_path / "out"
    num_more = import_embeddings(
        path, data, out, lambda *call: calls.append(call)
    )
    assert num_more == 0
    assert calls == [(done, 5) for done in range(1, 6)]
    manifest = read_embedding_manifest(out)
    assert manifest.embedding_dim == DIM
    assert manifest.splits["train"].num_captions == 8
    for split, ids in (("train", IDS[:4]), ("test", IDS[4:])):
        embeddings = ExtractedEmbeddings(out, PreparedExamples(data, split))
        for index, (id, _) in enumerate(ids):
            np.testing.assert_array_equal(embeddings.read(index), ROWS[id])


@pytest.mark.parametrize(
    "layout", ["folder of npy", "t7 of images", "t7 of classes"]
)
def test_hidden_files_are_ignored(data, tmp_path, layout):
    path = LAYOUTS[layout](tmp_path / "published")
    # As macOS leaves one beside each file.
    for file in sorted(path.rglob("*.*")):
        if file.is_file():
            (file.parent / f"._{file.name}").write_bytes(b"attributes")
    assert import_embeddings(path, data, tmp_path / "out") == 0


def test_fingerprints_are_of_the_numbers(data, tmp_path):
    path = _write_npz(tmp_path / "published")
    fingerprints = []
    for name in ("first", "second"):
        import_embeddings(path, data, tmp_path / name)
        manifest = read_embedding_manifest(tmp_path / name)
        fingerprints.append(manifest.fingerprint)
    np.savez(path, **{f"{id}.jpg": rows + 1 for id, rows in ROWS.items()})
    import_embeddings(path, data, tmp_path / "third")
    manifest = read_embedding_manifest(tmp_path / "third")
    assert fingerprints[0] == fingerprints[1] != manifest.fingerprint


def test_one_vector_an_image(data, tmp_path):
    path = tmp_path / "clip.npz"
    np.savez(path, **{id: np.ones(4) for id in ROWS}, other=np.ones(4))
    assert import_embeddings(path, data, tmp_path / "out") == 1
    manifest = read_embedding_manifest(tmp_path / "out")
    assert manifest.embedding_dim == 4
    assert manifest.splits["train"].num_captions == 4


def _check_refused(path, data, tmp_path, message):
    with pytest.raises(ValueError, match=message):
        import_embeddings(path, data, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_vectors_of_different_sizes(data, tmp_path):
    path = tmp_path / "clip.npz"
    np.savez(path, **{**ROWS, "d": np.ones(4)})
    _check_refused(path, data, tmp_path, "of one size. Received: 3 and, of 'd'")


def test_no_layout(data, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("a")
    for name, message in (
        ("empty", "empty', which has none of these"),
        ("a.txt", "a.txt', which has none of these"),
        ("none", "none', which is not there"),
        ("data", "data', which has a manifest.json: what this library has"),
    ):
        _check_refused(tmp_path / name, data, tmp_path, message)


def test_missing_images(data, tmp_path):
    folder = _write_images_t7(tmp_path / "published")
    (folder / f"{CLASSES[1]}s" / "d.t7").unlink()
    message = "without 1 of them: '002.Auk/d'. Its names are like '001"
    _check_refused(folder, data, tmp_path, message)


def test_files_of_images_that_are_no_embeddings(data, tmp_path):
    folder = _write_images_t7(tmp_path / "published")
    path = folder / f"{CLASSES[1]}s" / "d.t7"
    path.write_bytes(t7_bytes(LuaTable(img="d.jpg")))
    _check_refused(folder, data, tmp_path, "d.t7 must hold a table with .*None")
    ids = tensor(np.ones((2, 3), "i4"), "torch.IntTensor")
    path.write_bytes(t7_bytes(LuaTable(txt=ids)))
    _check_refused(folder, data, tmp_path, "d.t7 must be floating.*int32")


def test_files_of_classes_that_do_not_fit(data, tmp_path):
    folder = _write_classes_t7(tmp_path / "published")
    path = folder / f"{CLASSES[1]}s.t7"
    path.write_bytes(t7_bytes(tensor(np.ones((3, DIM, 2), "f4"))))
    _check_refused(folder, data, tmp_path, "each of the 2 images .*: 3 rows")
    ids = tensor(np.ones((2, 201, 10), "u1"), "torch.ByteTensor")
    path.write_bytes(t7_bytes(ids))
    _check_refused(folder, data, tmp_path, "uint8, as of character or word ids")
    path.write_bytes(t7_bytes(tensor(np.ones(2, "f4"))))
    _check_refused(folder, data, tmp_path, r"ndarray of shape \(2,\)")
    path.unlink()
    _check_refused(folder, data, tmp_path, "without 2 of them: '002.Auk/c'")
    (folder / f"{CLASSES[0]}s.t7").rename(folder / "other.t7")
    message = "a .t7 file for each class .* like other.t7, and classes like '0"
    _check_refused(folder, data, tmp_path, message)


def test_two_files_of_a_class(data, tmp_path):
    # As where features of the images lie beside the embeddings.
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("embeddings", "images"):
        _write_classes_t7(folder / name)
    message = "embeddings/001.Sooty_Gulls.t7 and .*/images/001.Sooty_Gulls.t7,"
    _check_refused(folder, data, tmp_path, message)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("filenames", ["a"], "of as many images. Received: .*: 1"),
        ("class_info", [1], "of as many images. Received: .*: 1"),
        ("filenames", [1, 2, 3, 4], "a list of strings. Received: int"),
        ("filenames", ["a", "a", "b", "c"], "each image once. .* 5 names, 4"),
        ("char-CNN-RNN-embeddings", ["a"] * 4, "a list of arrays. Received"),
        (
            "char-CNN-RNN-embeddings",
            [np.ones((2, DIM), int)] * 4,
            "floating point numbers of shape|an array of its own",
        ),
    ],
)
def test_pickles_that_do_not_fit(data, tmp_path, name, values, message):
    folder = _write_stackgan(tmp_path / "published")
    path = folder / "train" / f"{name}.pickle"
    path.write_bytes(pickle.dumps(values, 2))
    _check_refused(folder, data, tmp_path, message)


def test_an_array_that_stands_for_very_many(data, tmp_path):
    folder = _write_stackgan(tmp_path / "published")
    array = np.ones((100, DIM), "f4")
    path = folder / "train" / "char-CNN-RNN-embeddings.pickle"
    path.write_bytes(pickle.dumps([array] * 4, 2))
    _check_refused(folder, data, tmp_path, "an array of its own for each")


def test_a_name_that_stands_for_very_many(tmp_path):
    folder = _write_stackgan(tmp_path / "published")
    path = folder / "train" / "filenames.pickle"
    for count, message in (
        (4, "a name of its own for each image"),
        (1000, "of as many images. Received: .*: 1000"),
    ):
        path.write_bytes(pickle.dumps(count * [b"a" * 100_000], 3))
        tracemalloc.start()
        with pytest.raises(ValueError, match=message):
            open_published_embeddings(folder, {})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # A hundred million bytes otherwise.
        assert peak < 1_000_000


def test_the_folder_of_a_damaged_array_is_named(data, tmp_path):
    folder = _write_stackgan(tmp_path / "published")
    ids = [id for id, _ in IDS[4:]]
    rows = [np.full_like(ROWS[id], np.nan) for id in ids]
    path = folder / "test" / "char-CNN-RNN-embeddings.pickle"
    path.write_bytes(pickle.dumps(rows, 2))
    _check_refused(folder, data, tmp_path, f"{folder}/test, .*be finite")


def test_an_image_in_both_folders(data, tmp_path):
    folder = _write_stackgan(tmp_path / "published")
    shutil.rmtree(folder / "test")
    shutil.copytree(folder / "train", folder / "test")
    message = f"{folder}/train and {folder}/test must .* 8 names, 4 different"
    _check_refused(folder, data, tmp_path, message)


def test_one_split_alone(data, tmp_path):
    folder = _write_stackgan(tmp_path / "published")
    _check_refused(folder / "train", data, tmp_path, "without 1 of .*Gull/e'")


def test_out_that_is_taken(data, tmp_path):
    path = _write_npz(tmp_path / "published")
    with pytest.raises(ValueError, match="must not hold a data set or embedd"):
        import_embeddings(path, data, data)


# === Damaged files ===

IMAGES_OF_CLASS = {
    name: sorted(f"{name}/{id}" for id, c in IDS if c == class_id)
    for class_id, name in enumerate(CLASSES)
}


def contents_of(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file: file.read_bytes() for file in files if file.is_file()}


def read_all(path):
    source = open_published_embeddings(path, IMAGES_OF_CLASS)
    for name in source.names[:10]:
        source.read(name)


def _check_damaged(tmp_path, layout, seeds):
    path = LAYOUTS[layout](tmp_path / "published")
    contents = contents_of(path)
    check_damaged_files(read_all, path, contents, seeds, max_bytes=2**20)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files(tmp_path, layout):
    _check_damaged(tmp_path, layout, range(100))


@pytest.mark.large
@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_damaged_files(tmp_path, layout):
    _check_damaged(tmp_path, layout, range(100, 10_100))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files_are_not_imported(data, tmp_path, layout):
    path = LAYOUTS[layout](tmp_path / "published")
    contents = contents_of(path)
    files = list(contents)
    out = tmp_path / "out"
    for seed in range(10):
        generator = np.random.default_rng(seed)
        file = files[generator.integers(len(files))]
        file.write_bytes(damaged(contents[file], generator))
        try:
            import_embeddings(path, data, out)
        except ValueError as error:
            # Which file or folder to look at.
            assert str(path) in str(error)
            assert not (out / "manifest.json").exists()
        (out / "manifest.json").unlink(missing_ok=True)
        file.write_bytes(contents[file])
