"""Images to be measured, a batch at a time."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

_BATCH_SIZE = 32


@contextlib.contextmanager
def show_nothing(
    description: str, unit: str
) -> Iterator[Callable[[int, int], None]]:
    """Stands where nobody wants to see the progress."""
    yield lambda done, total: None


def image_batches(
    read: Callable[[np.ndarray], np.ndarray], num_images: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Goes through images once, and keeps none of them.

    Args:
        read: function of rows to their images, as `ModelImages.read`.
        num_images: int.

    Returns:
        iterator of rows, an int array of shape `(num_rows,)`, and images, a
        uint8 array of shape `(num_rows, image_size, image_size, 3)`.
    """
    for start in range(0, num_images, _BATCH_SIZE):
        rows = np.arange(start, min(start + _BATCH_SIZE, num_images))
        yield rows, read(rows)
