"""Loads what draws pictures: a trained GAN, or an exported or served one."""

import pathlib

from keras_t2i.export.client import Client
from keras_t2i.export.model_folder import versions as saved_versions
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.training.model_files import load_gan


def load_drawing_model(
    path: str, option: str = "--model"
) -> TextToImageGAN | Client:
    """Returns what draws pictures by `generate(captions, seed)`.

    Args:
        path: path of a run folder, file, folder of an exported model, or
            address of a served one.
        option: string. The option it was given by, for errors.
    """
    is_saved_model = (pathlib.Path(path) / "saved_model.pb").is_file()
    if "://" in path or is_saved_model or saved_versions(path):
        return Client(path)
    return load_gan(path, option)
