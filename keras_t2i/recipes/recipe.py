"""How a GAN is made and trained."""

import dataclasses
from typing import Any
from typing import ClassVar
from typing import Self

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

# Which end of each is the better one.
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


def _turns(value):
    if isinstance(value, (list, tuple)) and value:
        return tuple(to_whole_number(one, 1) for one in value)
    return to_whole_number(value, 1)


@dataclasses.dataclass(frozen=True)
class Recipe(BaseRecipe):
    """All that the training of a `TextToImageGAN` does.

    The defaults are those of the preset `gan_int_cls`. Fields have the names of
    the options of `keras-t2i train` and of the arguments of the classes that
    they are for, where more is said of them.

    Args:
        preset: string. What the recipe was made from. Defaults to
            `"gan_int_cls"`.
        image_size: int. 32, 64, 128 or 256. Defaults to `None`: that of the
            data set or, where there is none, 64.
        generator: string. `"Generator"` or `"ModulatedGenerator"`.
        generator_width: int.
        residual_blocks: bool. Of `Generator`.
        full_resolution: bool. Of `ModulatedGenerator`.
        discriminator: string, `"Discriminator"` or `"PixelDiscriminator"`, or
            `None`: the one that looks through `feature_network` stands alone.
        discriminator_width: int.
        fusion_size: int. Of `Discriminator`.
        as_released: bool. Of `Discriminator`.
        penalty_weight: float. Of `PixelDiscriminator`.
        penalty_interval: int. Of `PixelDiscriminator`.
        feature_network: string. The pretrained network that a
            `FeatureDiscriminator` looks through. Defaults to `None`: there is
            no such discriminator.
        feature_width: int. Of `FeatureDiscriminator`.
        matching_aware: bool. As all that follow up to `ema_decay`, an argument
            of `TextToImageGAN`.
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
        matching_start_step: int, the `start_step` of a `StagedMatching`.
            Defaults to `None`.
        matching_accuracy_threshold: float, its `accuracy_threshold`. Defaults
            to `None`. Without both, mismatched texts count from the beginning.
        matching_patience: int, its `patience`.
        matching_rise_steps: int, its `rise_steps`.
        batch_size: int. Images in a step, on all devices together.
        captions_per_image: int, or tuple of ints to take in turn. As
            `mismatch_candidates`, an argument of `make_dataset`, for training
            on embeddings.
        mismatch_candidates: int.
        epochs: int. One of `epochs`, `steps` and `minutes` is not `None`.
        steps: int.
        minutes: float.
        generator_learning_rate: float. Both networks are trained by Adam.
        discriminator_learning_rate: float.
        beta_1: float in [0, 1).
        beta_2: float in [0, 1).
        epochs_per_halving: int. After so many epochs, and again after as many,
            the learning rates are halved. Defaults to `None`: they are not.
        decay_share: float in [0, 1]. Last part of the training, over which the
            learning rates fall to 0. Defaults to `None`: they do not.
        standardize_texts: bool. Whether the networks take texts of mean 0 and
            deviation 1, by those of the training set.
        precision: string. `"float32"`, `"mixed_bfloat16"` or
            `"mixed_float16"`, of the computations.
        seed: int. Of weights, noise and the order of data.
        strategy: string. `"none"`, or `"mirrored"`: all GPUs of the machine.
        end_to_end: bool. Whether the text encoder is trained along.
        keep_best: string. Measure by which the best model is kept; the
            training is on the split `train` alone then. Defaults to `None`:
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
    matching_start_step: int | None = whole_number(None, optional=True)
    matching_accuracy_threshold: float | None = number(
        None, "a number between 0 and 1", lambda value: 0 < value < 1, True
    )
    matching_patience: int = whole_number(100, 1)
    matching_rise_steps: int = whole_number(1000, 1)
    batch_size: int = whole_number(32, 1)
    captions_per_image: int | tuple[int, ...] = checked(
        4, "a whole number of at least 1, or a list of such numbers", _turns
    )
    mismatch_candidates: int = whole_number(8, 1)
    epochs: int | None = whole_number(200, 1, optional=True)
    steps: int | None = whole_number(None, 1, optional=True)
    minutes: float | None = positive(None, optional=True)
    generator_learning_rate: float = positive(4e-4)
    discriminator_learning_rate: float = positive(1e-4)
    beta_1: float = number(
        0.5, "a number in [0, 1)", lambda value: 0 <= value < 1
    )
    beta_2: float = number(
        0.999, "a number in [0, 1)", lambda value: 0 <= value < 1
    )
    epochs_per_halving: int | None = whole_number(None, 1, optional=True)
    decay_share: float | None = share(None, optional=True)
    standardize_texts: bool = flag(False)
    precision: str = choice(
        "float32", "float32", "mixed_bfloat16", "mixed_float16"
    )
    seed: int = whole_number(0)
    strategy: str = choice("none", "none", "mirrored")
    end_to_end: bool = flag(False)
    keep_best: str | None = text(None, optional=True)
    tensorboard: bool = flag(False)

    def __post_init__(self):
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

    def override(self, *, width: int | None = None, **changes: Any) -> Self:
        """Returns the recipe with some fields changed.

        Of `epochs`, `steps` and `minutes`, the one that is given takes the
        place of the one before.

        Args:
            width: int. Sets `discriminator_width`; the generator keeps its
                ratio to it. Defaults to `None`: both stay as they are.
            **changes: fields and their values.

        Raises:
            ValueError: there is no such field, or a value is none of its.
        """
        recipe = super().override(**changes)
        if width is None:
            return recipe
        try:
            width = to_whole_number(width, 1)
        except (TypeError, ValueError):
            raise ValueError(
                "`width` must be a whole number of at least 1. Received: "
                f"{width!r}"
            ) from None
        if recipe.discriminator is None:
            raise ValueError(
                "`width` is that of a `discriminator`, which the generator "
                "keeps its ratio to. Received: a recipe with "
                "`discriminator=None`. Set `generator_width`."
            )
        scaled = width * recipe.generator_width // recipe.discriminator_width
        return dataclasses.replace(
            recipe,
            discriminator_width=width,
            generator_width=max(1, scaled),
        )
