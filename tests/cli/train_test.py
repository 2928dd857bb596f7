import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i import Recipe
from keras_t2i.cli.main import main
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import embeddings_fingerprint
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.training.entry import INPUTS
from keras_t2i.training.gan_training import GANTraining
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.precomputed import embeddings_beside
from keras_t2i.training.run_folder import RunFolder
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import killed_after
from tests.cli.run_states import lines_of
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set


@pytest.fixture
def text_copy(text_run, tmp_path):
    """A run of `train-text` beside which no embeddings are yet."""
    folder = tmp_path / "text"
    shutil.copytree(
        text_run, folder, ignore=shutil.ignore_patterns("embeddings*")
    )
    return folder


@pytest.fixture
def one_class(tmp_path):
    """Four images to train on and two to test on, all of class 0."""
    examples = [
        example(number, class_id=0, height=38, width=40) for number in range(6)
    ]
    folder = tmp_path / "one_class"
    splits = {"train": [examples[:4]], "test": [examples[4:]]}
    write_prepared_set(folder, splits, ["rose"], image_size=32)
    return folder


def _train(*options):
    return main(["train", *(str(option) for option in options)])


def _embedding_folders(text_run):
    return sorted(path.name for path in text_run.glob("embeddings*"))


def _lines(run):
    return [
        json.loads(line)
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


# === The run folder ===


def test_files(gan_run):
    assert sorted(contents(gan_run)) == [
        "checkpoints/step-00000040.keras",
        "config.json",
        "metrics.jsonl",
        "model.keras",
        "samples/real.png",
        "samples/step-00000040.png",
    ]


def test_config(gan_run, data, text_run):
    config = json.loads((gan_run / "config.json").read_text())
    assert config["command"] == "train"
    recipe = Recipe().override(width=4, batch_size=8, steps=40)
    assert config["recipe"] == recipe.to_dict()
    manifest = read_manifest(data)
    digest = embeddings_fingerprint(manifest, load_text_encoder(text_run))
    assert config["inputs"] == {
        "data": {"path": str(data), "digest": data_fingerprint(manifest)},
        "text_encoder": {"path": str(text_run), "digest": digest},
    }
    assert config["versions"]["keras"] == keras.__version__


def test_metrics(gan_run):
    lines = _lines(gan_run)
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    # 54 images make 6 steps an epoch.
    assert [line["epoch"] for line in lines] == [1, 3, 5, 6]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    for line in lines:
        assert set(line) == {
            "step",
            "epoch",
            "seconds",
            "discriminator_loss",
            "generator_loss",
            "real_accuracy",
            "mismatched_accuracy",
            "generated_accuracy",
            "diversity",
            "mode_seeking_loss",
        }
        assert np.isfinite(list(line.values())).all()


def test_model(gan_run, text_run):
    gan = keras.saving.load_model(gan_run / "model.keras")
    assert gan.image_size == 32
    assert gan.matching_aware and gan.interpolate_texts
    assert int(gan.generator_optimizer.iterations) == 40
    # The text encoder is inside, as it was.
    for own, given in zip(
        gan.text_encoder.get_weights(),
        load_text_encoder(text_run).get_weights(),
    ):
        np.testing.assert_array_equal(own, given)


def test_samples(gan_run, data):
    test = PreparedExamples(data, "test")
    with Image.open(gan_run / "samples/real.png") as real:
        assert real.height == len(test) * 136
    with Image.open(gan_run / "samples/step-00000040.png") as drawn:
        assert drawn.height == len(test) * 136
        assert drawn.width > 6 * 136


def test_minutes(data, text_run, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    options = ["--data", data, "--text-encoder", text_run, "--minutes", 0.005]
    assert _train(*options, *GAN_OPTIONS, "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.out == f"model: {out}/model.keras\n"
    assert re.fullmatch(
        r"Training: (\d+) of \1 steps, [\d.]+ steps/s, "
        r"discriminator loss [\d.]+, generator loss [\d.]+, .*",
        captured.err.splitlines()[-1],
    )
    seconds = [line["seconds"] for line in _lines(out)]
    # Ended by the first line after 0.3 seconds.
    assert seconds[-1] >= 0.3
    assert all(second < 0.3 for second in seconds[:-1])


def _new_gan(folder, data, text_run, **fields):
    """The GAN of a training that is not begun."""
    recipe = Recipe().override(width=4, batch_size=8, steps=1, **fields)
    paths = {
        **dict.fromkeys(INPUTS[Recipe]),
        "data": data,
        "text_encoder": text_run,
    }
    return GANTraining(RunFolder(folder), recipe, paths).gan


def test_networks_have_the_precision(data, text_run, tmp_path):
    gan = _new_gan(tmp_path, data, text_run, precision="mixed_float16")
    assert gan.generator.dtype_policy.name == "mixed_float16"
    assert gan.discriminator.dtype_policy.name == "mixed_float16"
    assert gan.ema_generator.dtype_policy.name == "float32"


# Such GANs are trained, saved and trained on in tests/models/precision_test.py.
@pytest.mark.large
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_precision(data, text_run, tmp_path, checkpoints_every, precision):
    checkpoints_every(2)
    out = tmp_path / "run"
    options = ["--data", data, "--text-encoder", text_run]
    options += ["--precision", precision, *GAN_OPTIONS]
    assert _train(*options, "--steps", 3, "--out", out) == 0
    gan = load_gan(out)
    assert gan.generator.dtype_policy.name == precision
    assert gan.ema_generator.dtype_policy.name == "float32"
    assert {weight.dtype for weight in gan.generator.weights} == {"float32"}
    assert gan.generate("a rose").shape == (1, 32, 32, 3)
    killed = killed_after(2, out, tmp_path / "killed")
    assert _train("--out", killed, "--resume") == 0
    assert_same_state(killed / "model.keras", out / "model.keras")


@pytest.fixture
def mirrored(two_replicas, monkeypatch):
    """`--strategy mirrored` takes all GPUs; the two devices stand for them."""
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    return ["--strategy", "mirrored"]


# So do GANs of several kinds in tests/models/fit_test.py.
@pytest.mark.large
def test_mirrored_takes_the_steps_of_one_device(
    data, text_run, tmp_path, mirrored, checkpoints_every
):
    checkpoints_every(2)
    # Without interpolated texts, whose pairs are made on each device.
    argv = ["--data", data, "--text-encoder", text_run, "--preset", "gan_cls"]
    argv += ["--width", 4, "--batch-size", 8, "--steps", 3]
    one, two = tmp_path / "one", tmp_path / "two"
    assert _train(*argv, "--out", one) == 0
    assert _train(*argv, *mirrored, "--out", two) == 0
    weights, others = (load_gan(run).get_weights() for run in (two, one))
    for weight, expected in zip(weights, others):
        np.testing.assert_allclose(weight, expected, atol=1e-5)
    (line,), (expected,) = (_lines(run) for run in (two, one))
    for name in set(line) - {"seconds"}:
        assert line[name] == pytest.approx(expected[name], abs=1e-4)
    # It goes on where it was, on as many devices, from between two lines.
    killed = killed_after(2, two, tmp_path / "killed")
    assert _train("--out", killed, "--resume") == 0
    assert_same_state(killed / "model.keras", two / "model.keras")
    # But for the order in which the devices' metrics are summed.
    for line, expected in zip(lines_of(killed), lines_of(two), strict=True):
        assert line == pytest.approx(expected, rel=1e-6)


def test_a_batch_that_devices_can_not_share(
    data, text_run, tmp_path, mirrored, error_of
):
    line = error_of(
        *["train", "--data", data, "--text-encoder", text_run],
        *["--out", tmp_path / "run", "--width", 4, "--batch-size", 7],
        *["--steps", 3, *mirrored],
    )
    assert "a multiple of the number of devices, 2. Received: 7" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("eagerly")
def test_preset_gan_trains_on_one_class(one_class, text_copy, tmp_path, capsys):
    out = tmp_path / "run"
    options = ["--data", one_class, "--text-encoder", text_copy]
    options += ["--preset", "gan", "--width", 4, "--batch-size", 2]
    assert _train(*options, "--steps", 6, "--out", out) == 0
    (line,) = _lines(out)
    assert "mismatched_accuracy" not in line
    assert "few steps" not in capsys.readouterr().err
    assert _train("--out", out, "--resume", "--epochs", 3) == 0
    assert (
        "few steps: 3 epochs of 4 images are 6 steps, and images show little "
        "before 1,000. Set --steps or --minutes"
    ) in capsys.readouterr().err.splitlines()
    assert np.isfinite(line["generator_loss"])


def test_fine_tuning_on_embeddings_trains_no_text_encoder(
    end_to_end_run, data, tmp_path, capsys
):
    embeddings = tmp_path / "embeddings"
    text_encoder = load_gan(end_to_end_run).text_encoder
    extract_embeddings(text_encoder, data, embeddings)
    argv = ["--from", end_to_end_run, "--data", data, "--dry-run"]
    argv += ["--out", tmp_path / "run"]
    for options, trains in (
        ([], True),
        (["--text-embeddings", embeddings], False),
    ):
        capsys.readouterr()
        assert _train(*argv, *options) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["recipe"]["end_to_end"] is trains


def test_end_to_end(end_to_end_run, text_run):
    before = load_text_encoder(text_run).get_weights()
    after = load_gan(end_to_end_run).text_encoder.get_weights()
    assert all(not np.array_equal(a, b) for a, b in zip(before, after))


# === Embeddings ===


@pytest.mark.usefixtures("eagerly")
def test_embeddings_that_are_given(data, text_run, text_copy, tmp_path, capsys):
    embeddings, out = tmp_path / "embeddings", tmp_path / "run"
    argv = ["embed", "--data", data, "--text-encoder", text_copy]
    assert main([*map(str, argv), "--out", str(embeddings)]) == 0
    options = ["--data", data, "--text-encoder", text_copy, *GAN_OPTIONS]
    options += ["--text-embeddings", embeddings]
    capsys.readouterr()
    assert _train(*options, "--steps", 2, "--out", out) == 0
    assert "Embedding" not in capsys.readouterr().err
    assert _embedding_folders(text_copy) == []
    inputs = json.loads((out / "config.json").read_text())["inputs"]
    assert inputs["text_embeddings"] == {
        "path": str(embeddings),
        "digest": read_embedding_manifest(embeddings).fingerprint,
    }
    # They are those that `train` makes beside the encoder.
    beside = embeddings_beside(
        text_copy,
        load_text_encoder(text_copy),
        data,
        read_embedding_manifest(embeddings).fingerprint,
    )
    assert contents(embeddings) == contents(beside)
    # They are found again, and must be what they were.
    assert _train("--out", out, "--resume", "--steps", 2) == 0
    manifest = embeddings / "manifest.json"
    content = json.loads(manifest.read_text())
    content["fingerprint"] = "f" * 64
    del content["checksum"]
    manifest.write_text(json.dumps(content))
    capsys.readouterr()
    assert _train("--out", out, "--resume", "--steps", 3) == 2
    line = capsys.readouterr().err
    assert "--text-embeddings must be as it was when the run was st" in line


def test_embeddings_of_another_text_encoder(
    data, text_copy, end_to_end_run, tmp_path, error_of
):
    keras.utils.set_random_seed(7)
    other = load_text_encoder(text_copy)
    other.set_weights([np.random.normal(size=w.shape) for w in other.weights])
    embeddings, out = tmp_path / "embeddings", tmp_path / "run"
    extract_embeddings(other, data, embeddings)
    argv = ["train", "--data", data, "--text-embeddings", embeddings]
    argv += ["--out", out]
    for options, maker in (
        (["--text-encoder", text_copy, "--dry-run"], "--text-encoder"),
        (["--text-encoder", text_copy], "--text-encoder"),
        (["--from", end_to_end_run], "the text encoder of --from"),
    ):
        line = error_of(*argv, *options)
        assert f"--text-embeddings must be those that {maker} makes" in line
        assert not out.exists()


@pytest.mark.usefixtures("eagerly")
def test_imported_embeddings_of_the_text_encoder(data, text_copy, tmp_path):
    # In another order, rounded, or their mean.
    encoder = load_text_encoder(text_copy)
    arrays = {}
    for split in ("train", "val", "test"):
        examples = PreparedExamples(data, split)
        for index, id in enumerate(examples.text_ids()):
            own = embed_texts(encoder, list(examples.captions(index)))
            arrays[id] = own[::-1].astype("float16").astype("float32")
    for name, rows_of in (("all", lambda a: a), ("one", lambda a: a.mean(0))):
        path, out = tmp_path / f"{name}.npz", tmp_path / name
        np.savez(path, **{id: rows_of(rows) for id, rows in arrays.items()})
        options = ["--data", data, "--text-encoder", text_copy, *GAN_OPTIONS]
        options += ["--text-embeddings", path, "--steps", 2, "--out", out]
        assert _train(*options) == 0


def test_embeddings_that_do_not_fit(data, text_copy, tmp_path, error_of):
    embeddings = tmp_path / "embeddings"
    ids = [
        id
        for split in ("train", "val", "test")
        for id in PreparedExamples(data, split).text_ids()
    ]
    np.savez(tmp_path / "own.npz", **{id: np.ones((1, 5)) for id in ids})
    argv = ["embed", "--data", data, "--from", tmp_path / "own.npz"]
    assert main([*map(str, argv), "--out", str(embeddings)]) == 0
    out = tmp_path / "run"
    argv = ["train", "--data", data, "--text-embeddings", embeddings]
    argv += ["--out", out]
    line = error_of(*argv, "--text-encoder", text_copy)
    assert (
        "--text-embeddings must have the size of those of --text-encoder"
        in line
    )
    assert "embeddings', of size 5." in line
    line = error_of(*argv, "--end-to-end")
    assert "Received: also --end-to-end, which trains it." in line
    assert not out.exists()


# === Embeddings beside the text encoder ===


def _embeddings_of(data, text_encoder):
    """The folder that `train` takes a data set's embeddings from."""
    encoder = load_text_encoder(text_encoder)
    fingerprint = embeddings_fingerprint(read_manifest(data), encoder)
    return embeddings_beside(text_encoder, encoder, data, fingerprint)


def test_embeddings_made_by_embed_are_found(data, text_copy, capsys):
    out = text_copy / "embeddings"
    argv = ["embed", "--data", data, "--text-encoder", text_copy, "--out", out]
    assert main([str(argument) for argument in argv]) == 0
    before = contents(out)
    capsys.readouterr()
    assert _embeddings_of(data, text_copy) == out
    assert "Embedding" not in capsys.readouterr().err
    assert _embedding_folders(text_copy) == ["embeddings"]
    assert contents(out) == before


@pytest.mark.usefixtures("eagerly")
def test_embeddings_are_extracted_once(data, text_copy, tmp_path, capsys):
    def embed(data, name):
        argv = ["embed", "--data", data, "--text-encoder", text_copy]
        argv += ["--out", text_copy / name]
        assert main([str(argument) for argument in argv]) == 0

    # Some of another encoder, and some of other flowers with the same ids.
    embed(data, "embeddings-a")
    model = keras.saving.load_model(text_copy / "model.keras")
    embedding = model.text_encoder.get_layer("embedding")
    embedding.bias.assign_add(np.full(embedding.bias.shape, 0.1))
    model.save(text_copy / "model.keras")
    other = tmp_path / "other"
    argv = ["prepare", "blooms", "--num-images", 60, "--image-size", 32]
    argv += ["--seed", 1, "--out", other]
    assert main([str(argument) for argument in argv]) == 0
    embed(other, "embeddings-b")

    # By the run folder in a training, then by the file in it.
    options = ["--data", data, "--text-encoder", text_copy, *GAN_OPTIONS]
    capsys.readouterr()
    assert _train(*options, "--steps", 1, "--out", tmp_path / "run") == 0
    assert "Embedding captions: 60 of 60" in capsys.readouterr().err
    folder = _embeddings_of(data, text_copy / "model.keras")
    assert "Embedding" not in capsys.readouterr().err
    names = set(_embedding_folders(text_copy))
    assert names - {"embeddings-a", "embeddings-b"} == {folder.name}
    manifest = read_embedding_manifest(folder)
    assert folder.name == f"embeddings-{manifest.fingerprint[:12]}"


def test_another_seed_gives_other_weights(data, text_run, tmp_path):
    weights = [
        _new_gan(tmp_path, data, text_run, seed=seed).generator.get_weights()
        for seed in (0, 1)
    ]
    assert not all(np.array_equal(a, b) for a, b in zip(*weights))


def test_captions_that_are_cut_are_counted(text_copy, tmp_path, capsys):
    examples = [
        example(number, captions=(text,), height=32, width=32)
        for number, text in enumerate(["a rose", "a " * 101, "a tulip"])
    ]
    splits = {"train": [examples[:2]], "test": [examples[2:]]}
    write_prepared_set(tmp_path / "data", splits, image_size=32)
    _embeddings_of(tmp_path / "data", text_copy)
    lines = capsys.readouterr().err.splitlines()
    assert (
        "cut: 1 captions are longer than the 201 characters that are read"
    ) in lines


def test_damaged_embeddings(data, text_copy, tmp_path, error_of):
    argv = ["embed", "--data", data, "--text-encoder", text_copy]
    argv += ["--out", text_copy / "embeddings"]
    assert main([str(argument) for argument in argv]) == 0
    (shard,) = (text_copy / "embeddings").glob("train-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    out = tmp_path / "run"
    line = error_of(
        *["train", "--data", data, "--text-encoder", text_copy, "--out", out],
        *GAN_OPTIONS,
    )
    assert f"{shard} must have the SHA-256" in line
    assert not out.exists()


# === Dry run ===


def test_dry_run(data, text_copy, tmp_path, capsys):
    before = contents(text_copy)
    out = tmp_path / "run"
    options = ["--data", data, "--text-encoder", text_copy, *GAN_OPTIONS]
    assert _train(*options, "--out", out, "--dry-run") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    plan = json.loads(captured.out)
    assert plan["image_size"] == 32
    recipe = Recipe().override(width=4, batch_size=8)
    assert plan["recipe"] == recipe.to_dict()
    assert plan["inputs"]["data"] == str(data)
    # 200 epochs, of six batches each.
    assert (plan["num_images"], plan["steps"]) == (54, 1200)
    encoder = load_text_encoder(text_copy)
    assert plan["parameters"]["text_encoder"] == encoder.count_params()
    assert set(plan["parameters"]) == {
        "generator",
        "discriminator",
        "text_encoder",
    }
    assert not out.exists()
    assert contents(text_copy) == before


# === Bad input ===


@pytest.fixture
def refused(text_copy, tmp_path, error_of):
    """Runs `train`, which must leave everything as it was."""

    def run(*options, text_encoder=text_copy, dry_run=False):
        before = contents(tmp_path)
        out = tmp_path / "run"
        given = ["--text-encoder", text_encoder] if text_encoder else []
        lines = [
            error_of("train", *options, *given, "--out", out, *more)
            for more in ([], ["--dry-run"])
        ]
        assert lines[0] == lines[1]
        assert not out.exists()
        assert contents(tmp_path) == before
        assert _embedding_folders(text_copy) == []
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("options", "text_encoder", "message"),
    [
        ([], "TEXT", "train needs --data DIR"),
        (["--data", "nowhere"], "TEXT", "`keras-t2i prepare`.*'nowhere'"),
        (["--data", "DATA"], None, "train needs --text-encoder RUN_OR_FILE"),
        (
            ["--data", "DATA"],
            "nowhere",
            "--text-encoder must name a run folder or a .keras.*'nowhere'",
        ),
        (
            ["--data", "DATA", "--preset", "dall-e"],
            "TEXT",
            "gan_int_cls.*'dall",
        ),
        (["--resume"], None, "--resume needs.*run', which holds no run"),
        (
            ["--data", "DATA", "--width", 100000],
            "TEXT",
            "fit into the memory, .*--width 100000 and --batch-size 32, which",
        ),
        (
            ["--data", "DATA", "--batch-size", 10000000],
            "TEXT",
            "--batch-size must be at most .* train on, 54. Received: 10000000",
        ),
    ],
)
def test_bad_input(data, text_copy, refused, options, text_encoder, message):
    options = [str(data) if option == "DATA" else option for option in options]
    encoder = text_copy if text_encoder == "TEXT" else text_encoder
    assert re.search(message, refused(*options, text_encoder=encoder))


def test_no_text_encoder_in_the_file(data, tmp_path, refused):
    path = tmp_path / "notes.keras"
    path.write_text("no model")
    line = refused("--data", data, text_encoder=path)
    assert "--text-encoder must name a model saved by this library" in line


def test_one_class(one_class, refused):
    line = refused("--data", one_class, "--batch-size", 4)
    assert "one class only" in line and "--preset gan" in line


def test_damaged_manifest(data, tmp_path, refused):
    damaged = shutil.copytree(data, tmp_path / "data")
    manifest = damaged / "manifest.json"
    manifest.write_text(manifest.read_text()[:-30])
    assert f"{manifest}: must be JSON" in refused("--data", damaged)


# Those of one split are opened like those of another.
@pytest.mark.parametrize(
    "split",
    [
        "train",
        pytest.param("val", marks=pytest.mark.large),
        pytest.param("test", marks=pytest.mark.large),
    ],
)
def test_damaged_shard(data, tmp_path, refused, split):
    damaged = shutil.copytree(data, tmp_path / "data")
    (shard,) = damaged.glob(f"{split}-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    line = refused("--data", damaged)
    assert f"{shard} must have the SHA-256" in line


def test_out_that_holds_a_run(data, text_run, gan_run, error_of):
    before = contents(gan_run)
    line = error_of(
        *["train", "--data", data, "--text-encoder", text_run],
        *["--out", gan_run],
    )
    assert "--out must name a new or empty folder" in line
    assert "which holds a run" in line and "--resume" in line
    assert contents(gan_run) == before


def test_seed_beyond_32_bits(data, refused):
    assert "2**32" in refused("--data", data, "--seed", 2**32)
