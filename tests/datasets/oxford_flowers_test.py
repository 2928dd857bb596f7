import pickle

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.oxford_flowers import OxfordFlowers
from keras_t2i.reading import UnusableFileError
from tests.datasets.raw_files import write_class_list
from tests.datasets.raw_files import write_flower
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text


@pytest.fixture
def root(tmp_path):
    """Classes 1 to 4 with the pictures 1 to 8, two each."""
    for number in range(1, 9):
        write_flower(tmp_path, (number + 1) // 2, number)
    return tmp_path


def _write_class_lists(root):
    write_class_list(root, "train", [4, 1])
    write_class_list(root, "val", [2])
    write_class_list(root, "test", [3])


def test_splits_by_class(root):
    _write_class_lists(root)
    flowers = OxfordFlowers(root)
    assert flowers.class_names == [f"class_{n:05d}" for n in (1, 2, 3, 4)]
    ids = {
        split: [id for _, id in keys]
        for split, keys in flowers.splits().items()
    }
    assert ids == {
        "train": ["image_00001", "image_00002", "image_00007", "image_00008"],
        "val": ["image_00003", "image_00004"],
        "test": ["image_00005", "image_00006"],
    }
    assert flowers.unusable == []


def test_trainval_list(root):
    write_class_list(root, "trainval", [1, 2, 4])
    write_class_list(root, "test", [3])
    splits = OxfordFlowers(root).splits()
    assert {split: len(keys) for split, keys in splits.items()} == {
        "train": 6,
        "test": 2,
    }


def test_without_lists_a_tenth_is_for_testing(root):
    splits = OxfordFlowers(root).splits()
    assert {split: len(keys) for split, keys in splits.items()} == {
        "train": 7,
        "test": 1,
    }


def test_read(root):
    _write_class_lists(root)
    flowers = OxfordFlowers(root)
    record = flowers.read(flowers.splits()["test"][1], image_size=32)
    assert record.id == "image_00006"
    assert record.class_id == 2
    assert record.captions == ("flower 6 of class 3", "it is pretty")
    pixels = tf.io.decode_image(record.image).numpy()
    assert pixels.shape == (38, 48, 3)
    np.testing.assert_allclose(pixels[20, 20], [30, 6, 0], atol=4)


def test_pickled_without_the_listing(root):
    flowers = OxfordFlowers(root)
    content = pickle.dumps(flowers)
    assert b"image_00001" not in content
    key = flowers.splits()["train"][0]
    assert pickle.loads(content).read(key, 32) == flowers.read(key, 32)


def test_parts_in_the_folders_of_their_archives(root):
    _write_class_lists(root)
    for archive in ("102flowers", "cvpr2016_flowers"):
        (root / archive).mkdir()
    (root / "jpg").rename(root / "102flowers/jpg")
    for path in [root / "text_c10", *root.glob("*classes.txt")]:
        path.rename(root / "cvpr2016_flowers" / path.name)
    flowers = OxfordFlowers(root)
    assert sorted(flowers.splits()) == ["test", "train", "val"]
    assert flowers.read(flowers.splits()["val"][0], 32).class_id == 1


def test_lists_may_lie_above_the_captions(root):
    _write_class_lists(root)
    (root / "cvpr2016_flowers").mkdir()
    (root / "text_c10").rename(root / "cvpr2016_flowers/text_c10")
    assert sorted(OxfordFlowers(root).splits()) == ["test", "train", "val"]


def test_empty_captions_are_left_out(root):
    captions = root / "text_c10/class_00001/image_00001.txt"
    write_text(captions, "{}\na rose\n \n{}\n")
    flowers = OxfordFlowers(root)
    record = flowers.read(("class_00001", "image_00001"), 32)
    assert record.captions == ("a rose",)
    write_text(captions, "{}\n{}\n")
    with pytest.raises(UnusableFileError, match="image_00001.txt: has no us"):
        flowers.read(("class_00001", "image_00001"), 32)


def test_pictures_and_captions_without_each_other(root):
    write_image(root / "jpg/image_00100.jpg")
    write_text(root / "text_c10/class_00001/image_00101.txt", "a rose")
    write_text(root / "text_c10/class_00002/image_00001.txt", "a rose")
    flowers = OxfordFlowers(root)
    reasons = [str(error) for error in flowers.unusable]
    assert len(reasons) == 3
    assert "image_00101.txt: has no image" in reasons[0]
    assert (
        "image_00001.txt: its image has captions in class_00001" in reasons[1]
    )
    assert "image_00100.jpg: has no captions" in reasons[2]
    assert sum(map(len, flowers.splits().values())) == 8


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG"])
def test_other_suffixes(root, suffix):
    for path in (root / "jpg").iterdir():
        path.rename(path.with_suffix(suffix))
    flowers = OxfordFlowers(root)
    assert sum(map(len, flowers.splits().values())) == 8
    assert flowers.read(("class_00003", "image_00006"), 32).id == "image_00006"


def test_images_of_another_format_are_said(root):
    for path in (root / "jpg").iterdir():
        path.rename(path.with_suffix(".png"))
    with pytest.raises(ValueError, match="none .*has no image .*_00001.jpg"):
        OxfordFlowers(root)


def test_classes_in_no_list(root):
    write_class_list(root, "train", [1, 2])
    write_class_list(root, "test", [4])
    (error,) = OxfordFlowers(root).unusable
    assert str(error) == (
        "class class_00003: is in no class list, so its 2 images are not used"
    )
    assert error.num_files == 2


def test_class_list_with_a_missing_class(root):
    write_class_list(root, "train", [1, 2, 99])
    with pytest.raises(ValueError, match="trainclasses.txt.*'class_00099'"):
        OxfordFlowers(root)


def test_one_class(tmp_path):
    write_flower(tmp_path, 1, 1)
    write_flower(tmp_path, 1, 2)
    with pytest.raises(ValueError, match="'class_00001'.*--preset gan"):
        OxfordFlowers(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="elsewhere', which is no folder"):
        OxfordFlowers(tmp_path / "elsewhere")


@pytest.mark.parametrize("part", ["jpg", "text_c10"])
def test_missing_part(root, part):
    (root / part).rename(root / "other")
    with pytest.raises(
        ValueError, match=f"one folder '{part}'.*Received: none"
    ):
        OxfordFlowers(root)


def test_two_candidates_for_a_part(root):
    (root / "copy/jpg").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Received: \[.*copy/jpg"):
        OxfordFlowers(root)


def test_empty_parts(tmp_path):
    (tmp_path / "jpg").mkdir()
    (tmp_path / "text_c10").mkdir()
    with pytest.raises(ValueError, match="Expected images.*Received: none"):
        OxfordFlowers(tmp_path)
