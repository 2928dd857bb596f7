"""How a text encoder is made and trained."""

import dataclasses
from typing import ClassVar

from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.recipes.base_recipe import checked
from keras_t2i.recipes.base_recipe import choice
from keras_t2i.recipes.base_recipe import flag
from keras_t2i.recipes.base_recipe import number
from keras_t2i.recipes.base_recipe import positive
from keras_t2i.recipes.base_recipe import share
from keras_t2i.recipes.base_recipe import text
from keras_t2i.recipes.base_recipe import to_whole_number
from keras_t2i.recipes.base_recipe import weight
from keras_t2i.recipes.base_recipe import whole_number


def _three(value):
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise TypeError
    return tuple(to_whole_number(one, 1) for one in value)


@dataclasses.dataclass(frozen=True)
class TextRecipe(BaseRecipe):
    """All that the training of a text encoder does.

    The defaults are those of the preset `char_cnn_rnn_small_softmax`. Fields
    have the names of the options of `keras-t2i train-text` and of the arguments
    of the classes that they are for.

    Args:
        preset: string. What the recipe was made from. Defaults to
            `"char_cnn_rnn_small_softmax"`.
        convolution_filters: three ints. As the next three, an argument of
            `CharCNNRNN`.
        third_pool: bool.
        recurrence: string. `"relu"` or `"gated"`.
        embedding_dim: int.
        vocabulary_size: int. The encoder reads words, the most frequent ones of
            the training set. Defaults to `None`: it reads characters.
        uniform_initialization: float. All weights begin uniformly between this
            and its negative. Defaults to `None`: as Keras begins.
        image_encoder: string. What the encoder learns from, as
            `keras-t2i train-text --help` says. Defaults to `"small"`.
        image_weights: string. Path of weights for a network of
            `keras.applications`. Defaults to `None`: random ones.
        freeze_images: bool. Whether those weights stay as they are.
        similarity: string. `"dot"` or `"cosine"`, of `JointEmbedding`.
        loss: string. `"softmax"` or `"structured"`.
        margin: float. Of the structured loss.
        temperature: float. Of the softmax loss.
        class_head_weight: float. Of `JointEmbedding`.
        split: string. `"trainval"`, or `"train"`: the split `val` is left to
            measure on.
        batch_size: int. Images in a step.
        images_per_class: int. Of them.
        epochs: int. One of `epochs`, `steps` and `minutes` is not `None`.
        steps: int.
        minutes: float.
        steps_per_epoch: string. An epoch has a step for each of its
            `"batches"`, or for each of the `"classes"`, as published.
        optimizer: string. `"adam"` or `"rmsprop"`.
        learning_rate: float.
        decay_per_epoch: float in (0, 1]. Factor of the learning rate after
            each epoch. Defaults to `None`: it does not fall so.
        decay_share: float in [0, 1]. Last part of the training, over which the
            learning rate falls to 0. Defaults to `None`: it does not.
        ema_momentum: float in [0, 1). Of the moving average of the weights that
            the trained encoder has. Defaults to `None`: it has the last ones.
        seed: int. Of the weights and the order of data.
        tensorboard: bool. Whether the run folder also gets an event file, which
            TensorBoard shows.

    Raises:
        ValueError: a field is out of range.

    Example:

    >>> recipe = keras_t2i.TextRecipe.from_preset("char_cnn_rnn_birds")
    >>> recipe.override(minutes=30).epochs is None
    True
    """

    COMMAND: ClassVar[str] = "train-text"
    PRESETS: ClassVar[str] = "text_encoder"

    preset: str = text("char_cnn_rnn_small_softmax")
    convolution_filters: tuple[int, int, int] = checked(
        (96, 128, 128), "three whole numbers of at least 1", _three
    )
    third_pool: bool = flag(True)
    recurrence: str = choice("gated", "gated", "relu")
    embedding_dim: int = whole_number(256, 1)
    vocabulary_size: int | None = whole_number(None, 1, optional=True)
    uniform_initialization: float | None = positive(None, optional=True)
    image_encoder: str = text("small")
    image_weights: str | None = text(None, optional=True)
    freeze_images: bool = flag(False)
    similarity: str = choice("dot", "dot", "cosine")
    loss: str = choice("softmax", "softmax", "structured")
    margin: float = weight(1.0)
    temperature: float = positive(1.0)
    class_head_weight: float = weight(0.0)
    split: str = choice("trainval", "trainval", "train")
    batch_size: int = whole_number(64, 1)
    images_per_class: int = whole_number(1, 1)
    epochs: int | None = whole_number(200, 1, optional=True)
    steps: int | None = whole_number(None, 1, optional=True)
    minutes: float | None = positive(None, optional=True)
    steps_per_epoch: str = choice("batches", "batches", "classes")
    optimizer: str = choice("adam", "adam", "rmsprop")
    learning_rate: float = positive(1e-3)
    decay_per_epoch: float | None = number(
        None, "a number in (0, 1]", lambda value: 0 < value <= 1, True
    )
    decay_share: float | None = share(None, optional=True)
    ema_momentum: float | None = number(
        None, "a number in [0, 1)", lambda value: 0 <= value < 1, True
    )
    seed: int = whole_number(0)
    tensorboard: bool = flag(False)

    def __post_init__(self):
        super().__post_init__()
        if None not in (self.decay_per_epoch, self.decay_share):
            raise ValueError(
                "One of `decay_per_epoch` and `decay_share` must be None. "
                f"Received: {self.decay_per_epoch} and {self.decay_share}"
            )
