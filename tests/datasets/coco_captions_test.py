import json
import os
import shutil

import pytest

from keras_t2i.datasets.coco_captions import CocoCaptions
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text


def _write_table(root, folder, numbers, annotations):
    values = {
        "info": {},
        "images": [
            {"id": number, "file_name": f"{number:012d}.jpg", "height": 16}
            for number in numbers
        ],
        "annotations": [
            {"id": place, "image_id": number, "caption": caption}
            for place, (number, caption) in enumerate(annotations)
        ],
    }
    path = root / f"annotations/captions_{folder}.json"
    write_text(path, json.dumps(values))


def write_coco(root, year):
    for folder, numbers in (f"train{year}", (9, 25)), (f"val{year}", (139,)):
        for number in numbers:
            write_image(root / folder / f"{number:012d}.jpg")
        annotations = [
            (n, f"image {n}, {word} \n") for n in numbers for word in "ab"
        ]
        _write_table(root, folder, numbers, annotations)
    write_text(root / f"annotations/instances_train{year}.json", "{}")


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_both_splits(tmp_path, year):
    write_coco(tmp_path, year)
    coco = CocoCaptions(tmp_path)
    records = {
        split: [coco.read(key, 32) for key in keys]
        for split, keys in coco.splits().items()
    }
    assert {s: [r.id for r in rows] for s, rows in records.items()} == {
        "train": [
            f"train{year}/000000000009.jpg",
            f"train{year}/000000000025.jpg",
        ],
        "test": [f"val{year}/000000000139.jpg"],
    }
    assert records["test"][0].captions == ("image 139, a", "image 139, b")
    assert records["test"][0].class_id == -1
    assert coco.class_names == coco.unusable == []


def test_both_years_have_images_in_common(tmp_path):
    write_coco(tmp_path, "2014")
    write_coco(tmp_path, "2017")
    with pytest.raises(ValueError, match="one year .*'train2014', 'train2017'"):
        CocoCaptions(tmp_path)


def test_what_is_left_out(tmp_path):
    write_coco(tmp_path, "2017")
    shutil.rmtree(tmp_path / "val2017")
    write_image(tmp_path / "train2017/other.jpg")
    _write_table(
        tmp_path,
        "train2017",
        (9, 25, 30),
        [
            (9, "a\ud83c"),
            (9, "a cat"),
            (99, "a"),
            (25, 7),
            (25, " "),
            (30, "b"),
        ],
    )
    coco = CocoCaptions(tmp_path)
    assert [key for key, _ in coco.splits()["train"]] == [
        "train2017/000000000009.jpg"
    ]
    reasons = {
        str(e).removeprefix(f"{tmp_path}/"): e.num_files for e in coco.unusable
    }
    table = "annotations/captions_train2017.json"
    assert reasons == {
        f"{table} annotation 1: is not UTF-8": 1,
        f"{table} annotation 3: has no caption or no image_id of an image": 1,
        f"{table} annotation 4: has a caption that is no text": 1,
        "train2017/000000000025.jpg: has no captions in "
        "captions_train2017.json": 1,
        "train2017/000000000030.jpg: (captions_train2017.json) is no image in "
        "the folder": 1,
        "train2017/other.jpg: has no captions in captions_train2017.json": 1,
        "val2017: is not there": 1,
    }


def test_files_that_macos_adds_are_ignored(tmp_path):
    write_coco(tmp_path, "2017")
    for file in (".DS_Store", "._000000000009.jpg"):
        write_text(tmp_path / "train2017" / file, "Bud1")
    write_text(tmp_path / "annotations/._captions_train2017.json", "Bud1")
    coco = CocoCaptions(tmp_path)
    assert coco.unusable == []
    assert len(coco.splits()["train"]) == 2


def test_annotations_of_which_most_cannot_be_used(tmp_path):
    write_coco(tmp_path, "2017")
    annotations = [(9, "a cat"), (25, "a dog")] + [(9, 7)] * 2500
    _write_table(tmp_path, "train2017", (9, 25), annotations)
    coco = CocoCaptions(tmp_path)
    assert [error.num_files for error in coco.unusable] == [1] * 1000 + [1500]
    assert "1500 more annotations" in str(coco.unusable[-1])


def test_a_name_that_no_file_can_have(tmp_path):
    write_coco(tmp_path, "2017")
    path = tmp_path / "annotations/captions_train2017.json"
    table = json.loads(path.read_text())
    table["images"].append({"id": 30, "file_name": 300 * "x" + ".jpg"})
    table["annotations"].append({"id": 9, "image_id": 30, "caption": "a rose"})
    path.write_text(json.dumps(table))
    coco = CocoCaptions(tmp_path)
    assert len(coco.splits()["train"]) == 2
    (line,) = coco.unusable
    assert "(captions_train2017.json) is no image in the folder" in str(line)


def test_a_name_that_is_not_utf8(tmp_path):
    write_coco(tmp_path, "2017")
    write_image(tmp_path / "a.jpg")
    file = "\udcff.jpg"
    os.rename(tmp_path / "a.jpg", tmp_path / "val2017" / file)
    image = {"id": "a", "file_name": file}
    caption = {"image_id": "a", "caption": "a cat"}
    values = {"images": [image], "annotations": [caption]}
    path = tmp_path / "annotations/captions_val2017.json"
    write_text(path, json.dumps(values))
    coco = CocoCaptions(tmp_path)
    assert list(coco.splits()) == ["train"]
    assert "name that is not UTF-8" in str(coco.unusable[-1])


def test_a_table_that_is_too_large(tmp_path):
    path = tmp_path / "annotations/captions_val2014.json"
    write_text(path, "{}")
    os.truncate(path, 2**27 + 1)
    with pytest.raises(ValueError, match="134,217,729 bytes, more than"):
        CocoCaptions(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"images": [7]}', "[" * 200_000]
    + ['{"images": [], "annotations": {}}']
    + ['{"images": [{"id": 1, "file_name": 2}], "annotations": []}'],
)
def test_damaged_table(tmp_path, content):
    path = tmp_path / "annotations/captions_val2014.json"
    write_text(path, content)
    with pytest.raises(ValueError, match="val2014.json must hold COCO"):
        CocoCaptions(tmp_path)


def test_names_that_leave_the_folder(tmp_path):
    write_image(tmp_path / "secret.jpg")
    (tmp_path / "coco/val2017").mkdir(parents=True)
    path = tmp_path / "coco/annotations/captions_val2017.json"
    image = {"id": 1, "file_name": "../../secret.jpg"}
    caption = {"image_id": 1, "caption": "a"}
    values = {"images": [image], "annotations": [caption]}
    write_text(path, json.dumps(values))
    with pytest.raises(ValueError, match="is no image in the folder"):
        CocoCaptions(tmp_path / "coco")


def test_without_images_for_training(tmp_path):
    write_coco(tmp_path, "2017")
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(
        ValueError, match="for testing.*train2017: is not there.*layout"
    ):
        CocoCaptions(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="Received: none.*The layout is annot"):
        CocoCaptions(tmp_path)
