"""How a style encoder is made and trained."""

import dataclasses
from typing import ClassVar

from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.recipes.base_recipe import flag
from keras_t2i.recipes.base_recipe import positive
from keras_t2i.recipes.base_recipe import weight
from keras_t2i.recipes.base_recipe import whole_number


@dataclasses.dataclass(frozen=True)
class StyleRecipe(BaseRecipe):
    """All that the training of a style encoder does.

    Args:
        width: int. Of `StyleEncoder`. Defaults to `32`: a step takes a third
            of the time that it takes at a width of 64.
        image_noise: float. As the next two, an argument of `StyleInversion`.
        color_jitter: float.
        reconstruction_weight: float. Defaults to `5.0`; the paper has no such
            loss. Without it a style encoder knows nothing of real images, and
            transfers follow the text less.
        batch_size: int. Images in a step.
        epochs: int. One of `epochs`, `steps` and `minutes` is not `None`.
        steps: int.
        minutes: float. Defaults to `15.0`.
        seed: int. Of the weights, noise and the order of data.
        tensorboard: bool. Whether the run folder also gets an event file, which
            TensorBoard shows.

    Raises:
        ValueError: a field is out of range.

    Example:

    >>> keras_t2i.StyleRecipe().override(steps=100).minutes is None
    True
    """

    COMMAND: ClassVar[str] = "train-style"

    width: int = whole_number(32, 1)
    image_noise: float = weight(0.0)
    color_jitter: float = weight(0.0)
    reconstruction_weight: float = weight(5.0)
    batch_size: int = whole_number(64, 2)
    epochs: int | None = whole_number(None, 1, optional=True)
    steps: int | None = whole_number(None, 1, optional=True)
    minutes: float | None = positive(15.0, optional=True)
    seed: int = whole_number(0)
    tensorboard: bool = flag(False)
