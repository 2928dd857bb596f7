import re

import pytest
import tensorflow as tf

from keras_t2i.cli.main import main
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.shards import CaptionedImage
from tests.datasets.cub_birds_test import BIRDS
from tests.datasets.cub_birds_test import write_birds
from tests.datasets.raw_files import write_flower
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text


@pytest.fixture
def flowers(tmp_path):
    root = tmp_path / "raw"
    for number in range(1, 21):
        write_flower(root, (number + 1) // 2, number)
    return root


def _error(capsys):
    """The one line that a failed command says."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-t2i: ")
    return line


def test_oxford_flowers(tmp_path, flowers, capsys):
    out = tmp_path / "out"
    argv = ["prepare", "oxford_flowers", "--source", str(flowers)]
    assert main([*argv, "--out", str(out), "--image-size", "32"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "train: 18 images, 36 captions",
        "test: 2 images, 4 captions",
        "skipped: 0 files",
        f"prepared data set: {out}",
    ]
    assert captured.err.startswith("Preparing: 20 of 20 images")
    assert read_manifest(out).image_size == 32


def test_cub_birds(tmp_path, capsys):
    root = tmp_path / "raw"
    write_birds(root)
    (root / BIRDS[3].captions).unlink()
    argv = ["prepare", "cub_birds", "--source", str(root), "--image-size", "32"]
    shapes = {}
    for crop in ([], ["--crop-to-bounding-box"]):
        out = tmp_path / f"out{len(crop)}"
        assert main([*argv, "--out", str(out), *crop]) == 0
        captured = capsys.readouterr()
        assert f"{BIRDS[3].image}: has no captions in " in captured.err
        assert captured.out.splitlines() == [
            "train: 6 images, 12 captions",
            "test: 1 images, 2 captions",
            "skipped: 1 files",
            f"prepared data set: {out}",
        ]
        manifest = read_manifest(out)
        assert (manifest.name, len(manifest.class_names)) == ("cub_birds", 4)
        record = next(
            iter(tf.data.TFRecordDataset(str(next(out.glob("test-*")))))
        )
        image = CaptionedImage.parse(record.numpy()).image
        shapes[bool(crop)] = tf.io.decode_image(image).shape
    # All of 50 x 40 pixels, or 38 x 35 of them: columns 4 to 42 and, where
    # the box leaves the picture, rows 0 to 35.
    assert shapes == {False: (38, 48, 3), True: (38, 41, 3)}


def test_blooms(tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["prepare", "blooms", "--num-images", "20", "--seed", "1"]
    assert main([*argv, "--out", str(out)]) == 0
    manifest = read_manifest(out)
    assert (manifest.name, manifest.image_size) == ("blooms", 64)
    assert {s: v.num_images for s, v in manifest.splits.items()} == {
        "train": 16,
        "val": 2,
        "test": 2,
    }


def test_skipped_files_are_named_and_counted(tmp_path, capsys):
    root = tmp_path / "raw"
    for number in range(40):
        write_image(root / f"{number:02d}.jpg")
    for number in range(15):
        write_text(root / f"{number:02d}.txt", "a caption")
    write_text(root / "14.txt", "{}")
    argv = ["prepare", "folder", "--source", str(root)]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    lines = [
        line for line in captured.err.splitlines() if line.startswith("skipped")
    ]
    assert lines[:2] == [
        f"skipped {root}/15.jpg: has no captions",
        f"skipped {root}/16.jpg: has no captions",
    ]
    assert len(lines) == 21
    assert lines[20] == "skipped 6 more"
    assert "skipped: 26 files" in captured.out


def test_strict(tmp_path, flowers, capsys):
    (flowers / "jpg/image_00003.jpg").write_bytes(b"no image")
    out = str(tmp_path / "out")
    argv = ["prepare", "oxford_flowers", "--source", str(flowers)]
    assert main([*argv, "--out", out, "--strict"]) == 2
    assert "image_00003.jpg: is not an image" in _error(capsys)
    assert main([*argv, "--out", out]) == 0
    assert "skipped: 1 files" in capsys.readouterr().out


def _write_folder(root, files, captions=b"a flower\n"):
    for file in files:
        write_image(root / f"{file}.jpg")
        (root / f"{file}.txt").write_bytes(captions)


def test_a_class_in_no_list_is_counted_and_named(tmp_path, capsys):
    root = tmp_path / "raw"
    names = ("rose", "tulip", "lily")
    _write_folder(root, [f"{name}/{n}" for name in names for n in range(4)])
    write_text(root / "trainclasses.txt", "rose\ntulip\n")
    write_text(root / "testClasses.txt", "lily\n")
    argv = ["prepare", "folder", "--source", str(root), "--image-size", "32"]
    out = str(tmp_path / "out")
    assert main([*argv, "--out", out, "--strict"]) == 2
    assert "testClasses.txt: is no class list" in _error(capsys)
    (root / "testClasses.txt").unlink()
    assert main([*argv, "--out", out, "--strict"]) == 2
    assert "class lily: is in no class list" in _error(capsys)
    assert main([*argv, "--out", out]) == 0
    captured = capsys.readouterr()
    assert "skipped class lily: is in no class list" in captured.err
    assert "skipped: 4 files" in captured.out


def test_several_sources(tmp_path, capsys):
    sources = [tmp_path / "deep" / "a", tmp_path / "b"]
    for source in sources:
        _write_folder(source, range(3))
    out = tmp_path / "out"
    argv = ["prepare", "folder", "--image-size", "32", "--out", str(out)]
    assert main([*argv, "--source", *map(str, sources)]) == 0
    assert "train: 6 images" in capsys.readouterr().out
    same = [str(sources[0]), f"{sources[0]}/"]
    assert main([*argv, "--source", *same]) == 2
    assert "need folders of different names" in _error(capsys)


def test_folders_of_splits_are_said_aloud(tmp_path, capsys):
    root = tmp_path / "raw"
    _write_folder(root, ["train/1", "train/2", "test/1"])
    argv = ["prepare", "folder", "--source", str(root), "--image-size", "32"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("splits: the folders test, train\n")
    assert captured.out.startswith("train: 2 images, 2 captions\ntest: 1 imag")


def test_a_damaged_caption_is_skipped_alone(tmp_path, capsys):
    root = tmp_path / "raw"
    _write_folder(root, range(3), b"a flower\na 3\xbe inch flower\na rose\n")
    argv = ["prepare", "folder", "--source", str(root), "--image-size", "32"]
    out = str(tmp_path / "out")
    assert main([*argv, "--out", out, "--strict"]) == 2
    assert ".txt line 2: is not UTF-8" in _error(capsys)
    assert main([*argv, "--out", out]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("train: 3 images, 6 captions\n")
    assert captured.err.count("txt line 2: is not UTF-8") == 3


def test_finished_folder(tmp_path, flowers, capsys):
    argv = ["prepare", "oxford_flowers", "--source", str(flowers)]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        "train: 18 images, 36 captions",
        "test: 2 images, 4 captions",
        f"already there: {tmp_path / 'out'}",
    ]
    argv += ["--image-size", "32"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 2
    assert "data set already, with --image-size 64. Use it" in _error(capsys)


def test_the_source_is_no_place_for_the_data_set(tmp_path, capsys):
    write_image(tmp_path / "in" / "1.jpg")
    write_text(tmp_path / "in" / "1.txt", "a rose")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    files = sorted((tmp_path / "in").iterdir())
    for out in ("in", "in/", "other/../in", "link"):
        argv = ["prepare", "folder", "--source", str(tmp_path / "in")]
        assert main([*argv, "--out", f"{tmp_path}/{out}"]) == 2
        assert "--out must be another folder than --source" in _error(capsys)
    assert sorted((tmp_path / "in").iterdir()) == files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["oxford_flowers"], "oxford_flowers needs --source DIR"),
        (["folder"], "folder needs --source DIR"),
        (["cub_birds"], "cub_birds needs --source DIR"),
        (["folder", "--source", "nowhere"], "'nowhere', which is no folder"),
        (["cub_birds", "--source", "nowhere"], "'nowhere', which is no folder"),
        (["oxford_flowers", "--source", "nowhere"], "'nowhere', which is no"),
        (
            ["blooms", "--source", "x"],
            "blooms are rendered and have no --source",
        ),
        (["coco_captions"], "coco_captions needs --source DIR"),
        (["coco_captions", "--source", "."], "captions of one year in ."),
        (["folder", "--source", "x", "x"], "'x', which is no folder"),
        (["blooms", "--num-images", "9"], "at least 10.* Received: 9"),
        (
            ["folder", "--source", ".", "--num-images", "9"],
            "--num-images is for blooms only. Received: 9 for folder",
        ),
        (
            ["folder", "--source", ".", "--crop-to-bounding-box"],
            "--crop-to-bounding-box is for cub_birds only. Received: folder",
        ),
        (
            ["blooms", "--crop-to-bounding-box"],
            "--crop-to-bounding-box is for cub_birds only. Received: blooms",
        ),
        (
            ["folder", "--source", ".", "--seed", "0"],
            "--seed is for blooms only. Received: 0 for folder",
        ),
    ],
)
def test_bad_usage(tmp_path, capsys, options, message):
    out = tmp_path / "out"
    assert main(["prepare", *options, "--out", str(out)]) == 2
    assert not list(out.glob("*"))
    assert re.search(message, _error(capsys))


@pytest.mark.parametrize(
    "argv",
    [["prepare"], ["prepare", "roses", "--out", "x"], ["prepare", "blooms"]],
)
def test_usage_that_the_parser_refuses(argv, capsys):
    with pytest.raises(SystemExit) as error:
        main(argv)
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-t2i prepare: ")
    assert argv != ["prepare"] or "{blooms,oxford_flowers," in line
    assert line.endswith("See keras-t2i prepare --help.")


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    text = capsys.readouterr().out
    for option in (
        "--source DIR",
        "--out DIR",
        "--image-size PIXELS",
        "--crop-to-bounding-box",
        "--num-images N",
        "--seed S",
        "--strict",
    ):
        _, _, explanation = text.partition(f"  {option}")
        assert len(explanation.split("\n  -")[0].split()) > 3, option


def test_long_captions_are_counted(tmp_path, capsys):
    root = tmp_path / "raw"
    for number in range(12):
        write_image(root / f"{number}.png")
        text = "a" * (250 if number < 3 else 201)
        write_text(root / f"{number}.txt", f"{text}\n{number}")
    out = tmp_path / "out"
    argv = ["prepare", "folder", "--source", str(root), "--out", str(out)]
    assert main([*argv, "--image-size", "32"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "cut: 3 captions are longer than the 201 characters that text encoders "
        "read; the data set keeps them whole"
    )


def test_unknown_characters_are_counted(tmp_path, capsys):
    for kind, text in (("few", "a rose"), ("most", "красный цветок")):
        root = tmp_path / kind
        for number in range(12):
            write_image(root / f"{number}.png")
            words = "rosée" if number < 2 else text
            write_text(root / f"{number}.txt", f"{words} {number}")
        argv = ["prepare", "folder", "--source", str(root), "--out"]
        assert main([*argv, str(tmp_path / "out" / kind)]) == 0
    lines = capsys.readouterr().err.splitlines()
    counted = [line for line in lines if line.startswith("unknown: ")]
    assert (
        "unknown: 2 captions have characters outside of the alp" in counted[0]
    )
    assert "2 of all 96 characters; the data set keeps them" in counted[0]
    assert "unknown: 12 captions" in counted[1]
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert "most characters are unknown" in warning
    assert "word_cnn_rnn_small" in warning and "--text-embeddings" in warning


@pytest.mark.parametrize("size", ["0", "100"])
def test_sizes_that_no_network_has(tmp_path, capsys, size):
    argv = ["prepare", "blooms", "--num-images", "20", "--image-size", size]
    with pytest.raises(SystemExit) as error:
        main([*argv, "--out", str(tmp_path / "data")])
    assert error.value.code == 2
    assert "choose from 32, 64, 128, 256" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
