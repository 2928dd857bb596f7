"""How a GAN, a text encoder and a style encoder are made and trained."""

import dataclasses
from typing import Any
from typing import ClassVar
from typing import Self

from keras_t2i.pretrained.network_files import pretrained_description
from keras_t2i.pretrained.network_files import pretrained_names
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.recipes.base_recipe import below_one
from keras_t2i.recipes.base_recipe import checked
from keras_t2i.recipes.base_recipe import choice
from keras_t2i.recipes.base_recipe import flag
from keras_t2i.recipes.base_recipe import number
from keras_t2i.recipes.base_recipe import part
from keras_t2i.recipes.base_recipe import positive
from keras_t2i.recipes.base_recipe import share
from keras_t2i.recipes.base_recipe import text
from keras_t2i.recipes.base_recipe import to_whole_number
from keras_t2i.recipes.base_recipe import weight
from keras_t2i.recipes.base_recipe import whole_number

# Whether less or more of each is better.
MEASURES = {
    "kernel_distance": "min",
    "frechet_distance": "min",
    "precision": "max",
    "recall": "max",
    "density": "max",
    "coverage": "max",
}
MEASURED_STEPS = 250
MEASURED_SPLIT = "val"
# How long a trained GAN is trained on, unless told otherwise.
FINE_TUNING_MINUTES = 10.0


def _turns(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(to_whole_number(one, 1) for one in value)
    return to_whole_number(value, 1)


@dataclasses.dataclass(frozen=True)
class Recipe(BaseRecipe):
    """Everything that the training of a `TextToImageGAN` does.

    The defaults are those of the preset `gan_int_cls`. Fields are named as the
    options of `keras-t2i train` and as the arguments of the classes they are
    for, which say more about them.

    Args:
        preset: string. The preset it was made from. Defaults to
            `"gan_int_cls"`.
        image_size: int. 32, 64, 128 or 256. Defaults to `None`: that of the
            data set, or 64 if there is none.
        generator: string. `"Generator"` or `"ModulatedGenerator"`.
        generator_width: int.
        falling_channels: bool. Of `Generator` and `Discriminator`.
        residual_blocks: bool. Of `Generator`.
        full_resolution: bool. Of `ModulatedGenerator`.
        discriminator: string, `"Discriminator"` or `"PixelDiscriminator"`, or
            `None` if the one that looks through `feature_network` is the only
            one.
        discriminator_width: int.
        fusion_size: int. Of `Discriminator`.
        as_released: bool. Of `Discriminator`.
        penalty_weight: float. Of `PixelDiscriminator`.
        penalty_interval: int. Of `PixelDiscriminator`.
        feature_network: string. The pretrained network that a
            `FeatureDiscriminator` looks through. Defaults to `None`: there is
            no such discriminator.
        feature_width: int. Of `FeatureDiscriminator`.
        feature_size: int. Its `network_size`. Defaults to `None`: 96, or 128
            for images of 128 and more.
        matching_aware: bool. This field and those after it, up to
            `truncation`, are arguments of `TextToImageGAN`.
        interpolate: bool.
        mismatch_weight: float in [0, 1].
        interpolation_weight: float.
        interpolation_beta: float in [0, 1].
        interpolate_in_place: bool.
        mode_seeking_weight: float.
        mode_seeking_layouts: bool.
        image_noise: float.
        image_noise_half_life: int or `None`.
        scores_jointly: bool.
        relativistic: bool.
        translation: float in [0, 1].
        cutout: float in [0, 1].
        ema_decay: float in [0, 1].
        truncation: float in [0, 1]. The training does not depend on it.
        matching_start_step: int, the `start_step` of a `StagedMatching`.
            Defaults to `None`.
        matching_accuracy_threshold: float, its `accuracy_threshold`. Defaults
            to `None`. If both are `None`, mismatched texts count from the
            beginning.
        matching_patience: int, its `patience`.
        matching_rise_steps: int, its `rise_steps`.
        batch_size: int. Images in a step, on all devices together.
        captions_per_image: int, or tuple of ints to use in turn. Like
            `mismatch_candidates`, it is an argument of `make_dataset` for
            training on embeddings.
        mismatch_candidates: int.
        epochs: int. One of `epochs`, `steps` and `minutes` is not `None`.
            Defaults to `200`.
        steps: int.
        minutes: float.
        generator_learning_rate: float. Both networks are trained by Adam.
        discriminator_learning_rate: float.
        beta_1: float in [0, 1).
        beta_2: float in [0, 1).
        epochs_per_halving: int. The learning rates are halved each time that
            this many epochs have passed. Defaults to `None`: never.
        decay_share: float in (0, 1). Last part of the training, over which the
            learning rates fall to 0. Defaults to `None`: they stay as they
            are.
        standardize_texts: bool. Whether the networks standardize text
            embeddings by the mean and the standard deviation of the training
            set. Without effect with `end_to_end`, which changes the embeddings.
        precision: string. `"float32"`, `"mixed_bfloat16"` or
            `"mixed_float16"`.
        seed: int. Of weights, noise and the order of data.
        strategy: string. `"none"`, `"mirrored"`: all GPUs of the machine, or
            `"multi_worker"`: those of several machines.
        end_to_end: bool. Whether the text encoder is trained with the GAN.
        keep_best: string. Measure by which the best model is kept. The split
            `val` is then measured on, not trained on. Defaults to `None`:
            nothing is measured.
        tensorboard: bool. Whether the run folder also gets an event file, which
            TensorBoard shows.

    Raises:
        ValueError: a field is out of range.

    Example:

    >>> recipe = keras_t2i.Recipe.from_preset("gan_cls").override(batch_size=16)
    >>> recipe.batch_size, recipe.interpolate, recipe.epochs
    (16, False, 200)
    """

    COMMAND: ClassVar[str] = "train"
    PRESETS: ClassVar[str] = "gan"

    preset: str = text("gan_int_cls")
    image_size: int | None = choice(None, None, 32, 64, 128, 256)
    generator: str = choice("Generator", "Generator", "ModulatedGenerator")
    generator_width: int = whole_number(64, 1)
    falling_channels: bool = flag(False)
    residual_blocks: bool = flag(False)
    full_resolution: bool = flag(False)
    discriminator: str | None = choice(
        "Discriminator", "Discriminator", "PixelDiscriminator", None
    )
    discriminator_width: int = whole_number(64, 1)
    fusion_size: int = choice(2, 2, 4)
    as_released: bool = flag(False)
    penalty_weight: float = weight(1.0)
    penalty_interval: int = whole_number(16, 1)
    feature_network: str | None = text(None, optional=True)
    feature_width: int = whole_number(64, 1)
    feature_size: int | None = whole_number(None, 64, optional=True)
    matching_aware: bool = flag(True)
    interpolate: bool = flag(True)
    mismatch_weight: float = share(0.5)
    interpolation_weight: float = weight(1.0)
    interpolation_beta: float = share(0.5)
    interpolate_in_place: bool = flag(False)
    mode_seeking_weight: float = weight(2.0)
    mode_seeking_layouts: bool = flag(False)
    image_noise: float = weight(0.5)
    image_noise_half_life: int | None = whole_number(6000, 1, optional=True)
    scores_jointly: bool = flag(True)
    relativistic: bool = flag(False)
    translation: float = share(0.0)
    cutout: float = share(0.0)
    ema_decay: float = share(0.999)
    truncation: float = share(1.0)
    matching_start_step: int | None = whole_number(None, optional=True)
    matching_accuracy_threshold: float | None = part(None, optional=True)
    matching_patience: int = whole_number(100, 1)
    matching_rise_steps: int = whole_number(1000, 1)
    batch_size: int = whole_number(32, 1)
    captions_per_image: int | tuple[int, ...] = checked(
        4, "a whole number of at least 1, or a list of such numbers", _turns
    )
    mismatch_candidates: int = whole_number(8, 1)
    epochs: int | None = whole_number(200, 1, optional=True)
    generator_learning_rate: float = positive(4e-4)
    discriminator_learning_rate: float = positive(1e-4)
    beta_1: float = below_one(0.5)
    beta_2: float = below_one(0.999)
    epochs_per_halving: int | None = whole_number(None, 1, optional=True)
    decay_share: float | None = part(None, optional=True)
    standardize_texts: bool = flag(False)
    precision: str = choice(
        "float32", "float32", "mixed_bfloat16", "mixed_float16"
    )
    strategy: str = choice("none", "none", "mirrored", "multi_worker")
    end_to_end: bool = flag(False)
    keep_best: str | None = choice(None, None, *MEASURES)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discriminator is None and self.feature_network is None:
            raise ValueError(
                "`discriminator` must not be None without a "
                "`feature_network`. Received: None for both"
            )
        staged = (self.matching_start_step, self.matching_accuracy_threshold)
        if staged != (None, None) and not self.matching_aware:
            raise ValueError(
                "`matching_start_step` and `matching_accuracy_threshold` are "
                "for `matching_aware=True`. Received: matching_aware=False"
            )
        if None not in (self.epochs_per_halving, self.decay_share):
            raise ValueError(
                "One of `epochs_per_halving` and `decay_share` must be None. "
                f"Received: {self.epochs_per_halving} and {self.decay_share}"
            )

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Returns the recipe of a preset, or of one with weights.

        Args:
            name: string, such as `"gan_int_cls_plus"`.

        Raises:
            ValueError: there is no preset of this name.
        """
        if name in pretrained_names():
            return cls.from_dict(pretrained_description(name)["recipe"])
        return super().from_preset(name)

    def override(self, *, width: int | None = None, **changes: Any) -> Self:
        """Returns the recipe with some fields changed.

        If one of `epochs`, `steps` and `minutes` is given, it replaces the one
        that the recipe had.

        Args:
            width: int. Sets `discriminator_width`; the generator keeps its
                ratio to it. Defaults to `None`: both stay as they are.
            **changes: fields and their values.

        Raises:
            ValueError: a field does not exist, or a value is out of range.
        """
        recipe = super().override(**changes)
        if width is None:
            return recipe
        width = to_whole_number(width, 1, "width")
        if recipe.discriminator is None:
            raise ValueError(
                "`width` is that of the `discriminator`, to which the "
                "generator keeps its ratio. Received: a recipe with "
                "`discriminator=None`. Set `generator_width`."
            )
        scaled = width * recipe.generator_width // recipe.discriminator_width
        return dataclasses.replace(
            recipe,
            discriminator_width=width,
            generator_width=max(1, scaled),
        )


def _three(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise TypeError
    return tuple(to_whole_number(one, 1) for one in value)


@dataclasses.dataclass(frozen=True)
class TextRecipe(BaseRecipe):
    """Everything that the training of a text encoder does.

    The defaults are those of the preset `char_cnn_rnn_small_softmax`. Fields
    are named as the options of `keras-t2i train-text` and as the arguments of
    the classes they are for.

    Args:
        preset: string. The preset it was made from. Defaults to
            `"char_cnn_rnn_small_softmax"`.
        convolution_filters: three ints. Like the next three, an argument of
            `CharCNNRNN`.
        third_pool: bool.
        recurrence: string. `"relu"` or `"gated"`.
        embedding_dim: int.
        vocabulary_size: int. The encoder reads this many words, the most
            frequent ones of the training set. Defaults to `None`: it reads
            characters.
        uniform_initialization: float. The initial weights are uniform between
            the negative of this number and it. Defaults to `None`: Keras'
            initializers.
        image_encoder: string. What the encoder learns from: see
            `keras-t2i train-text --help`. Defaults to `"small"`.
        image_weights: string. Path of weights for a network of
            `keras.applications`. Defaults to `None`: random ones.
        freeze_images: bool. Whether these weights stay as they are.
        similarity: string. `"dot"` or `"cosine"`, of `JointEmbedding`.
        loss: string. `"softmax"` or `"structured"`.
        margin: float. Of the structured loss.
        temperature: float. Of the softmax loss.
        class_head_weight: float. Of `JointEmbedding`.
        split: string. `"trainval"`, or `"train"` to keep the split `val` for
            measuring.
        batch_size: int. Images in a step.
        images_per_class: int. Images of each class in a step.
        epochs: int. One of `epochs`, `steps` and `minutes` is not `None`.
            Defaults to `200`.
        steps: int.
        minutes: float.
        steps_per_epoch: string. An epoch has one step per batch of the data
            (`"batches"`), or one per class (`"classes"`), as published.
        optimizer: string. `"adam"` or `"rmsprop"`.
        learning_rate: float.
        decay_per_epoch: float in (0, 1]. Factor of the learning rate after
            each epoch. Defaults to `None`: 1.
        decay_share: float in (0, 1). Last part of the training, over which the
            learning rate falls to 0. Defaults to `None`: it stays as it is.
        ema_momentum: float in [0, 1). The trained encoder has the exponential
            moving average of its weights, with this momentum. Defaults to
            `None`: it has the last weights.
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
    OLDER_VALUES: ClassVar[dict[str, Any]] = {"similarity": "dot"}
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
    steps_per_epoch: str = choice("batches", "batches", "classes")
    optimizer: str = choice("adam", "adam", "rmsprop")
    learning_rate: float = positive(1e-3)
    decay_per_epoch: float | None = number(
        None, "a number in (0, 1]", lambda value: 0 < value <= 1, True
    )
    decay_share: float | None = part(None, optional=True)
    ema_momentum: float | None = below_one(None, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if None not in (self.decay_per_epoch, self.decay_share):
            raise ValueError(
                "One of `decay_per_epoch` and `decay_share` must be None. "
                f"Received: {self.decay_per_epoch} and {self.decay_share}"
            )


@dataclasses.dataclass(frozen=True)
class StyleRecipe(BaseRecipe):
    """Everything that the training of a style encoder does.

    Args:
        width: int. Of `StyleEncoder`. Defaults to `32`, with which a step takes
            a third of the time that it takes with 64.
        image_noise: float. Like the next two, an argument of `StyleInversion`.
        color_jitter: float.
        reconstruction_weight: float. Defaults to `5.0`; the paper has no such
            loss. Without it a style encoder learns nothing about real images,
            and transfers follow the text less.
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
    minutes: float | None = positive(15.0, optional=True)
