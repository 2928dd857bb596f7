import dataclasses
import io
import pickle

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i.datasets.cub_birds import CubBirds
from keras_t2i.datasets.preparation import prepare
from keras_t2i.reading import UnusableFileError
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text

_CLASSES = (
    "001.Black_footed_Albatross",
    "002.Laysan_Albatross",
    "009.Brewer_Blackbird",
    "010.Red_winged_Blackbird",
)
# The caption archive spells one of them in another way.
_CAPTION_CLASSES = (*_CLASSES[:2], "009.Brewers_Blackbird", _CLASSES[3])


@dataclasses.dataclass(frozen=True)
class Bird:
    """Bird 1 to 8, two of each class."""

    number: int

    @property
    def stem(self):
        return f"Bird_000{self.number}_79611{self.number}"

    @property
    def class_name(self):
        return _CLASSES[(self.number - 1) // 2]

    @property
    def image(self):
        return f"images/{self.class_name}/{self.stem}.jpg"

    @property
    def captions(self):
        folder = _CAPTION_CLASSES[(self.number - 1) // 2]
        return f"text_c10/{folder}/{self.stem}.txt"

    @property
    def color(self):
        return (20 * self.number, 10, 200)


BIRDS = [Bird(number) for number in range(1, 9)]


def write_birds(root):
    """Writes the birds in the layout of the published archives."""
    cub = root / "CUB_200_2011"
    lists = {"classes": [], "images": [], "image_class_labels": []}
    lists["bounding_boxes"] = []
    for name in _CLASSES:
        lists["classes"].append(f"{int(name[:3])} {name}")
    for bird in BIRDS:
        write_image(cub / bird.image, bird.color, size=(50, 40))
        write_text(
            root / bird.captions, f"bird {bird.number}\n\nit has a beak\n"
        )
        file = bird.image.removeprefix("images/")
        lists["images"].append(f"{bird.number} {file}")
        label = int(bird.class_name[:3])
        lists["image_class_labels"].append(f"{bird.number} {label}")
        lists["bounding_boxes"].append(f"{bird.number} 10.0 6.0 26.0 20.0")
    for name, lines in lists.items():
        write_text(cub / f"{name}.txt", "\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path):
    write_birds(tmp_path)
    return tmp_path


def _write_class_list(path, names):
    write_text(path, "".join(f"{name}\n" for name in names))


def _edit(path, line_number, line):
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[line_number - 1] = line
    path.write_text("\n".join(lines), "utf-8", "surrogateescape")


def _numbers(birds):
    """The numbers of the birds in each split: file names end in them."""
    return {
        split: [int(key[1].removesuffix(".jpg")[-1]) for key in keys]
        for split, keys in birds.splits().items()
    }


def _read(birds, number, image_size=32):
    keys = sum(birds.splits().values(), [])
    (key,) = [key for key in keys if f"_000{number}_" in key[1]]
    return birds.read(key, image_size)


# === Splits ===


def test_three_class_lists(root):
    for split, names in {
        "train": [_CAPTION_CLASSES[2], _CAPTION_CLASSES[0]],
        "val": _CAPTION_CLASSES[3:],
        "test": _CAPTION_CLASSES[1:2],
        # As in the archive, where it only repeats two others.
        "trainval": [*_CAPTION_CLASSES[2:], _CAPTION_CLASSES[0]],
    }.items():
        _write_class_list(root / f"{split}classes.txt", names)
    birds = CubBirds(root)
    assert birds.class_names == list(_CLASSES)
    assert _numbers(birds) == {
        "train": [1, 2, 5, 6],
        "val": [7, 8],
        "test": [3, 4],
    }
    assert birds.unusable == []


def test_two_class_lists(root):
    _write_class_list(root / "trainvalclasses.txt", _CAPTION_CLASSES[1:])
    _write_class_list(root / "testclasses.txt", _CAPTION_CLASSES[:1])
    assert _numbers(CubBirds(root)) == {
        "train": [3, 4, 5, 6, 7, 8],
        "test": [1, 2],
    }


def test_without_lists_a_tenth_is_for_testing(root):
    splits = CubBirds(root).splits()
    assert {split: len(keys) for split, keys in splits.items()} == {
        "train": 7,
        "test": 1,
    }


@pytest.mark.parametrize("name", ["199.Winter_Wren", "Brewer_Blackbird"])
def test_class_list_with_an_unknown_class(root, name):
    _write_class_list(root / "trainclasses.txt", [*_CLASSES, name])
    with pytest.raises(ValueError, match=f"trainclasses.txt.*'{name}'"):
        CubBirds(root)


# === Where the parts lie ===


@pytest.mark.parametrize(
    "folder", ["CUB_200_2011", ".", "cvpr2016_cub", "birds"]
)
@pytest.mark.parametrize("source", [".", "CUB_200_2011"])
def test_captions_and_lists_in_a_folder(root, monkeypatch, folder, source):
    _write_class_list(root / "trainclasses.txt", _CLASSES[:3])
    _write_class_list(root / "testclasses.txt", _CLASSES[3:])
    (root / folder).mkdir(exist_ok=True)
    for path in [root / "text_c10", *root.glob("*classes.txt")]:
        path.rename(root / folder / path.name)
    for source_dir in (root / source, "."):
        monkeypatch.chdir(root / source)
        birds = CubBirds(source_dir)
        assert _numbers(birds) == {"train": [1, 2, 3, 4, 5, 6], "test": [7, 8]}
        assert _read(birds, 8).captions == ("bird 8", "it has a beak")


@pytest.mark.parametrize("folder", ["CUB_200_2011", "."])
def test_lists_away_from_the_captions(root, folder):
    (root / "birds").mkdir()
    (root / "text_c10").rename(root / "birds/text_c10")
    _write_class_list(root / folder / "trainclasses.txt", _CLASSES[:2])
    assert _numbers(CubBirds(root)) == {"train": [1, 2, 3, 4]}


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="elsewhere', which is no folder"):
        CubBirds(tmp_path / "elsewhere")


@pytest.mark.parametrize("part", ["images", "images.txt"])
def test_folder_without_birds(root, part):
    (root / "CUB_200_2011" / part).rename(root / "other")
    message = f"CUB_200_2011 with images and images.txt. Received: {root}"
    with pytest.raises(ValueError, match=message):
        CubBirds(root)


@pytest.mark.parametrize("folder", ["text", "birds/text", "CUB_200_2011/text"])
def test_captions_where_attngan_has_them(root, folder):
    (root / folder).parent.mkdir(exist_ok=True)
    (root / "text_c10").rename(root / folder)
    assert sum(map(len, CubBirds(root).splits().values())) == 8


def test_missing_captions(root):
    (root / "text_c10").rename(root / "other")
    with pytest.raises(ValueError, match="'text_c10'.*Received: none"):
        CubBirds(root)


def test_two_folders_of_captions(root):
    (root / "birds/text_c10").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Received: \[.*birds/text_c10"):
        CubBirds(root)


@pytest.mark.parametrize(
    "name", ["classes.txt", "image_class_labels.txt", "bounding_boxes.txt"]
)
def test_missing_list(root, name):
    (root / "CUB_200_2011" / name).unlink()
    with pytest.raises(ValueError, match=f"list {name}.*no such file"):
        CubBirds(root, crop_to_bounding_box=True)


def test_boxes_are_read_only_for_crops(root):
    (root / "CUB_200_2011/bounding_boxes.txt").unlink()
    assert CubBirds(root).unusable == []


def test_empty_parts(root):
    write_text(root / "CUB_200_2011/images.txt", "")
    message = r"Expected images.*Received: none \(.*has no image"
    with pytest.raises(ValueError, match=message):
        CubBirds(root)


# === Images and captions ===


def test_read(root):
    record = _read(CubBirds(root), 5)
    assert record.id == "009.Brewer_Blackbird/Bird_0005_796115"
    assert record.class_id == 2
    assert record.captions == ("bird 5", "it has a beak")
    pixels = tf.io.decode_image(record.image).numpy()
    assert pixels.shape == (38, 48, 3)
    np.testing.assert_allclose(pixels[20, 20], [100, 10, 200], atol=4)


def test_gray_image(root):
    path = root / "CUB_200_2011" / BIRDS[0].image
    Image.new("L", (50, 40), 77).save(path)
    for crop in (False, True):
        record = _read(CubBirds(root, crop), 1)
        pixels = tf.io.decode_png(record.image).numpy()
        assert pixels.shape[2] == 3
        np.testing.assert_allclose(pixels, 77, atol=1)


def test_unusual_captions(root):
    lines = [f"caption {number}\ufffd\ufffd" for number in range(12)]
    write_text(root / BIRDS[0].captions, "\n" + "\n\n".join(lines) + "\n{}\n")
    assert _read(CubBirds(root), 1).captions == tuple(lines)


def test_captions_that_say_nothing(root):
    write_text(root / BIRDS[0].captions, "\n \n")
    with pytest.raises(UnusableFileError, match="796111.txt: has no usable"):
        _read(CubBirds(root), 1)


@pytest.mark.parametrize("crop", [False, True])
def test_missing_image(root, crop):
    (root / "CUB_200_2011" / BIRDS[0].image).unlink()
    with pytest.raises(UnusableFileError, match="796111.jpg: No such file"):
        _read(CubBirds(root, crop), 1)


@pytest.mark.parametrize("crop", [False, True])
def test_damaged_image(root, crop):
    (root / "CUB_200_2011" / BIRDS[0].image).write_bytes(b"no image")
    with pytest.raises(UnusableFileError, match="796111.jpg: is not an image"):
        _read(CubBirds(root, crop), 1)


def test_images_and_captions_without_each_other(root):
    (root / BIRDS[0].captions).unlink()
    write_text(root / "text_c10/002.Laysan_Albatross/Bird_9.txt", "a bird")
    write_text(root / "text_c10/no_class/Bird_9.txt", "a bird")
    write_text(root / f"text_c10/009.Brewer/{BIRDS[5].stem}.txt", "a bird")
    write_text(root / "text_c10/002.Laysan_Albatross/._a.txt", "of macOS")
    birds = CubBirds(root)
    duplicate, *others = [str(error) for error in birds.unusable]
    # Sorted by folder, so that the duplicate is the one of the archive.
    assert f"009.Brewers_Blackbird/{BIRDS[5].stem}.txt: its im" in duplicate
    assert f"captions in 009.Brewer/{BIRDS[5].stem}.txt already" in duplicate
    assert [reason.rpartition("/")[2] for reason in others] == [
        "text_c10",
        "Bird_9.txt: has no image in images.txt",
        "Bird_9.txt: has no image in images.txt",
    ]
    assert f"{BIRDS[0].image}: has no captions in " in others[0]
    assert sum(map(len, birds.splits().values())) == 7


# === Lines of the lists ===

_FIRST = f"{BIRDS[0].class_name}/{BIRDS[0].stem}.jpg"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("images.txt", "3"),
        ("images.txt", f"three {_FIRST}"),
        ("images.txt", f"1234567890 {_FIRST}"),
        ("images.txt", f"3 {BIRDS[2].stem}.jpg"),
        ("images.txt", "3 ../../secret.jpg"),
        ("images.txt", "3 002.Laysan_Albatross/../a.jpg"),
        ("images.txt", "3 002.Laysan_Albatross/.."),
        ("images.txt", "3 /002.Laysan_Albatross/a.jpg"),
        ("images.txt", "3 002.Laysan_Albatross/a\0.jpg"),
        ("images.txt", "3 002.Laysan_Albatross/\udce4.jpg"),
        ("image_class_labels.txt", "3 two"),
        ("image_class_labels.txt", "3 2 2"),
        ("bounding_boxes.txt", "3 10.0 6.0 26.0"),
        ("bounding_boxes.txt", "3 10.0 6.0 26.0 20.0 20.0"),
        ("bounding_boxes.txt", "3 10.0 6.0 26.0 inf"),
        ("classes.txt", "2 003.Sooty_Albatross"),
        ("classes.txt", "2"),
    ],
)
def test_malformed_line(root, name, line):
    line_number = 2 if name == "classes.txt" else 3
    _edit(root / "CUB_200_2011" / name, line_number, line)
    birds = CubBirds(root, crop_to_bounding_box=True)
    error = str(birds.unusable[0])
    path = root / "CUB_200_2011" / name
    assert error.startswith(f"{path} line {line_number}: expected a line such")
    assert error.endswith(f"Received: {line!r}")
    # All but the birds of that line.
    numbers = sorted(sum(_numbers(birds).values(), []))
    assert numbers == (
        [1, 2, 5, 6, 7, 8]
        if name == "classes.txt"
        else [number for number in range(1, 9) if number != 3]
    )


def test_number_that_is_there_twice(root):
    path = root / "CUB_200_2011/image_class_labels.txt"
    _edit(path, 3, "1 2")
    reasons = [str(error) for error in CubBirds(root).unusable]
    assert reasons == [
        f"{path} line 3: 1 has a line already. Received: '1 2'",
        f"{root}/CUB_200_2011/{BIRDS[2].image}: is not in "
        "image_class_labels.txt",
    ]


def test_image_that_is_there_twice(root):
    _edit(root / "CUB_200_2011/images.txt", 2, f"2 {_FIRST}")
    reasons = [str(error) for error in CubBirds(root).unusable]
    assert len(reasons) == 2
    assert reasons[0].endswith("796111.jpg: is in images.txt twice")
    assert reasons[1].endswith("796112.txt: has no image in images.txt")


def test_image_of_another_class_than_its_folder(root):
    _edit(root / "CUB_200_2011/image_class_labels.txt", 3, "3 10")
    (error,) = CubBirds(root).unusable
    assert str(error).endswith(
        "796113.jpg: is of another class than its folder in "
        "image_class_labels.txt: 10"
    )


def test_class_without_a_name(root):
    _edit(root / "CUB_200_2011/classes.txt", 1, "")
    first, second = CubBirds(root).unusable
    assert str(first).endswith("796111.jpg: is of no class in classes.txt")
    assert str(second).endswith("796112.jpg: is of no class in classes.txt")


def test_lists_with_windows_line_ends_and_a_byte_order_mark(root):
    for path in (root / "CUB_200_2011").glob("*.txt"):
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_text("\ufeff" + text, encoding="utf-8")
    birds = CubBirds(root, crop_to_bounding_box=True)
    assert birds.unusable == []
    assert sum(map(len, birds.splits().values())) == 8


# === Crops ===


def _write_coordinates(root, box, size=(100, 80)):
    """Makes bird 1 a picture whose pixels say where they are."""
    y, x = np.indices(size[::-1])
    # What is not smooth shows how it was resized.
    checks = 255 * ((x + y) % 2)
    pixels = np.stack([x, y, checks], -1).astype("uint8")
    file = io.BytesIO()
    # PNG in spite of its name, since a JPEG would not hold them exactly.
    Image.fromarray(pixels).save(file, format="PNG")
    (root / "CUB_200_2011" / BIRDS[0].image).write_bytes(file.getvalue())
    _edit(root / "CUB_200_2011/bounding_boxes.txt", 1, f"1 {box}")
    return pixels


def _read_crop(root):
    record = _read(CubBirds(root, crop_to_bounding_box=True), 1)
    return tf.io.decode_png(record.image).numpy()


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        # Center (43, 40), 0.75 * 26 = 19.5, so 19 pixels to each side, which
        # are 38, the stored side: nothing is resized.
        ("30.0 30.0 26.0 20.0", (24, 62), (21, 59)),
        ("33.0 27.0 20.0 26.0", (24, 62), (21, 59)),
        # Halves of pixels do not count: the center is (43, 40) as above.
        ("30.9 30.5 27.2 21.9", (23, 63), (20, 60)),
        # At the upper left, then at the lower right border. The center is
        # (13, 40), then (95, 75).
        ("0.0 30.0 26.0 20.0", (0, 32), (21, 59)),
        ("82.0 65.0 26.0 20.0", (76, 100), (56, 80)),
        # The whole picture: 75 pixels to each side of (50, 40).
        ("0.0 0.0 100.0 80.0", (0, 100), (0, 80)),
        ("40.0 40.0 1.0 1.0", (39, 41), (39, 41)),
    ],
)
def test_crop(root, box, columns, rows):
    pixels = _write_coordinates(root, box)
    crop = Image.fromarray(pixels[slice(*rows), slice(*columns)])
    scale = 38 / min(crop.size)
    size = [round(length * scale) for length in crop.size]
    expected = np.asarray(crop.resize(size, Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(_read_crop(root), expected)


def test_crop_of_an_image_that_is_ready_for_training(root):
    path = root / "CUB_200_2011" / BIRDS[0].image
    write_image(path, BIRDS[0].color, size=(50, 38))
    assert _read(CubBirds(root), 1).image == path.read_bytes()
    # Center (23, 16): columns 4 to 42, rows 0 to 35.
    assert _read_crop(root).shape == (38, round(38 * 38 / 35), 3)


@pytest.mark.parametrize(
    "box",
    [
        "110.0 30.0 26.0 20.0",
        "30.0 75.0 26.0 20.0",
        "-30.0 30.0 26.0 20.0",
        "30.0 30.0 0.0 20.0",
        "30.0 30.0 26.0 -20.0",
    ],
)
def test_box_outside_the_image(root, box):
    _write_coordinates(root, box)
    message = rf"796111.jpg: .*its bounding box .*{box}.* 100 x 80 pixels"
    with pytest.raises(UnusableFileError, match=message):
        _read_crop(root)


def test_missing_box(root):
    _edit(root / "CUB_200_2011/bounding_boxes.txt", 1, "")
    (error,) = CubBirds(root, crop_to_bounding_box=True).unusable
    assert str(error).endswith("796111.jpg: has no box in bounding_boxes.txt")


# === In `prepare` ===


def test_pickled_without_the_listing(root):
    birds = CubBirds(root, crop_to_bounding_box=True)
    content = pickle.dumps(birds)
    assert BIRDS[0].stem.encode() not in content
    key = birds.splits()["train"][0]
    assert pickle.loads(content).read(key, 32) == birds.read(key, 32)


@pytest.mark.parametrize("crop", [False, True])
def test_prepared_twice_gives_the_same_bytes(root, tmp_path, crop):
    outs = [tmp_path / "first", tmp_path / "second"]
    for out in outs:
        prepare(CubBirds(root, crop), out, image_size=32)
    files = sorted(path.name for path in outs[0].iterdir())
    assert len(files) == 3
    for file in files:
        assert (outs[0] / file).read_bytes() == (outs[1] / file).read_bytes()


def test_going_on_needs_the_same_crop(root, tmp_path):
    def stop_after_the_first_shard(num_done, num_images):
        if num_done == 7:
            raise KeyboardInterrupt

    options = {"image_size": 32, "progress": stop_after_the_first_shard}
    with pytest.raises(KeyboardInterrupt):
        prepare(CubBirds(root), tmp_path / "out", **options)
    with pytest.raises(ValueError, match="which was begun with others"):
        prepare(CubBirds(root, True), tmp_path / "out", image_size=32)
