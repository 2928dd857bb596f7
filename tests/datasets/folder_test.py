import json
import os
import pickle

import pytest

from keras_t2i.datasets.folder import CaptionedFolder
from keras_t2i.reading import UnusableFileError
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text


def write_json_lines(root, **captions_of):
    lines = [
        json.dumps({"file": file, "captions": captions})
        for file, captions in captions_of.items()
    ]
    write_text(root / "captions.jsonl", "\n".join(lines))


def _records(folder):
    keys = [key for keys in folder.splits().values() for key in keys]
    records = [folder.read(key, 32) for key in keys]
    return {record.id: record for record in records}


def _captions(folder):
    return {id: record.captions for id, record in _records(folder).items()}


def _reasons(folder, root):
    return [str(error).removeprefix(f"{root}/") for error in folder.unusable]


# === The three layouts ===


def test_json_lines(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.PNG")
    write_text(
        tmp_path / "captions.jsonl",
        '{"file": "a.jpg", "captions": ["one ", "{}", "two"]}\n'
        '{"file": "b.PNG", "caption": "three"}\n',
    )
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {"a.jpg": ("one", "two"), "b.PNG": ("three",)}
    assert folder.class_names == []
    assert {record.class_id for record in _records(folder).values()} == {-1}
    assert folder.unusable == []


def test_csv(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.jpg")
    write_text(
        tmp_path / "captions.csv",
        'file,caption\na.jpg,one\nb.jpg,"red, blue"\na.jpg,two\n',
    )
    assert _captions(CaptionedFolder(tmp_path)) == {
        "a.jpg": ("one", "two"),
        "b.jpg": ("red, blue",),
    }


def test_texts_beside_images(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "a.txt", "one\n{}\ntwo\n")
    write_image(tmp_path / "b.c.jpg")
    write_text(tmp_path / "b.c.txt", "three")
    assert _captions(CaptionedFolder(tmp_path)) == {
        "a.jpg": ("one", "two"),
        "b.c.jpg": ("three",),
    }


def test_texts_with_a_suffix_in_capitals(tmp_path):
    write_image(tmp_path / "A.JPG")
    write_text(tmp_path / "A.TXT", "one")
    write_image(tmp_path / "B.JPG")
    write_text(tmp_path / "B.txt", "two")
    write_text(tmp_path / "B.TXT", "three")
    folder = CaptionedFolder(tmp_path)
    assert _reasons(folder, tmp_path) == [
        "B.TXT: its image has captions in B.txt already"
    ]
    copy = pickle.loads(pickle.dumps(folder))
    keys = folder.splits()["train"]
    assert [copy.read(key, 32).captions for key in keys] == [
        ("one",),
        ("two",),
    ]


def test_pickled_without_the_listing(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_json_lines(tmp_path, **{"a.jpg": ["one"]})
    folder = CaptionedFolder(tmp_path)
    content = pickle.dumps(folder)
    assert b"a.jpg" not in content
    (key,) = folder.splits()["train"]
    assert pickle.loads(content).read(key, 32) == folder.read(key, 32)


def test_two_layouts(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_json_lines(tmp_path, **{"a.jpg": ["one"]})
    write_text(tmp_path / "captions.csv", "file,caption\n")
    with pytest.raises(ValueError, match=r"\['captions.jsonl', 'captions.csv'"):
        CaptionedFolder(tmp_path)


# === Classes and splits ===


@pytest.fixture
def class_folders(tmp_path):
    for file in ("lily/1", "lily/2", "rose/1", "fern/1"):
        write_image(tmp_path / f"{file}.jpg")
        write_text(tmp_path / f"{file}.txt", f"this is {file}")
    return tmp_path


def test_sub_folders_are_classes(class_folders):
    folder = CaptionedFolder(class_folders)
    assert folder.class_names == ["fern", "lily", "rose"]
    class_ids = {id: r.class_id for id, r in _records(folder).items()}
    assert class_ids == {
        "lily/1.jpg": 1,
        "lily/2.jpg": 1,
        "rose/1.jpg": 2,
        "fern/1.jpg": 0,
    }


def test_class_lists(class_folders):
    write_text(class_folders / "trainclasses.txt", "rose\nlily\n")
    write_text(class_folders / "testclasses.txt", "fern\n")
    folder = CaptionedFolder(class_folders)
    files = {
        split: [file for file, _ in keys]
        for split, keys in folder.splits().items()
    }
    assert files == {
        "train": ["lily/1.jpg", "lily/2.jpg", "rose/1.jpg"],
        "test": ["fern/1.jpg"],
    }
    assert folder.unusable == []


def test_class_list_with_a_missing_class(class_folders):
    write_text(class_folders / "trainclasses.txt", "rose\nlily\ndaisy\n")
    with pytest.raises(ValueError, match="trainclasses.txt.*'daisy'"):
        CaptionedFolder(class_folders)


def test_images_that_are_all_in_one_folder_have_no_classes(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    write_text(tmp_path / "images/a.txt", "one")
    folder = CaptionedFolder(tmp_path)
    assert folder.class_names == []
    assert _records(folder)["images/a.jpg"].class_id == -1


def test_classes_are_whole_paths(class_folders):
    for file in ("garden/rose/1", "garden/rose/2"):
        write_image(class_folders / f"{file}.jpg")
        write_text(class_folders / f"{file}.txt", f"this is {file}")
    folder = CaptionedFolder(class_folders)
    assert folder.class_names == ["fern", "garden/rose", "lily", "rose"]
    assert _records(folder)["garden/rose/1.jpg"].class_id == 1


def test_class_lists_may_name_the_last_folder_alone(tmp_path):
    for file in ("images/rose/1", "images/lily/1", "images/fern/1"):
        write_image(tmp_path / f"{file}.jpg")
        write_text(tmp_path / f"{file}.txt", f"this is {file}")
    write_text(tmp_path / "trainclasses.txt", "rose\nimages/lily\n")
    write_text(tmp_path / "testclasses.txt", "fern\n")
    splits = CaptionedFolder(tmp_path).splits()
    assert [file for file, _ in splits["test"]] == ["images/fern/1.jpg"]


def _files(folder):
    return {
        split: [file for file, _ in keys]
        for split, keys in folder.splits().items()
    }


def test_folders_that_are_called_as_splits(tmp_path):
    for file in ("train/rose/1", "Train/lily/1", "valid/rose/1", "test/lily/1"):
        write_image(tmp_path / f"{file}.jpg")
        write_text(tmp_path / f"{file}.txt", f"this is {file}")
    write_image(tmp_path / "other.jpg")
    write_text(tmp_path / "other.txt", "one")
    folder = CaptionedFolder(tmp_path)
    assert _files(folder) == {
        "train": ["Train/lily/1.jpg", "train/rose/1.jpg"],
        "val": ["valid/rose/1.jpg"],
        "test": ["test/lily/1.jpg"],
    }
    assert folder.class_names == ["lily", "rose"]
    assert _records(folder)["test/lily/1.jpg"].class_id == 0
    assert folder.notes == ["splits: the folders Train, test, train, valid"]
    (error,) = folder.unusable
    assert error.file == str(tmp_path / "other.jpg")


def test_splits_without_classes(tmp_path):
    for file in ("train/1", "train/2", "test/1", "1"):
        write_image(tmp_path / f"{file}.jpg")
        write_text(tmp_path / f"{file}.txt", f"this is {file}")
    folder = CaptionedFolder(tmp_path)
    assert _files(folder) == {
        "train": ["train/1.jpg", "train/2.jpg"],
        "test": ["test/1.jpg"],
    }
    assert folder.class_names == []
    assert _reasons(folder, tmp_path) == [
        "1.jpg: is in no split: other images are in their folders"
    ]


def test_a_class_that_is_called_as_a_split(class_folders):
    write_image(class_folders / "train/1.jpg")
    write_text(class_folders / "train/1.txt", "a locomotive")
    folder = CaptionedFolder(class_folders)
    assert folder.class_names == ["fern", "lily", "rose", "train"]
    assert folder.notes == []


@pytest.mark.parametrize("folders", ["train test rose", "val test"])
def test_splits_beside_classes_or_without_one_for_training(tmp_path, folders):
    for name in folders.split():
        write_image(tmp_path / f"{name}/1.jpg")
        write_text(tmp_path / f"{name}/1.txt", "one")
    with pytest.raises(ValueError, match="train among them.*Received.*'test'"):
        CaptionedFolder(tmp_path)


def test_class_lists_overrule_folders(tmp_path):
    for file in ("train/rose/1", "train/lily/1", "test/lily/2", "test/fern/1"):
        write_image(tmp_path / f"{file}.jpg")
        write_text(tmp_path / f"{file}.txt", f"this is {file}")
    write_text(tmp_path / "trainclasses.txt", "rose\nlily\n")
    write_text(tmp_path / "testclasses.txt", "fern\n")
    assert _files(CaptionedFolder(tmp_path))["train"] == [
        "test/lily/2.jpg",
        "train/lily/1.jpg",
        "train/rose/1.jpg",
    ]


def test_classes_in_no_list(class_folders):
    write_text(class_folders / "trainclasses.txt", "rose\nlily\n")
    write_text(class_folders / "testClasses.txt", "fern\n")
    folder = CaptionedFolder(class_folders)
    assert _reasons(folder, class_folders) == [
        "testClasses.txt: is no class list: they are called trainclasses.txt, "
        "valclasses.txt, testclasses.txt and trainvalclasses.txt",
        "class fern: is in no class list, so its 1 images are not used",
    ]


def test_a_misspelt_list_alone(class_folders):
    write_text(class_folders / "train_classes.txt", "rose\nlily\n")
    (error,) = CaptionedFolder(class_folders).unusable
    assert "train_classes.txt: is no class list" in str(error)


# === Tables of others ===


def test_image_folder_of_hugging_face(tmp_path):
    for split in ("train", "test"):
        write_image(tmp_path / f"{split}/1.png")
        write_text(
            tmp_path / f"{split}/metadata.jsonl",
            json.dumps({"file_name": "1.png", "text": f"a {split} flower"}),
        )
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {
        "train/1.png": ("a train flower",),
        "test/1.png": ("a test flower",),
    }
    assert folder.unusable == []
    assert [file for file, _ in folder.splits()["test"]] == ["test/1.png"]
    write_text(tmp_path / "train/metadata.csv", "file_name,text\n")
    with pytest.raises(ValueError, match=r"\['test/metadata.jsonl', 'train/"):
        CaptionedFolder(tmp_path)


def test_a_table_of_a_split_may_leave_out_folders_below_it(tmp_path):
    for split in ("train", "test"):
        write_image(tmp_path / f"{split}/images/1.png")
        write_text(
            tmp_path / f"{split}/metadata.csv",
            f"file_name,text\n1.png,a {split} flower\n",
        )
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {
        "train/images/1.png": ("a train flower",),
        "test/images/1.png": ("a test flower",),
    }
    assert folder.unusable == []


def test_a_header_in_quotation_marks(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "captions.txt", '"image","caption"\n"a.jpg","red"\n')
    source = CaptionedFolder(tmp_path)
    keys = [key for keys in source.splits().values() for key in keys]
    assert keys == [("a.jpg", ("red",))]


def test_text_files_beside_a_table_are_not_read(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
        write_text(tmp_path / f"{name}.txt", "blue")
    write_text(tmp_path / "captions.csv", "file,caption\na.jpg,red\n")
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {"a.jpg": ("red",)}
    assert folder.notes == [
        "captions are read from captions.csv, and not from 2 .txt files beside "
        "images"
    ]


@pytest.mark.parametrize("name", ["captions.txt", "captions.csv"])
def test_flickr8k(tmp_path, name):
    for number in "12":
        write_image(tmp_path / f"Images/{number}.jpg")
    write_text(
        tmp_path / name, "image,caption\n1.jpg,A dog .\n2.jpg,a\n1.jpg,b\n"
    )
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {
        "Images/1.jpg": ("A dog .", "b"),
        "Images/2.jpg": ("a",),
    }
    assert folder.class_names == [] and folder.unusable == []


def test_captions_of_an_image_called_captions(tmp_path):
    write_image(tmp_path / "captions.jpg")
    write_text(tmp_path / "captions.txt", "a red, large flower\n")
    assert _captions(CaptionedFolder(tmp_path)) == {
        "captions.jpg": ("a red, large flower",)
    }


def test_names_that_are_written_in_another_way(tmp_path):
    for name in ("roses/a.jpg", "b.JPG", "g\u00e4nse.jpg", "C.jpg", "c.jpg"):
        write_image(tmp_path / name)
    files = ["Roses\\A.jpg", "b.jpg", "ga\u0308nse.jpg", "c.JPG", "d.jpg"]
    write_json_lines(tmp_path, **{file: [file] for file in files})
    folder = CaptionedFolder(tmp_path)
    assert _captions(folder) == {
        "roses/a.jpg": ("Roses\\A.jpg",),
        "b.JPG": ("b.jpg",),
        "g\u00e4nse.jpg": ("ga\u0308nse.jpg",),
    }
    assert _reasons(folder, tmp_path) == [
        "c.JPG: (captions.jsonl) is no image in the folder",
        "d.jpg: (captions.jsonl) is no image in the folder",
        "C.jpg: has no captions",
        "c.jpg: has no captions",
    ]


# === Folders and files without end ===


def test_folders_within_folders_without_end(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "a.txt", "one")
    deep = "/".join(["abc"] * 120)
    write_image(tmp_path / deep / "b.jpg")
    folder = CaptionedFolder(tmp_path)
    assert list(_records(folder)) == ["a.jpg"]
    assert [error.reason for error in folder.unusable] == [
        "is nested too deeply"
    ]


def test_files_that_are_far_too_large(tmp_path):
    for name in ("a", "b", "c"):
        write_image(tmp_path / f"{name}.jpg")
        write_text(tmp_path / f"{name}.txt", "one")
    for name in ("b.jpg", "c.txt"):
        os.truncate(tmp_path / name, 2**36)
    folder = CaptionedFolder(tmp_path)
    folder.read(("a.jpg", None), 32)
    for name in "bc":
        with pytest.raises(UnusableFileError, match="has 68,719,476,736 bytes"):
            folder.read((f"{name}.jpg", None), 32)


def test_image_beside_the_class_folders(class_folders):
    write_image(class_folders / "a.jpg")
    write_text(class_folders / "a.txt", "one")
    folder = CaptionedFolder(class_folders)
    assert "a.jpg" not in _records(folder)
    assert _reasons(folder, class_folders) == [
        "a.jpg: is in no class: other images are in sub-folders"
    ]


# === What is left out ===


def test_images_and_texts_without_each_other(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        write_image(tmp_path / name)
    write_text(tmp_path / "a.txt", "one")
    write_text(tmp_path / "c.txt", "two")
    folder = CaptionedFolder(tmp_path)
    assert list(_records(folder)) == ["a.jpg"]
    assert _reasons(folder, tmp_path) == [
        "c.txt: has no image beside it",
        "b.jpg: has no captions",
    ]


def test_images_and_lines_without_each_other(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_image(tmp_path / name)
    write_text(
        tmp_path / "captions.jsonl",
        '{"file": "a.jpg", "caption": "one"}\n'
        '{"file": "b.jpg", "captions": ["{}", " "]}\n'
        '{"file": "d.jpg", "caption": "two"}\n'
        '{"file": "captions.jsonl", "caption": "three"}\n'
        "four\n",
    )
    folder = CaptionedFolder(tmp_path)
    assert list(_records(folder)) == ["a.jpg"]
    line, *others = _reasons(folder, tmp_path)
    assert line.startswith("captions.jsonl line 5: is not JSON")
    assert others == [
        "b.jpg: (captions.jsonl) has no usable caption",
        "d.jpg: (captions.jsonl) is no image in the folder",
        "captions.jsonl: (captions.jsonl) is no image in the folder",
        "c.jpg: has no captions",
    ]


@pytest.mark.parametrize("file", ["../secret.jpg", "{}/secret.jpg"])
def test_paths_that_leave_the_folder(tmp_path, file):
    write_image(tmp_path / "secret.jpg")
    root = tmp_path / "inside"
    write_image(root / "a.jpg")
    file = file.format(tmp_path)
    write_json_lines(root, **{"a.jpg": ["one"], file: ["two"]})
    folder = CaptionedFolder(root)
    assert list(_records(folder)) == ["a.jpg"]
    (error,) = folder.unusable
    assert error.reason == "(captions.jsonl) leaves the folder"


def test_links(tmp_path):
    write_image(tmp_path / "secret/s.jpg")
    write_text(tmp_path / "secret.txt", "secret")
    root = tmp_path / "inside"
    for name in ("a.jpg", "d.jpg"):
        write_image(root / name)
    write_text(root / "a.txt", "one")
    # Allowed: it stays inside.
    os.symlink("a.txt", root / "b.txt")
    os.symlink(root / "a.jpg", root / "b.jpg")
    os.symlink("../secret/s.jpg", root / "c.jpg")
    os.symlink("../secret.txt", root / "d.txt")
    os.symlink("../secret", root / "e")
    os.symlink("nowhere.jpg", root / "f.jpg")
    os.symlink("g.jpg", root / "g.jpg")
    folder = CaptionedFolder(root)
    assert _captions(folder) == {"a.jpg": ("one",), "b.jpg": ("one",)}
    assert _reasons(folder, root) == [
        "c.jpg: is a link that leaves the folder",
        "d.txt: is a link that leaves the folder",
        "e: is a link to a folder",
        "f.jpg: is no regular file",
        "g.jpg: is no regular file",
        "d.jpg: has no captions",
    ]


def test_hidden_and_other_files_are_ignored(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "a.txt", "one")
    write_image(tmp_path / ".thumbnails/a.jpg")
    write_image(tmp_path / "._a.jpg")
    write_text(tmp_path / "notes.md", "notes")
    folder = CaptionedFolder(tmp_path)
    assert list(_records(folder)) == ["a.jpg"]
    assert folder.unusable == []


def test_pipe_that_looks_like_an_image(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "a.txt", "one")
    os.mkfifo(tmp_path / "b.jpg")
    folder = CaptionedFolder(tmp_path)
    assert _reasons(folder, tmp_path) == ["b.jpg: is no regular file"]


def test_name_that_is_not_utf8(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_text(tmp_path / "a.txt", "one")
    with open(os.fsencode(tmp_path) + b"/\xe4.jpg", "wb"):
        pass
    folder = CaptionedFolder(tmp_path)
    assert [error.reason for error in folder.unusable] == [
        "has a name that is not UTF-8"
    ]


def test_text_that_is_not_utf8(tmp_path):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_bytes(b"\xe4")
    folder = CaptionedFolder(tmp_path)
    with pytest.raises(UnusableFileError, match="a.txt line 1: is not UTF-8"):
        folder.read(("a.jpg", None), 32)


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="elsewhere', which is no folder"):
        CaptionedFolder(tmp_path / "elsewhere")


def test_empty_folder(tmp_path):
    with pytest.raises(
        ValueError, match="Received: no image that has captions"
    ):
        CaptionedFolder(tmp_path)


def test_no_captions_at_all(tmp_path):
    write_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"\(.*a.jpg: has no captions\)"):
        CaptionedFolder(tmp_path)
