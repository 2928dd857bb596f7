"""Training on embeddings that were computed elsewhere, and what follows."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_t2i.cli.main import main
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.text import PrecomputedEmbeddings
from keras_t2i.training.model_files import load_gan
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.conftest import contents
from tests.eager import without_graphs


@pytest.fixture(scope="module")
def own_data(data, tmp_path_factory):
    """A copy of the data set, which gets the embeddings that are imported."""
    return shutil.copytree(data, tmp_path_factory.mktemp("own") / "data")


@pytest.fixture(scope="module")
def source(own_data, tmp_path_factory):
    """Two embeddings of twelve numbers for each image, and one too many."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("clip") / "clip.npz"
    arrays = {
        id: generator.normal(size=(2, 12)).astype("float32")
        for split in ("train", "val", "test")
        for id in PreparedExamples(own_data, split).text_ids()
    }
    np.savez(path, **arrays, more=np.ones(12))
    return path


def _train(*options):
    return main(["train", *(str(option) for option in options)])


@pytest.fixture(scope="module")
def own_run(own_data, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    options = ["--data", own_data, "--text-embeddings", source]
    with without_graphs():
        assert _train(*options, *GAN_OPTIONS, "--steps", 2, "--out", out) == 0
    return out


def test_a_run_without_a_text_encoder(own_run, own_data, source):
    inputs = json.loads((own_run / "config.json").read_text())["inputs"]
    assert set(inputs) == {"data", "text_embeddings"}
    assert inputs["text_embeddings"]["path"] == str(source)
    assert len(inputs["text_embeddings"]["digest"]) == 64
    # Imported once, and kept with the data set.
    (imported,) = own_data.glob("embeddings-*")
    assert (imported / "manifest.json").is_file()
    gan = keras.saving.load_model(own_run / "model.keras")
    assert gan.generator.text_embedding_dim == 12
    assert isinstance(gan.text_encoder, PrecomputedEmbeddings)
    samples = {path.name for path in (own_run / "samples").iterdir()}
    assert samples == {"real.png", "step-00000002.png"}


def test_it_is_resumed_with_the_same_embeddings(
    own_run, own_data, source, tmp_path, capsys
):
    run = shutil.copytree(own_run, tmp_path / "run")
    (imported,) = own_data.glob("embeddings-*")
    before = contents(imported)
    assert _train("--out", run, "--resume", "--steps", 2) == 0
    assert "Importing" not in capsys.readouterr().err
    assert contents(imported) == before
    # Others under the same name are not taken.
    kept = source.read_bytes()
    with np.load(source) as arrays:
        others = {name: array + 1 for name, array in arrays.items()}
    try:
        np.savez(source, **others)
        assert _train("--out", run, "--resume", "--steps", 4) == 2
    finally:
        source.write_bytes(kept)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--text-embeddings must be as it was when the run was st" in line


def test_a_dry_run_says_the_size(own_run, own_data, source, tmp_path, capsys):
    options = ["--data", own_data, "--text-embeddings", source, *GAN_OPTIONS]
    assert _train(*options, "--out", tmp_path / "run", "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["parameters"]["text_encoder"] == 0
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("loaded_once")
def test_captions_are_refused(own_run, own_data, tmp_path, error_of):
    out = tmp_path / "out" / "a.png"
    for argv in (
        ["generate", "a rose", "--model", own_run, "--out", out],
        ["interpolate", "a rose", "an iris", "--model", own_run, "--out", out],
    ):
        line = error_of(*argv)
        assert "needs such embeddings, of size 12. Received: texts" in line
        assert "--embeddings FILE" in line
    line = error_of(
        *("train-style", "--model", own_run, "--data", own_data, "--out", out)
    )
    assert "needs a --model that reads texts. Received: " in line
    assert "by `keras-t2i train --text-encoder`, and name it as --model" in line
    line = error_of("embed", "a rose", "--text-encoder", own_run)
    assert "--text-encoder must name a model that reads texts" in line
    assert not out.parent.exists()


@pytest.mark.usefixtures("loaded_once")
def test_generate_from_embeddings(own_run, tmp_path):
    gan = load_gan(own_run)
    embeddings = np.random.default_rng(1).normal(size=(2, 12)).astype("f4")
    np.save(tmp_path / "two.npy", embeddings)
    np.savez(
        tmp_path / "two.npz",
        captions=["a rose", "an iris"],
        embeddings=embeddings,
    )
    argv = ["generate", "--model", str(own_run), "--num", "2", "--seed", "5"]
    names = {}
    (tmp_path / "two.NPZ").symlink_to("two.npz")
    for suffix in ("npy", "npz", "NPZ"):
        out = tmp_path / suffix
        more = ["--embeddings", f"{out.parent}/two.{suffix}", "--out", str(out)]
        assert main([*argv, *more]) == 0
        names[suffix] = sorted(path.name for path in out.iterdir())
    assert names["npy"][::2] == ["000-row-0-seed5.png", "001-row-1-seed5.png"]
    assert names["NPZ"] == names["npz"]
    assert names["npz"][1::2] == [
        "000-a-rose-seed6.png",
        "001-an-iris-seed6.png",
    ]
    expected = gan.generate_from_embeddings(
        embeddings.repeat(2, axis=0), seed=[5, 6, 5, 6]
    )
    for name, image in zip(names["npz"], expected):
        with Image.open(tmp_path / "npz" / name) as written:
            np.testing.assert_array_equal(written, image)


@pytest.mark.usefixtures("loaded_once")
def test_generate_from_embeddings_by_an_exported_model(
    own_run, tmp_path, capsys
):
    embeddings = np.random.default_rng(1).normal(size=(1, 12)).astype("f4")
    np.save(tmp_path / "one.npy", embeddings)
    exported, out = tmp_path / "models" / "birds", tmp_path / "a.png"
    assert main(["export", f"--model={own_run}", f"--out={exported}"]) == 0
    # It has no style encoder, and can have none.
    assert "transfer_style" not in capsys.readouterr().err
    argv = ["generate", f"--embeddings={tmp_path}/one.npy", f"--out={out}"]
    assert main([*argv, f"--model={exported}"]) == 0
    expected = load_gan(own_run).generate_from_embeddings(embeddings, seed=0)
    with Image.open(out) as image:
        np.testing.assert_array_equal(image, expected[0])
    # Bytes, as other programs write them, name the files too.
    np.savez(tmp_path / "one.npz", captions=[b"a rose"], embeddings=embeddings)
    argv = ["generate", f"--embeddings={tmp_path}/one.npz"]
    assert main([*argv, f"--model={exported}", f"--out={tmp_path}/all"]) == 0
    assert [path.name for path in (tmp_path / "all").iterdir()] == [
        "000-a-rose-seed0.png"
    ]


@pytest.mark.usefixtures("loaded_once")
def test_embeddings_that_cannot_be_generated_from(own_run, tmp_path, error_of):
    files = {
        "size.npy": (np.ones((1, 5)), "(num_texts, 12), at least one row."),
        "nan.npy": (np.full((1, 12), np.nan), "not all finite"),
        "ints.npy": (np.ones((1, 12), int), "floating point numbers of shape"),
        "cube.npy": (np.ones((1, 1, 12)), "Received: "),
    }
    argv = ["generate", "--model", own_run, "--out", tmp_path / "a.png"]
    for name, (array, message) in files.items():
        np.save(tmp_path / name, array)
        assert message in error_of(*argv, "--embeddings", tmp_path / name)
        line = error_of(*argv, "--embeddings", tmp_path / name)
        assert "--embeddings must " in line
    np.savez(tmp_path / "other.npz", other=np.ones(12))
    line = error_of(*argv, "--embeddings", tmp_path / "other.npz")
    assert "with the array embeddings. Received: " in line
    assert (
        "takes captions or --embeddings FILE. Received: neither."
        in error_of(*argv)
    )
    line = error_of(*argv, "a rose", "--embeddings", tmp_path / "size.npy")
    assert "Received: both." in line
    assert not (tmp_path / "a.png").exists()


def test_a_run_resumes_with_the_imported_embeddings(
    own_run, own_data, tmp_path, error_of
):
    """Where those that they were imported from are gone."""
    run = shutil.copytree(own_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["inputs"]["text_embeddings"]["path"] = str(tmp_path / "gone.npz")
    (run / "config.json").write_text(json.dumps(config))
    options = ["--resume", "--steps", 3, "--out", run]
    line = error_of("train", *options)
    assert "gone.npz', which is not there" in line
    assert f"embeddings-* in '{own_data}'" in line
    digest = config["inputs"]["text_embeddings"]["digest"]
    (imported,) = (
        path
        for path in own_data.glob("embeddings-*")
        if read_embedding_manifest(path).fingerprint == digest
    )
    with without_graphs():
        assert _train(*options, "--text-embeddings", imported) == 0


def test_keep_best_needs_a_text_encoder(own_data, source, tmp_path, error_of):
    line = error_of(
        *["train", "--data", own_data, "--text-embeddings", source],
        *["--keep-best", "recall", "--out", tmp_path / "run"],
    )
    assert "--keep-best generates from captions, and needs --text-enc" in line


def test_what_is_not_there_or_lacks_images(own_data, tmp_path, error_of):
    before = contents(own_data)
    np.savez(tmp_path / "few.npz", more=np.ones(12))
    argv = ["train", "--data", own_data, "--out", tmp_path / "run"]
    for name, message in (
        ("few.npz", "without 60 of them"),
        ("no-such.npz", "--text-embeddings must be a file or folder"),
        ("no-such-folder", "is not there"),
    ):
        line = error_of(*argv, "--text-embeddings", tmp_path / name)
        assert message in line
    assert "Received: none of them" in error_of(*argv)
    assert contents(own_data) == before
    assert not (tmp_path / "run").exists()
