"""Checks of arguments that many functions take."""

import math
import numbers
from collections.abc import Callable
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


def is_number(value: Any) -> bool:
    """Whether a value is a finite number. NumPy's are too, bools are not."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def check_number(
    value: Any, name: str, expected: str, fits: Callable[[float], bool]
) -> None:
    """Raises `ValueError` unless a value is a finite number that fits.

    Example:

    >>> from keras_t2i.checks import check_number
    >>> check_number("1", "margin", "a number above 0", lambda v: v > 0)
    Traceback (most recent call last):
    ValueError: `margin` must be a number above 0. Received: '1'
    """
    if not is_number(value) or not fits(value):
        raise ValueError(f"`{name}` must be {expected}. Received: {value!r}")


def check_image_size(image_size: object) -> None:
    """Raises `ValueError` for a size that the networks do not come in."""
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"`image_size` must be one of {list(IMAGE_SIZES)}. Received: "
            f"{image_size!r}"
        )


def check_shares(**shares: float) -> None:
    """Raises `ValueError` unless these arguments are numbers in [0, 1]."""
    for name, value in shares.items():
        check_number(value, name, "a number in [0, 1]", lambda v: 0 <= v <= 1)


def check_not_negative(**values: float) -> None:
    """Raises `ValueError` unless these arguments are numbers of at least 0."""
    for name, value in values.items():
        check_number(value, name, "a number of at least 0", lambda v: v >= 0)


def check_above_zero(**values: float) -> None:
    """Raises `ValueError` unless these arguments are numbers above 0."""
    for name, value in values.items():
        check_number(value, name, "a number above 0", lambda v: v > 0)


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


def size_of_embeddings(text_encoder: Any) -> int:
    """Returns the size of the embeddings of a text encoder.

    Raises `ValueError` if the encoder does not know it before it is called.
    """
    if not hasattr(text_encoder, "output_shape"):
        raise ValueError(
            "`text_encoder` must be a Functional or Sequential `keras.Model`, "
            "which knows the size of its embeddings before it is called. "
            f"Received: {text_encoder!r:.100}"
        )
    return text_encoder.output_shape[-1]


def check_attributes(network: Any, name: str, *attributes: str) -> None:
    """Raises `ValueError` if a network lacks an attribute of its kind."""
    for attribute in attributes:
        if not hasattr(network, attribute):
            raise ValueError(
                f"`{name}` must be a {name.replace('_', ' ')} of this library, "
                f"or have its `{attribute}`. Received: {network!r:.100}"
            )


def check_networks(
    generator: Any, discriminator: Any, text_encoder: Any
) -> None:
    """Raises `ValueError` if the networks of a GAN do not fit each other."""
    check_text_encoder(text_encoder)
    check_attributes(generator, "generator", "noise_dim", "image_size")
    check_attributes(discriminator, "discriminator", "image_size")
    if generator.image_size != discriminator.image_size:
        raise ValueError(
            "`generator` and `discriminator` must have one `image_size`. "
            f"Received: {generator.image_size} and {discriminator.image_size}"
        )
    networks = {"generator": generator, "discriminator": discriminator}
    check_embedding_dim(text_encoder, **networks)


def check_embedding_dim(text_encoder: Any, **networks: Any) -> None:
    """Raises `ValueError` if networks take texts of another size."""
    embedding_dim = size_of_embeddings(text_encoder)
    for name, network in networks.items():
        if network.text_embedding_dim != embedding_dim:
            raise ValueError(
                f"`{name}` must take the embeddings of `text_encoder`, of size "
                f"{embedding_dim}. Received: text_embedding_dim="
                f"{network.text_embedding_dim}"
            )
