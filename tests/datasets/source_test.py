import hashlib

import pytest

from keras_t2i.datasets.source import check_several_classes
from keras_t2i.datasets.source import split_examples

_CLASS_OF = {"a1": "a", "a2": "a", "b1": "b", "c1": "c", "d1": "d"}


def _write_list(folder, split, text):
    (folder / f"{split}classes.txt").write_bytes(text.encode())


def test_class_lists(tmp_path):
    _write_list(tmp_path, "train", "\ufeffb\r\n\r\na\r\n")
    _write_list(tmp_path, "test", " c ")
    # Class d is in no list, so d1 is in no split.
    assert split_examples(_CLASS_OF, tmp_path) == {
        "train": ["a1", "a2", "b1"],
        "test": ["c1"],
    }


def test_trainval_is_for_training_without_a_train_list(tmp_path):
    _write_list(tmp_path, "trainval", "a\nb\n")
    _write_list(tmp_path, "test", "c\n")
    assert split_examples(_CLASS_OF, tmp_path) == {
        "train": ["a1", "a2", "b1"],
        "test": ["c1"],
    }


def test_trainval_says_nothing_beside_a_train_list(tmp_path):
    _write_list(tmp_path, "trainval", "a\nb\nc\nelsewhere\n")
    _write_list(tmp_path, "train", "a\nb\n")
    _write_list(tmp_path, "val", "c\n")
    assert split_examples(_CLASS_OF, tmp_path) == {
        "train": ["a1", "a2", "b1"],
        "val": ["c1"],
    }


def test_trainval_with_val(tmp_path):
    _write_list(tmp_path, "trainval", "a\nb\nc\n")
    _write_list(tmp_path, "val", "c\n")
    with pytest.raises(ValueError, match="'c' in both .*trainvalcl.*valclas"):
        split_examples(_CLASS_OF, tmp_path)


def test_first_folder_with_lists_counts(tmp_path):
    first, second, third = (tmp_path / name for name in "123")
    for folder, names in ((second, "a\nb\n"), (third, "c\nd\n")):
        folder.mkdir()
        _write_list(folder, "train", names)
    splits = split_examples(_CLASS_OF, first, second, third)
    assert splits == {"train": ["a1", "a2", "b1"]}


def test_class_under_another_name(tmp_path):
    _write_list(tmp_path, "train", "A\na\nb\n")
    _write_list(tmp_path, "test", "C\n")
    splits = split_examples(_CLASS_OF, tmp_path, class_named=str.lower)
    assert splits == {"train": ["a1", "a2", "b1"], "test": ["c1"]}
    _write_list(tmp_path, "test", "A\n")
    with pytest.raises(ValueError, match="'a' in both .*train.*test"):
        split_examples(_CLASS_OF, tmp_path, class_named=str.lower)


def test_without_lists_the_lowest_hashes_are_for_testing(tmp_path):
    ids = [f"{number}.jpg" for number in range(25)]
    by_hash = sorted(
        ids, key=lambda id: hashlib.sha256(id.encode()).hexdigest()
    )
    splits = split_examples(dict.fromkeys(ids), tmp_path)
    assert splits["test"] == sorted(by_hash[:3])
    assert splits["train"] == sorted(by_hash[3:])


def test_few_images_have_no_test_split(tmp_path):
    splits = split_examples(dict.fromkeys("abcd"), tmp_path)
    assert splits == {"train": ["a", "b", "c", "d"]}


def test_list_with_a_missing_class(tmp_path):
    _write_list(tmp_path, "train", "a\nb\n")
    _write_list(tmp_path, "val", "c\nelsewhere\n")
    with pytest.raises(ValueError, match=r"valclasses.txt .*'elsewhere'"):
        split_examples(_CLASS_OF, tmp_path)


def test_lists_with_a_common_class(tmp_path):
    _write_list(tmp_path, "train", "a\nb\n")
    _write_list(tmp_path, "test", "b\nc\n")
    with pytest.raises(ValueError, match="'b' in both .*train.*test"):
        split_examples(_CLASS_OF, tmp_path)


def test_empty_list(tmp_path):
    _write_list(tmp_path, "train", "a\nb\n")
    _write_list(tmp_path, "test", "\n \n")
    with pytest.raises(ValueError, match="testclasses.txt .*no class names"):
        split_examples(_CLASS_OF, tmp_path)


def test_no_list_for_training(tmp_path):
    _write_list(tmp_path, "test", "c\n")
    with pytest.raises(
        ValueError,
        match="trainclasses.txt or trainvalclasses.txt. "
        r"Received: only \['testclasses.txt'\]",
    ):
        split_examples(_CLASS_OF, tmp_path)


def test_list_that_is_not_utf8(tmp_path):
    (tmp_path / "trainclasses.txt").write_bytes(b"a\n\xe4\n")
    with pytest.raises(ValueError, match="trainclasses.txt must be UTF-8"):
        split_examples(_CLASS_OF, tmp_path)


def test_one_training_class(tmp_path):
    _write_list(tmp_path, "train", "a\n")
    _write_list(tmp_path, "test", "c\n")
    with pytest.raises(ValueError, match="one class only, 'a'.*--preset gan"):
        split_examples(_CLASS_OF, tmp_path)


def test_no_classes_is_not_one_class():
    check_several_classes({None})
    check_several_classes({"a", "b"})
