import json
import shutil

import keras
import pytest

from keras_t2i import CharCNNRNN
from keras_t2i import JointEmbedding
from keras_t2i import StyleEncoder
from keras_t2i import StyleInversion
from keras_t2i import TextToImageGAN
from keras_t2i.text import PrecomputedEmbeddings
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_joint_embedding
from keras_t2i.training.model_files import load_style_encoder
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.model_files import model_file
from keras_t2i.training.model_files import networks_learned_from
from keras_t2i.training.run_folder import options_of_run
from tests.formats.t7_writer import t7_bytes
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder
from tests.torch_files.torch_networks import Builder
from tests.torch_files.torch_networks import text_encoder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind of model."""
    folder = tmp_path_factory.mktemp("models")
    tiny_gan().save(folder / "gan.keras")
    tiny_gan().save_to_preset(folder / "gan_preset")
    tiny_joint_embedding().save(folder / "joint.keras")
    tiny_text_encoder().save(folder / "encoder.keras")
    tiny_style_encoder().save(folder / "style.keras")
    gan = tiny_gan()
    StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    ).save(folder / "inversion.keras")
    return folder


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"model")


# === model_file ===


def test_a_file_stands_for_itself(tmp_path):
    _touch(tmp_path, "any name")
    assert model_file(tmp_path / "any name") == (tmp_path / "any name")


def test_a_run_stands_for_its_model(tmp_path):
    _touch(tmp_path, "model.keras", "checkpoints/step-00000010.keras")
    assert model_file(str(tmp_path)) == tmp_path / "model.keras"


def test_a_run_without_model_stands_for_its_last_checkpoint(tmp_path):
    _touch(
        tmp_path,
        "checkpoints/step-00000090.keras",
        "checkpoints/step-00000100.keras",
        # What a kill may leave.
        "checkpoints/.tmp-step-00000110.keras",
    )
    assert model_file(tmp_path) == (
        tmp_path / "checkpoints/step-00000100.keras"
    )


def test_nothing_there(tmp_path):
    with pytest.raises(
        ValueError, match="`model` must name a run.*Received: '.*/none', whic"
    ):
        model_file(tmp_path / "none")


def test_the_address_of_a_served_model(tmp_path):
    address = "http://localhost:8501/v1/models/flowers"
    with pytest.raises(ValueError, match=f"`model`.* here. .*'{address}', the"):
        model_file(address)


def test_folder_without_a_model(tmp_path):
    with pytest.raises(
        ValueError,
        match="`style_encoder` must name.*holds neither model.keras nor ch",
    ):
        model_file(tmp_path, "style_encoder")


# === Loading ===


def test_gan(files):
    assert isinstance(load_gan(files / "gan.keras"), TextToImageGAN)


@pytest.mark.parametrize(
    "name", ["gan.keras", "gan_preset", "joint.keras", "encoder.keras"]
)
def test_text_encoder(files, name):
    encoder = load_text_encoder(files / name)
    assert isinstance(encoder, CharCNNRNN)
    assert encoder.output_shape == (None, 16)


def test_a_text_encoder_that_is_still_trained(files, tmp_path):
    checkpoint = tmp_path / "run/checkpoints/step-00000010.keras"
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(files / "joint.keras", checkpoint)
    for path in (tmp_path / "run", checkpoint):
        with pytest.raises(
            ValueError, match="of train-text that has ended.* --resume`, and"
        ):
            load_text_encoder(path)


@pytest.mark.parametrize(
    ("name", "kind"), [("joint", JointEmbedding), ("encoder", CharCNNRNN)]
)
def test_no_gan(files, name, kind):
    with pytest.raises(
        ValueError,
        match=f"`model` must name a text-to-image GAN. Received: .*{name}"
        f".keras', a {kind.__name__}",
    ):
        load_gan(files / f"{name}.keras")


def test_a_gan_of_embeddings_has_no_text_encoder(tmp_path):
    tiny = tiny_gan()
    encoder = PrecomputedEmbeddings(EMBEDDING_DIM)
    gan = TextToImageGAN(tiny.generator, tiny.discriminator, encoder)
    gan.save(tmp_path / "a.keras")
    with pytest.raises(
        ValueError, match="`text_encoder` must name a model that reads texts"
    ):
        load_text_encoder(tmp_path / "a.keras")


@pytest.mark.parametrize("kind", ["flowers", "blooms"])
def test_the_network_that_taught_a_text_encoder_of_the_package(kind):
    name = f"gan_int_cls_plus_{kind}"
    assert networks_learned_from(name) == ["efficientnet_lite0"]


def test_a_preset_has_no_image_encoder():
    with pytest.raises(ValueError, match="run of train-text.*a preset whose"):
        load_joint_embedding("gan_int_cls_plus_flowers")


def test_no_text_encoder(files):
    image_encoder = files / "image_encoder.keras"
    tiny_joint_embedding().image_encoder.save(image_encoder)
    with pytest.raises(
        ValueError, match="`text_encoder` must name a model with a text encoder"
    ):
        load_text_encoder(image_encoder)


def _truncated(files, folder):
    content = (files / "gan.keras").read_bytes()
    (folder / "cut.keras").write_bytes(content[: len(content) // 2])
    return folder / "cut.keras"


def _flipped(files, folder):
    content = bytearray((files / "gan.keras").read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 2000):
        content[place] ^= 255
    (folder / "flipped.keras").write_bytes(content)
    return folder / "flipped.keras"


def _text(files, folder):
    (folder / "notes.txt").write_text("no model")
    return folder / "notes.txt"


def _text_named_keras(files, folder):
    (folder / "notes.keras").write_text("no model")
    return folder / "notes.keras"


def _empty(files, folder):
    (folder / "empty.keras").touch()
    return folder / "empty.keras"


@pytest.mark.parametrize(
    "make", [_truncated, _flipped, _text, _text_named_keras, _empty]
)
@pytest.mark.parametrize(
    ("load", "option"),
    [(load_gan, "`model`"), (load_text_encoder, "`text_encoder`")],
)
def test_files_that_are_no_models(files, tmp_path, make, load, option):
    path = make(files, tmp_path)
    with pytest.raises(ValueError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{option} must name a model saved by this libr")
    assert f"Received: {str(path)!r}, which cannot be loaded: " in message
    assert "\n" not in message


def test_code_in_a_file_is_not_run(tmp_path):
    inputs = keras.Input((1,))
    outputs = keras.layers.Lambda(lambda x: x * 2, output_shape=(1,))(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="cannot be loaded: .*unsafe"):
        load_gan(tmp_path / "model.keras")


def test_a_copy_of_a_run_is_a_run(files, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(files / "gan.keras", tmp_path / "run" / "model.keras")
    assert isinstance(load_gan(tmp_path / "run"), TextToImageGAN)


@pytest.mark.parametrize("name", ["style.keras", "inversion.keras"])
def test_load_style_encoder(files, name):
    assert isinstance(load_style_encoder(files / name), StyleEncoder)


def test_other_models_have_no_style_encoder(files):
    with pytest.raises(
        ValueError, match="`style_encoder`.*gan.keras', a TextToImageGAN"
    ):
        load_style_encoder(files / "gan.keras")


def test_a_published_text_encoder(tmp_path):
    path = tmp_path / "encoder.t7"
    network = text_encoder(Builder())
    path.write_bytes(t7_bytes(network))
    encoder = load_text_encoder(path)
    assert encoder.convolution_filters == (5, 6, 8)
    path.write_bytes(t7_bytes(1.0))
    with pytest.raises(ValueError, match="a module of a Torch network .*enc"):
        load_text_encoder(path)


def test_options_of_a_run_and_of_a_file_in_it(tmp_path):
    options = {"image_encoder": "efficientnet_lite0", "seed": 3}
    config = tmp_path / "config.json"
    for path in (tmp_path, tmp_path / "best.keras", tmp_path / "none" / "a"):
        assert options_of_run(path) == {}
    # Of before there were recipes, and of now.
    for content in (
        {"options": {**options, "data": "d"}},
        {"recipe": options, "inputs": {"data": {"path": "d"}}},
    ):
        config.write_text(json.dumps(content))
        for path in (tmp_path, tmp_path / "best.keras"):
            assert options_of_run(path) == {**options, "data": "d"}
            assert networks_learned_from(str(path)) == ["efficientnet_lite0"]
    for text in (
        *("[]", '{"options": 3}', "{}", '{"opt'),
        *('{"recipe": {}, "inputs": 3}', '{"recipe": {}, "inputs": {"a": 3}}'),
    ):
        config.write_text(text)
        assert options_of_run(tmp_path) == {}
        assert networks_learned_from(str(tmp_path)) == []
    config.write_text('{"options": {"image_encoder": 3}}')
    assert networks_learned_from(str(tmp_path)) == []
    assert networks_learned_from(None) == []
