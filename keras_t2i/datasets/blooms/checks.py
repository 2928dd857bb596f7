"""Checks of arguments that several functions take."""

from keras_t2i.datasets.blooms.attributes import MAX_IMAGE_SIZE
from keras_t2i.datasets.blooms.attributes import MIN_IMAGE_SIZE


def check_image_size(image_size: int) -> None:
    """Raises `ValueError` if no bloom is drawn at this size."""
    if image_size not in range(MIN_IMAGE_SIZE, MAX_IMAGE_SIZE + 1):
        raise ValueError(
            "`image_size` must be a whole number of pixels from "
            f"{MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}. Received: {image_size!r}."
        )


def check_not_negative(name: str, value: int) -> None:
    """Raises `ValueError` if an argument is below zero."""
    if value < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {value!r}.")
