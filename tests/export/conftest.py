"""One small GAN with a style encoder, and its SavedModel."""

import keras
import pytest

from keras_t2i.export import export_saved_model
from tests.export.tiny_served import tiny_served_gan
from tests.export.tiny_served import tiny_style_encoder


@pytest.fixture(scope="session")
def gan():
    keras.utils.set_random_seed(0)
    return tiny_served_gan()


@pytest.fixture(scope="session")
def style_encoder():
    keras.utils.set_random_seed(0)
    return tiny_style_encoder()


@pytest.fixture(scope="session")
def model_folder(gan, style_encoder, tmp_path_factory):
    """`saved_models/flowers`, with version 1."""
    folder = tmp_path_factory.mktemp("export") / "saved_models" / "flowers"
    export_saved_model(gan, folder, style_encoder=style_encoder)
    return folder


@pytest.fixture(scope="session")
def saved_model(model_folder):
    return model_folder / "1"
