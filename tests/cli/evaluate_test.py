import json
import re
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from keras_t2i import JointEmbedding
from keras_t2i.cli import evaluate as evaluate_command
from keras_t2i.cli.main import main
from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import ModelImages
from keras_t2i.evaluation import evaluate_images
from keras_t2i.evaluation import load_judge
from keras_t2i.evaluation.judge import DEFAULT_JUDGE
from keras_t2i.text.image_encoders import feature_encoder
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import judging_network
from tests.evaluation.tiny_sets import write_images
from tests.evaluation.tiny_sets import write_set
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import vivid_gan

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("evaluated") / "data")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A GAN, a text encoder and a judge, as files."""
    folder = tmp_path_factory.mktemp("models")
    vivid_gan().save(folder / "gan.keras")
    tiny_joint_embedding().save(folder / "text.keras")
    judging_network().save(folder / "judge.keras")
    return folder


@pytest.fixture
def options(prepared, models):
    return ["--data", prepared, "--features", models / "judge.keras"]


def _evaluate(*argv):
    return main(["evaluate", *map(str, argv)])


def test_a_model(options, prepared, models, tmp_path, capsys):
    out = tmp_path / "deep" / "figures.json"
    argv = ["--model", models / "gan.keras", "--images-per-caption", 2]
    text_encoder = ["--text-encoder", models / "text.keras"]
    assert _evaluate(*argv, *options, *text_encoder, "--out", out) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert json.loads(out.read_text("utf-8")) == results
    captions = EvaluationCaptions(prepared, "test")
    direct = evaluate_images(
        ModelImages(vivid_gan(), captions, 2),
        captions,
        load_judge(models / "judge.keras"),
    )
    assert 0 < results.pop("r_precision") < 1
    assert 0 < results["real"].pop("r_precision") < 1
    assert len(results.pop("text_encoder_sha256")) == 64
    assert direct.results.pop("r_precision") is None
    assert direct.results["real"].pop("r_precision") is None
    assert direct.results.pop("text_encoder_sha256") is None
    assert results == direct.results
    lines = captured.err.splitlines()
    assert lines[-2].startswith("Measuring generated images: 240 of 240 imag")
    assert lines[-1].startswith("Measuring real images: 120 of 120 images")
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "figures.json",
        "nearest.png",
    ]
    with Image.open(out.with_name("nearest.png")) as image:
        # Ten rows of pictures, four times as large.
        assert image.height > 10 * 4 * 32
        pixels = np.asarray(image.convert("RGB"))
    enlarged = direct.nearest_images.repeat(4, axis=2).repeat(4, axis=3)
    assert _holds(pixels, enlarged[0, 0]) and _holds(pixels, enlarged[9, 1])


def _holds(pixels, part):
    """Whether a picture is a part of another one."""
    height, width = part.shape[:2]
    candidates = np.argwhere((pixels == part[0, 0]).all(axis=-1))
    return any(
        np.array_equal(pixels[y : y + height, x : x + width], part)
        for y, x in candidates
    )


def test_the_images_of_a_model_in_a_folder(
    options, prepared, models, tmp_path, capsys
):
    captions = EvaluationCaptions(prepared, "test")
    images = vivid_gan().generate(captions.captions, seed=0, batch_size=32)
    write_images(tmp_path / "images", captions.ids, images)
    assert _evaluate("--model", models / "gan.keras", *options) == 0
    of_model = json.loads(capsys.readouterr().out)
    assert _evaluate("--images", tmp_path / "images", *options) == 0
    of_folder = json.loads(capsys.readouterr().out)
    assert of_model.pop("protocol") != of_folder.pop("protocol")
    assert of_model == of_folder
    assert of_model["num_images"] == 120


def test_what_is_left_out_of_a_folder_is_said(
    options, prepared, tmp_path, capsys
):
    ids = EvaluationCaptions(prepared, "test").ids
    write_images(
        tmp_path / "images",
        [*ids[:60], *"vwxy"],
        [noise_image(number, 32, 32) for number in range(64)],
    )
    (tmp_path / "images" / f"{ids[7]}.png").write_text("no image")
    assert _evaluate("--images", tmp_path / "images", *options) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_images"] == 59
    assert captured.err.splitlines()[:3] == [
        "left out 4 files not named by ids of the split: "
        "v.png, w.png, x.png, ...",
        f"left out 1 files that cannot be read: {ids[7]}.png (is not an image)",
        "61 images of the split have no file",
    ]


def test_a_network_that_trained_the_models_text_encoder(
    prepared, models, tmp_path, error_of
):
    # Runs, as far as they tell what they were started with.
    for name, options in (
        ("text", {"image_encoder": "efficientnet_lite0"}),
        ("gan", {"text_encoder": str(tmp_path / "text")}),
    ):
        (tmp_path / name).mkdir()
        config = json.dumps({"command": "train", "options": options})
        (tmp_path / name / "config.json").write_text(config)
    model = tmp_path / "gan" / "model.keras"
    model.write_bytes((models / "gan.keras").read_bytes())
    argv = ["evaluate", "--model", model.parent, "--data", prepared]
    line = error_of(*argv, "--features", "efficientnet_lite0")
    assert "must not judge a model that was trained with it. Received: " in line


def test_text_encoders_that_cannot_judge(options, models, tmp_path, error_of):
    gan = vivid_gan()
    own = tiny_joint_embedding()
    own.text_encoder.set_weights(gan.text_encoder.get_weights())
    own.save(tmp_path / "own.keras")
    argv = ["evaluate", "--model", models / "gan.keras", *options]
    line = error_of(*argv, "--text-encoder", tmp_path / "own.keras")
    assert "another text encoder than the model's own" in line
    unknown = JointEmbedding(
        tiny_text_encoder(), feature_encoder(5, EMBEDDING_DIM)
    )
    unknown.save(tmp_path / "unknown.keras")
    line = error_of(*argv, "--text-encoder", tmp_path / "unknown.keras")
    assert "trained with features of an unknown network" in line
    line = error_of(*argv, "--text-encoder", models / "gan.keras")
    assert "must name a run of train-text" in line


@pytest.mark.filterwarnings("always::UserWarning")
def test_data_without_classes(models, tmp_path, capsys, error_of):
    data = write_set(tmp_path / "data", 50, class_names=(), num_training=0)
    argv = ["--model", models / "gan.keras", "--data", data]
    argv += ["--features", models / "judge.keras"]
    out = tmp_path / "out" / "figures.json"
    assert _evaluate(*argv, "--out", out) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    for figures in (results, results["real"]):
        assert figures["r_precision"] is None
        assert figures["nearest_training_ratio"] is None
    warnings = [line for line in captured.err.splitlines() if "warn" in line]
    assert warnings == [
        "keras-t2i: warning: r_precision is not measured: the data set has no "
        "classes.",
        "keras-t2i: warning: nearest_training_ratio is not measured: the data "
        "set has no training images.",
    ]
    # No photographs: there is nothing to copy from.
    assert [path.name for path in out.parent.iterdir()] == ["figures.json"]
    line = error_of("evaluate", *argv, "--text-encoder", models / "text.keras")
    assert "Received: a text encoder, and a data set without classes" in line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--out", "figures.txt"], "a .json file. Received: 'figures.txt'"),
        (["--split", "tst"], "must be one of .*Received: 'tst'"),
        (["--split", "val"], "at least 50 real images. Received: 20"),
        (["--features", "resnet"], "ResNet50.*Received: 'resnet'"),
        (["--features", "no.keras"], "Received: 'no.keras', which is no file"),
        (["--model", "no.keras"], "Received: 'no.keras', which is not there"),
        (["--text-encoder", "no"], "--text-encoder .*'no', which is not th"),
    ],
)
def test_bad_input(options, models, error_of, argv, message):
    model = ["--model", models / "gan.keras"]
    line = error_of("evaluate", *model, *options, *argv)
    assert re.search(message, line), line


def test_folders_that_cannot_be_measured(options, prepared, tmp_path, error_of):
    argv = ["evaluate", "--images", tmp_path, *options]
    assert "Received: no images" in error_of(*argv)
    line = error_of(*argv, "--images-per-caption", 2)
    assert "is for images that --model generates" in line
    ids = EvaluationCaptions(prepared, "test").ids
    write_images(
        tmp_path,
        ids[:40],
        [noise_image(number, 32, 32) for number in range(40)],
    )
    for id in ids[:20]:
        (tmp_path / f"{id}.png").write_text("no image")
    assert "20 of 40 that cannot" in error_of(*argv)


def test_a_folder_of_too_few_images(options, prepared, tmp_path, capsys):
    ids = EvaluationCaptions(prepared, "test").ids
    write_images(
        tmp_path,
        ids[:49],
        [noise_image(number, 32, 32) for number in range(49)],
    )
    assert _evaluate("--images", tmp_path, *options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "71 images of the split have no file",
        "keras-t2i: An evaluation needs at least 50 generated images. "
        "Received: 49. Generate more.",
    ]


def test_either_a_model_or_images(options, capsys):
    for argv, message in (
        ([], "one of the arguments --model --images is required"),
        (["--model", "a", "--images", "b"], "not allowed with argument"),
    ):
        with pytest.raises(SystemExit) as error:
            _evaluate(*options, *argv)
        assert error.value.code == 2
        assert message in capsys.readouterr().err


def test_an_interruption_leaves_no_file(options, models, tmp_path, capsys):
    out = tmp_path / "figures.json"
    timer = threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGINT))
    argv = ["--model", models / "gan.keras", "--images-per-caption", 500]
    timer.start()
    assert _evaluate(*argv, *options, "--out", out) == 130
    timer.join()
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_command_and_python_have_the_same_default_judge():
    # Which the command has to name without importing what judges.
    assert evaluate_command._DEFAULT_JUDGE == DEFAULT_JUDGE
