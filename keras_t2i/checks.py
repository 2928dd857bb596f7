"""Checks of arguments that many functions take."""

import numbers
from typing import Any

# The image sizes of the networks.
IMAGE_SIZES = (32, 64, 128, 256)


def check_whole_number(value: Any, name: str, at_least: int) -> None:
    """Raises `ValueError` unless a value is a whole number and large enough.

    NumPy's integers pass too, floats and bools fail.

    Example:

    >>> from keras_t2i.checks import check_whole_number
    >>> check_whole_number(2.5, "batch_size", at_least=1)
    Traceback (most recent call last):
    ValueError: `batch_size` must be a whole number of at least 1. Received: 2.5
    """
    is_whole = isinstance(value, numbers.Integral)
    if not is_whole or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {at_least}. "
            f"Received: {value!r}"
        )


def check_image_size(image_size: object) -> None:
    """Raises `ValueError` for a size that the networks do not come in."""
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"`image_size` must be one of {list(IMAGE_SIZES)}. Received: "
            f"{image_size!r}"
        )


def check_shares(**shares: float) -> None:
    """Raises `ValueError` if one of these arguments is not in [0, 1]."""
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"`{name}` must be in [0, 1]. Received: {value!r}")


def check_not_negative(**values: float) -> None:
    """Raises `ValueError` if one of these arguments is below 0, or NaN."""
    for name, value in values.items():
        if not value >= 0.0:
            raise ValueError(
                f"`{name}` must be at least 0. Received: {value!r}"
            )


def check_text_encoder(model: Any, name: str = "text_encoder") -> None:
    """Raises `ValueError` for a path, or for a model that has an encoder."""
    if hasattr(model, "text_encoder"):
        received = f"a {type(model).__name__}"
        remedy = "Take its `text_encoder`."
    elif not callable(model):
        received = repr(model)
        remedy = "Load it by `keras.saving.load_model`."
    else:
        return
    raise ValueError(
        f"`{name}` must be a `keras.Model` from token ids to embeddings, such "
        f"as `CharCNNRNN`. Received: {received}. {remedy}"
    )


def check_networks(
    generator: Any, discriminator: Any, text_encoder: Any
) -> None:
    """Raises `ValueError` if the networks of a GAN do not fit each other."""
    check_text_encoder(text_encoder)
    for name, network, attribute in (
        ("generator", generator, "noise_dim"),
        ("generator", generator, "image_size"),
        ("discriminator", discriminator, "image_size"),
    ):
        if not hasattr(network, attribute):
            raise ValueError(
                f"`{name}` must be a {name} of this library, or have its "
                f"`{attribute}`. Received: {network!r:.100}"
            )
    if generator.image_size != discriminator.image_size:
        raise ValueError(
            "`generator` and `discriminator` must have one `image_size`. "
            f"Received: {generator.image_size} and {discriminator.image_size}"
        )
    embedding_dim = text_encoder.output_shape[-1]
    for name, network in (
        ("generator", generator),
        ("discriminator", discriminator),
    ):
        if network.text_embedding_dim != embedding_dim:
            raise ValueError(
                f"`{name}` must take the embeddings of `text_encoder`, of size "
                f"{embedding_dim}. Received: text_embedding_dim="
                f"{network.text_embedding_dim}"
            )
