import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from keras_t2i import StyleEncoder
from keras_t2i.cli.export import name_of_model
from keras_t2i.cli.main import main
from keras_t2i.export import Client
from keras_t2i.training.model_files import load_gan
from tests.export.stand_in_servers import rest_stand_in
from tests.full_disk import small_files


@pytest.fixture(scope="module")
def exported(gan_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_models") / "flowers"
    assert main(["export", "--model", str(gan_run), "--out", str(folder)]) == 0
    return folder


def _generate(model, out, *captions, seed=0):
    argv = ["generate", *captions, "--model", str(model), "--out", str(out)]
    return main([*argv, "--seed", str(seed)])


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def _signatures(saved_model):
    """The names of those that TensorFlow Serving would find."""
    content = (saved_model / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return set(graph.signature_def)


def test_export(exported):
    assert sorted(os.listdir(exported)) == [
        *["1", "README.md", "batching_parameters.txt", "models.config"]
    ]
    assert "transfer_style" not in _signatures(exported / "1")


@pytest.mark.usefixtures("loaded_once")
def test_one_picture_from_python_command_line_and_saved_model(
    exported, gan_run, tmp_path
):
    expected = load_gan(gan_run).generate("a red flower", seed=7)[0]
    with rest_stand_in(exported / "1") as (address, _):
        for model in (gan_run, exported, exported / "1", address):
            out = tmp_path / "a.png"
            assert _generate(model, out, "a red flower", seed=7) == 0
            np.testing.assert_array_equal(_read(out), expected)
            out.unlink()


@pytest.mark.usefixtures("loaded_once")
def test_several_pictures_from_a_saved_model(exported, gan_run, tmp_path):
    captions = ["a red flower", "five blue petals"]
    for model, folder in ((gan_run, "a"), (exported, "b")):
        assert _generate(model, tmp_path / folder, *captions, seed=3) == 0
    files = sorted(os.listdir(tmp_path / "a"))
    assert len(files) == 2
    assert sorted(os.listdir(tmp_path / "b")) == files
    for file in files:
        expected = _read(tmp_path / "a" / file)
        np.testing.assert_array_equal(_read(tmp_path / "b" / file), expected)


def test_with_a_style_encoder(gan_run, tmp_path, capsys):
    style_encoder = StyleEncoder(32, width=2, noise_dim=100)
    # Untrained styles are all but 0, and images of 0 and them the same.
    kernel = style_encoder.trainable_weights[-2]
    kernel.assign(1000.0 * kernel)
    style_encoder.save(tmp_path / "style.keras")
    argv = ["export", "--model", gan_run, "--out", tmp_path / "flowers"]
    argv += ["--style-encoder", tmp_path / "style.keras", "--version", 5]
    argv += ["--max-style-pixels", 2000, "--half-precision"]
    assert main([str(argument) for argument in argv]) == 0
    folder = tmp_path / "flowers" / "5"
    assert capsys.readouterr().out == f"SavedModel: {folder}\n"
    assert "transfer_style" in _signatures(folder)
    client = Client(tmp_path / "flowers")
    style = np.zeros((50, 40, 3), "uint8")
    pictures = client.transfer_style([style], ["a rose", "an iris"])
    assert pictures.shape == (1, 2, 32, 32, 3)
    _assert_limit_of_style_images(client, folder.parent / "README.md")
    _assert_half_precision(client, gan_run, folder)


def _assert_limit_of_style_images(client, readme):
    noise = np.random.default_rng(0).integers(0, 256, (50, 41, 3), "uint8")
    gray = np.full((32, 32, 3), 128, "uint8")
    styles = [noise, noise[:, 1:], gray]
    large, within, gray = client.transfer_style(styles, "a rose")
    np.testing.assert_array_equal(large, gray)
    assert not np.array_equal(within, gray)
    with pytest.raises(ValueError, match="more than 2,000 pixels"):
        client.transfer_style(styles, "a rose", max_style_pixels=2000)
    assert "more than\n2,000 pixels" in readme.read_text("utf-8")


def _assert_half_precision(client, gan_run, saved_model):
    gan = load_gan(gan_run)
    networks = gan.text_encoder, gan.ema_generator
    for weight in (w for network in networks for w in network.weights):
        if len(weight.shape) > 1:
            half = np.asarray(weight, "float16")
            weight.assign(half.astype("float32"))
    captions = ["a red flower", "a rose"]
    np.testing.assert_array_equal(
        client.generate(captions, seed=3), gan.generate(captions, seed=3)
    )
    variables = str(saved_model / "variables" / "variables")
    reader = tf.train.load_checkpoint(variables)
    dtypes = set(reader.get_variable_to_dtype_map().values())
    assert dtypes == {tf.float16, tf.float32, tf.string}


def test_a_full_disk(gan_run, tmp_path, error_of):
    argv = ["export", "--model", gan_run, "--out", tmp_path / "flowers"]
    with small_files(60_000):
        line = error_of(*argv, status=1)
    assert "File too large" in line and f"{tmp_path}/flowers/1" in line
    assert list((tmp_path / "flowers").iterdir()) == []


def test_a_folder_of_something_else(gan_run, tmp_path, error_of):
    (tmp_path / "README.md").write_text("My project")
    line = error_of("export", "--model", gan_run, "--out", tmp_path)
    assert "--out must be a folder of its own" in line


def test_a_style_encoder_that_is_none(gan_run, tmp_path, error_of):
    argv = ["export", "--model", gan_run, "--out", tmp_path / "flowers"]
    line = error_of(*argv, "--style-encoder", gan_run)
    assert "must" in line and "style" in line
    assert list(tmp_path.iterdir()) == []


def test_style_pixels_without_a_style_encoder(gan_run, tmp_path, error_of):
    argv = ["export", "--model", gan_run, "--out", tmp_path / "flowers"]
    line = error_of(*argv, "--max-style-pixels", 2000)
    assert "--max-style-pixels is for a style encoder" in line
    assert not (tmp_path / "flowers").exists()


def test_a_version_that_is_there(exported, gan_run, error_of):
    line = error_of(
        *["export", "--model", gan_run, "--out", exported, "--version", 1]
    )
    assert "must not be there yet. Received: 1" in line


def test_no_model(tmp_path, error_of):
    line = error_of(
        *["export", "--model", tmp_path / "none", "--out", tmp_path / "a"]
    )
    assert "--model must name a run folder or a .keras file" in line
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_can_not_be_served(gan_run, tmp_path, error_of):
    line = error_of("export", "--model", gan_run, "--out", tmp_path / "a b")
    assert "Received: 'a b'" in line


def test_an_address_of_another_form(tmp_path, error_of):
    line = error_of(
        *["generate", "a rose", "--model", "http://localhost:8501"],
        *["--out", tmp_path / "a.png"],
    )
    assert "/v1/models/NAME" in line


def test_a_server_that_fails(exported, tmp_path, capsys):
    with rest_stand_in(exported / "1", failures=[500]) as (address, _):
        assert _generate(address, tmp_path / "a.png", "a rose") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"keras-t2i: {address}:predict has answered 500: failure 500"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("runs/birds.v2", "birds.v2"),
        ("runs/birds/", "birds"),
        ("runs/birds/model.keras", "birds"),
        ("runs/birds/best.keras", "birds"),
        ("birds.keras", "birds"),
        ("gan_int_cls_plus_flowers", "gan_int_cls_plus_flowers"),
        (".", "here"),
    ],
)
def test_a_model_is_exported_by_its_name(model, name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert name_of_model(model) == name
