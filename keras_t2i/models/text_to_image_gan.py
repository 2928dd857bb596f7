"""The GAN of Reed et al. (2016) in its four variants."""

import copy
import functools
import math
import operator
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras import tree

from keras_t2i.losses.gan_cls import discriminator_loss
from keras_t2i.losses.gan_cls import generator_loss
from keras_t2i.losses.mode_seeking import layouts
from keras_t2i.losses.mode_seeking import mode_seeking_loss
from keras_t2i.losses.relativistic_pairing import RelativisticPairing
from keras_t2i.models.augmentation import augment
from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.discriminator_ensemble import members_of
from keras_t2i.models.from_recipe import PRESETS
from keras_t2i.models.from_recipe import gan_of_recipe
from keras_t2i.models.from_recipe import gan_optimizer
from keras_t2i.models.from_recipe import recipe_from_config
from keras_t2i.models.from_recipe import recipe_of_preset
from keras_t2i.models.from_recipe import with_overrides
from keras_t2i.models.loss_scaling import skipped_together
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.noise import noise_of_step
from keras_t2i.models.noise import uniform_of_step
from keras_t2i.models.picture_drawing import PictureDrawing
from keras_t2i.models.text_standardization import standardizations_of
from keras_t2i.preset_folder import is_folder
from keras_t2i.preset_folder import load_preset_folder
from keras_t2i.preset_folder import save_preset_folder
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.stream_trained_model import StreamTrainedModel

_METRICS = (
    "discriminator_loss",
    "generator_loss",
    "real_accuracy",
    "mismatched_accuracy",
    "generated_accuracy",
    "diversity",
)
# Of which a mode seeking loss takes one, to draw its text again.
_ROWS_PER_REPEATED = 4
_STREAM_OF_REPEATED = 3
_STREAM_OF_AUGMENTATION = 6


@keras.saving.register_keras_serializable("keras_t2i")
class TextToImageGAN(PictureDrawing, StreamTrainedModel):
    """Learns to draw pictures from sentences.

    Four variants by two switches: GAN, GAN-CLS (`matching_aware`), GAN-INT
    (`interpolate`) and GAN-INT-CLS (both). Training takes the batches of
    `keras_t2i.datasets.make_dataset`: with text embeddings the text encoder
    stays as it is; with character ids it is trained along, by the
    discriminator's loss only.

    Logged are both losses, the discriminator's accuracy on real, mismatched and
    generated pairs, and `diversity`: how far the pictures generated for a batch
    lie apart, where 1 is as far as its real images. With a
    `mode_seeking_weight`, `mode_seeking_loss` is logged as well, and is not a
    part of the logged `generator_loss`.

    Args:
        generator: `Generator`.
        discriminator: `Discriminator`, `PixelDiscriminator`,
            `FeatureDiscriminator`, or a `DiscriminatorEnsemble` of them.
        text_encoder: `keras.Model` from `char_ids` to embeddings.
        matching_aware: bool. Whether the discriminator also learns from real
            images with mismatching texts. Defaults to `True`.
        interpolate: bool. Whether the generator also learns from texts
            between two others, which belong to no image. Defaults to `True`.
        mismatch_weight: float in [0, 1]. Share of the mismatched pairs in
            what the discriminator must refuse. Defaults to `0.5`.
        matching_schedule: `keras_t2i.StagedMatching`, whose factor
            `mismatch_weight` is multiplied by. Defaults to `None`: the full
            weight from the first step on.
        interpolation_weight: float. Weight of the interpolated rows in the
            generator's loss. Defaults to `1.0`.
        image_noise: float. Standard deviation of the normal noise that is
            added to all images which the discriminator sees in training. It
            keeps the discriminator from telling pictures apart by details that
            the generator can not draw yet. Defaults to `0.0`.
        image_noise_half_life: int. Steps after which that noise has fallen to
            half its deviation, and again to half of that. As long as there is
            noise, the discriminator does not see fine faults, and the
            generator keeps them. Defaults to `None`: it does not fall.
        interpolation_beta: float in [0, 1]. Share of the first text in an
            interpolated one. Defaults to `0.5`.
        mode_seeking_weight: float. Weight of `keras_t2i.losses.
            mode_seeking_loss` in the generator's loss, for which a quarter of
            the texts is drawn a second time from other noise. It keeps the
            generator from drawing the same picture whatever the noise.
            Defaults to `0.0`.
        mode_seeking_layouts: bool. Whether that loss compares the images'
            `keras_t2i.losses.layouts`, so that other brightness or grain does
            not count. Defaults to `False`: it compares the images.
        scores_jointly: bool. Whether all pairs of an update pass the
            discriminator's head in one batch, so that its batch norm treats
            them alike. In a pass of its own, the statistics of the mismatched
            pairs give them away as a whole, whether or not the discriminator
            has learned which rows match. Defaults to `True`.
        relativistic: bool. Whether the discriminator learns that a real pair
            scores above the generated and the mismatched one of the same row,
            and the generator the opposite, in place of labels for each. See
            `keras_t2i.losses.RelativisticPairing`. Defaults to `False`.
        interpolate_in_place: bool. Whether interpolated texts replace those of
            a quarter of the rows, rather than adding half as many rows.
            `interpolation_weight` then has no effect. Defaults to `False`.
        translation: float in [0, 1]. Largest random shift of all images that
            the discriminator sees in training, as a share of the side.
            Defaults to `0.0`.
        cutout: float in [0, 1]. Side of a random square cut out of all images
            that the discriminator sees in training, as a share of the side.
            Defaults to `0.0`.
        ema_decay: float in [0, 1]. Decay of the moving average of the
            generator's weights that draws all pictures outside training; it
            rises to this value during the first steps. Defaults to `0.999`.
        seed: int. Of the noise in training. Defaults to `0`.
        recipe: `keras_t2i.Recipe`, whose optimizers `compile` takes, and
            whose batches `make_dataset` makes. Defaults to `None`: the
            optimizers of the paper.

    Call input: dict of `text_embeddings` or `char_ids`, and optionally
    `noise`. Output: float32 images in [-1, 1].

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ... )
    >>> gan.compile()
    >>> images = np.zeros((4, 32, 32, 3), "uint8")
    >>> captions = [["a red flower"], ["a rose"], ["a blue one"], ["a tulip"]]
    >>> dataset = keras_t2i.datasets.from_arrays(images, captions, batch_size=4)
    >>> history = gan.fit(dataset, verbose=0)
    >>> gan.generate(["a red flower", "a rose"]).shape
    (2, 32, 32, 3)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), Generative
          Adversarial Text to Image Synthesis.
    """

    presets = PRESETS

    def __init__(
        self,
        generator,
        discriminator,
        text_encoder,
        matching_aware=True,
        interpolate=True,
        mismatch_weight=0.5,
        matching_schedule=None,
        interpolation_weight=1.0,
        interpolation_beta=0.5,
        mode_seeking_weight=0.0,
        image_noise=0.0,
        image_noise_half_life=None,
        mode_seeking_layouts=False,
        scores_jointly=True,
        relativistic=False,
        interpolate_in_place=False,
        translation=0.0,
        cutout=0.0,
        ema_decay=0.999,
        seed=0,
        recipe=None,
        **kwargs,
    ):
        # float32: under mixed precision, Keras would round the noise and the
        # embeddings that `call` takes, and so draw other pictures than the
        # same GAN does in another process.
        super().__init__(**{"dtype": "float32", **kwargs})
        _check_networks(generator, discriminator, text_encoder)
        for name, value in (
            ("mismatch_weight", mismatch_weight),
            ("interpolation_beta", interpolation_beta),
            ("translation", translation),
            ("cutout", cutout),
            ("ema_decay", ema_decay),
        ):
            if not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"`{name}` must be in [0, 1]. Received: {value!r}"
                )
        for name, value in (
            ("image_noise", image_noise),
            ("mode_seeking_weight", mode_seeking_weight),
        ):
            if value < 0.0:
                raise ValueError(
                    f"`{name}` must be at least 0. Received: {value!r}"
                )
        if image_noise_half_life is not None and image_noise_half_life < 1:
            raise ValueError(
                "`image_noise_half_life` must be at least 1, or None. "
                f"Received: {image_noise_half_life!r}"
            )
        if matching_schedule is not None and not matching_aware:
            raise ValueError(
                "`matching_schedule` is for a GAN with `matching_aware=True`. "
                "Received: matching_aware=False"
            )
        self.generator = generator
        self.discriminator = discriminator
        self.text_encoder = text_encoder
        self.matching_aware = matching_aware
        # Not of the argument's name: `interpolate` is a method.
        self.interpolates_texts = interpolate
        self.mismatch_weight = mismatch_weight
        self.matching_schedule = matching_schedule
        self.interpolation_weight = interpolation_weight
        self.interpolation_beta = interpolation_beta
        self.mode_seeking_weight = mode_seeking_weight
        self.image_noise = image_noise
        self.image_noise_half_life = image_noise_half_life
        self.mode_seeking_layouts = mode_seeking_layouts
        self.scores_jointly = scores_jointly
        self.relativistic = relativistic
        self.interpolate_in_place = interpolate_in_place
        self.translation = translation
        self.cutout = cutout
        self.ema_decay = ema_decay
        self.seed = seed
        self.recipe = recipe

        self.image_size = generator.image_size
        self.noise_dim = generator.noise_dim
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self._pairing = RelativisticPairing()
        self._trackers = {name: keras.metrics.Mean(name) for name in _METRICS}
        if not matching_aware:
            del self._trackers["mismatched_accuracy"]
        if mode_seeking_weight:
            self._trackers["mode_seeking_loss"] = keras.metrics.Mean(
                "mode_seeking_loss"
            )
        if matching_schedule is not None:
            self._trackers["mismatch_weight"] = keras.metrics.Mean(
                "mismatch_weight"
            )
        # float32 whatever the generator's own precision: it is a sum of very
        # many small changes, and it is what is exported.
        config = generator.get_config()
        self.ema_generator = type(generator).from_config(
            {**config, "name": "ema_generator", "dtype": "float32"}
        )
        self.ema_generator.trainable = False
        self.ema_generator.set_weights(generator.get_weights())
        self.built = True

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, *, text_encoder: keras.Model | None = None
    ) -> "TextToImageGAN":
        """Makes an untrained GAN from a recipe.

        Args:
            recipe: `keras_t2i.Recipe`. Its `precision`, `strategy` and duration
                are for `keras_t2i.train`.
            text_encoder: `keras.Model` from `char_ids` to embeddings.
                Defaults to `None`: a new `CharCNNRNN`.

        Returns:
            `TextToImageGAN`.
        """
        return gan_of_recipe(cls, recipe, text_encoder)

    @classmethod
    def from_preset(
        cls,
        name_or_folder: str,
        *,
        text_encoder: keras.Model | None = None,
        **overrides: Any,
    ) -> "TextToImageGAN":
        """Makes an untrained GAN from a preset, or loads a trained one.

        Args:
            name_or_folder: string. One of `TextToImageGAN.presets`, or path of
                a run folder with a `model.keras`, or of a folder that
                `save_to_preset` has written.
            text_encoder: `keras.Model` from `char_ids` to embeddings.
                Defaults to `None`: that of the folder or, for a name, a new
                `CharCNNRNN`.
            **overrides: fields of `keras_t2i.Recipe` in place of the preset's,
                or `width`, as of `Recipe.override`. With a folder, all but
                those of the networks.

        Returns:
            `TextToImageGAN`, not compiled.

        Raises:
            ValueError: there is neither such a preset nor such a folder, or
                no such field.
        """
        if name_or_folder in PRESETS or not is_folder(name_or_folder):
            recipe = recipe_of_preset(name_or_folder, overrides)
            return cls.from_recipe(recipe, text_encoder=text_encoder)
        gan = load_preset_folder(name_or_folder)
        if not isinstance(gan, cls):
            raise ValueError(
                f"The folder must hold a `{cls.__name__}`. Received: "
                f"{str(name_or_folder)!r}, with a {type(gan).__name__}"
            )
        if text_encoder is None and not overrides:
            return gan
        return with_overrides(gan, text_encoder, overrides)

    def save_to_preset(self, folder: str) -> None:
        """Writes the config and the weights, for `from_preset`.

        Args:
            folder: path of the folder to make.

        Raises:
            OSError: a file cannot be written.
        """
        save_preset_folder(self, folder)

    def make_dataset(
        self,
        path: str,
        split: str = "train",
        *,
        text_embeddings: str | None = None,
        **options: Any,
    ) -> tf.data.Dataset:
        """Makes the batches that the recipe says.

        Where the recipe has `standardize_texts` and the networks take texts as
        they are yet, they learn the mean and the deviation of
        `text_embeddings`.

        Args:
            path: path. Folder that `keras-t2i prepare` wrote.
            split: string. Defaults to `"train"`.
            text_embeddings: path, as of `keras_t2i.datasets.make_dataset`.
                Defaults to `None`: the batches hold `char_ids`, one caption an
                image and any mismatching text.
            **options: arguments of `keras_t2i.datasets.make_dataset` in place
                of the recipe's.

        Returns:
            `tf.data.Dataset` of the dicts that
            `keras_t2i.datasets.make_dataset` makes.
        """
        # Not above: data sets reach text encoders, and those this module.
        from keras_t2i.recipe_batches import recipe_batches

        return recipe_batches(
            self, self.recipe, path, split, text_embeddings, **options
        )

    def compile(
        self, generator_optimizer=None, discriminator_optimizer=None, **kwargs
    ):
        """Sets the two optimizers.

        Args:
            generator_optimizer: string or `keras.optimizers.Optimizer`.
                Defaults to `None`: that of the recipe which the GAN is made
                from, or else Adam with a learning rate of 2e-4 and beta_1 of
                0.5. Where the recipe's learning rate falls with the epochs,
                whose length is not known here, it stays as it begins.
            discriminator_optimizer: likewise.
            **kwargs: further arguments of `keras.Model.compile`, without
                `optimizer` and `loss`.
        """
        for name in ("optimizer", "loss"):
            if name in kwargs:
                raise ValueError(
                    "`compile` takes `generator_optimizer` and "
                    f"`discriminator_optimizer`. Received: {name}="
                    f"{kwargs[name]!r}"
                )
        # Not left out: that would make an RMSprop that nobody uses.
        super().compile(optimizer=None, **kwargs)
        self.generator_optimizer = self._optimizer(
            "generator", generator_optimizer
        )
        self.discriminator_optimizer = self._optimizer(
            "discriminator", discriminator_optimizer
        )
        if self.generator_optimizer is self.discriminator_optimizer:
            raise ValueError(
                "`compile` takes two optimizers, one for each network. "
                f"Received: {generator_optimizer!r} for both"
            )
        # Built here, not in the first step: strategies and loading need it.
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(
            self.discriminator.trainable_variables
            + self.text_encoder.trainable_variables
        )
        self._compile_arguments = kwargs

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "generator_optimizer": serialize(self.generator_optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
            **self._compile_arguments,
        }

    def compile_from_config(self, config):
        config = dict(config)
        for name in ("generator_optimizer", "discriminator_optimizer"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        self.compile(**config)

    def call(self, inputs, training=False):
        text_embeddings = embeddings_of_batch(self.text_encoder, inputs)
        noise = inputs.get("noise")
        if noise is None:
            seeds = ops.arange(ops.shape(text_embeddings)[0])
            noise = noise_from_seeds(seeds, self.noise_dim)
        return self.ema_generator(
            {"noise": noise, "text_embeddings": text_embeddings},
            training=False,
        )

    def train_step(self, data):
        """Algorithm 1 of the paper, with interpolated texts of equation 5."""
        batch = keras.utils.unpack_x_y_sample_weight(data)[0]
        images = batch["images"]
        num_rows = ops.shape(images)[0]
        # Before the tapes: nothing that is trained makes them.
        real_views = self._training_views(images, 1)

        with tf.GradientTape() as discriminator_tape:
            # h and h-hat: encode the matching and the mismatching text.
            text = embeddings_of_batch(self.text_encoder, batch)
            mismatched_text = None
            if self.matching_aware:
                mismatched_text = embeddings_of_batch(
                    self.text_encoder, batch, "mismatched_"
                )
            drawn_text = self._generator_text(text)
            # The generator's loss does not reach the text encoder.
            generator_text = ops.stop_gradient(drawn_text)
            num_once = ops.shape(generator_text)[0]
            if self.mode_seeking_weight:
                again = generator_text[:num_rows:_ROWS_PER_REPEATED]
                generator_text = ops.concatenate([generator_text, again])

            # z: draw the noise. x-hat: generate the images, once for both
            # updates, and what the discriminator reads of them.
            with tf.GradientTape(
                watch_accessed_variables=False
            ) as generator_tape:
                # Not the weights of frozen features.
                generator_tape.watch(
                    [
                        weight.value
                        for weight in self.generator.trainable_weights
                    ]
                )
                num_drawn = ops.shape(generator_text)[0]
                noise = self._step_noise(0, num_drawn, self.noise_dim, num_once)
                pictures = self.generator(
                    {"noise": noise, "text_embeddings": generator_text},
                    training=True,
                )
                generated_views = self._training_views(pictures, 2, num_once)

            # s_r, s_w, s_f: score real, mismatched and generated pairs. The
            # text joins in the head, so the real images pass the trunk once.
            pairs = self._pairs(
                real_views,
                _map(ops.stop_gradient, _rows(generated_views, num_rows)),
                text,
                mismatched_text,
                drawn_text[:num_rows],
                True,
            )
            logits = self._logits(pairs, True)
            loss = self._discriminator_loss(logits) + self._regularization(
                real_views, text
            )
            scaled_loss = self.discriminator_optimizer.scale_loss(loss)

        # Update the discriminator.
        variables = self._trained_by_discriminator_loss(batch)
        gradients = discriminator_tape.gradient(scaled_loss, variables)
        self.discriminator_optimizer.apply(
            skipped_together(self.discriminator_optimizer, gradients), variables
        )
        self._track_discriminator(loss, logits)
        self._trackers["diversity"].update_state(
            _relative_diversity(pictures[:num_rows], images)
        )
        self._update_matching_schedule(logits)

        # Score the same images with the updated discriminator.
        sources = tree.flatten(generated_views)
        if self.mode_seeking_weight:
            sources.append(pictures)
        with tf.GradientTape(watch_accessed_variables=False) as score_tape:
            score_tape.watch(sources)
            loss = self._generator_loss(
                generated_views,
                generator_text,
                num_rows,
                num_once,
                pairs,
                logits,
                True,
            )
            self._trackers["generator_loss"].update_state(_unscaled(loss))
            if self.mode_seeking_weight:
                repeated = slice(None, num_rows, _ROWS_PER_REPEATED)
                compared = (
                    layouts(pictures) if self.mode_seeking_layouts else pictures
                )
                alike = mode_seeking_loss(
                    compared[repeated],
                    compared[num_once:],
                    noise[repeated],
                    noise[num_once:],
                )
                self._trackers["mode_seeking_loss"].update_state(
                    _unscaled(alike)
                )
                loss += self.mode_seeking_weight * alike
            scaled_loss = self.generator_optimizer.scale_loss(loss)

        # Update the generator.
        source_gradients = score_tape.gradient(scaled_loss, sources)
        variables = self.generator.trainable_variables
        gradients = generator_tape.gradient(
            sources, variables, output_gradients=source_gradients
        )
        self.generator_optimizer.apply(
            skipped_together(self.generator_optimizer, gradients), variables
        )
        self._update_ema_generator()
        return self.get_metrics_result()

    def test_step(self, data):
        batch = keras.utils.unpack_x_y_sample_weight(data)[0]
        images = batch["images"]
        num_rows = ops.shape(images)[0]
        text = embeddings_of_batch(self.text_encoder, batch)
        mismatched_text = None
        if self.matching_aware:
            mismatched_text = embeddings_of_batch(
                self.text_encoder, batch, "mismatched_"
            )
        generator_text = self._generator_text(text)
        num_once = ops.shape(generator_text)[0]
        pictures = self({"text_embeddings": generator_text})
        generated_views = self._views(pictures)
        pairs = self._pairs(
            self._views(images),
            _rows(generated_views, num_rows),
            text,
            mismatched_text,
            generator_text[:num_rows],
            False,
        )
        logits = self._logits(pairs, False)
        loss = self._discriminator_loss(logits)
        self._track_discriminator(loss, logits)
        self._trackers["diversity"].update_state(
            _relative_diversity(pictures[:num_rows], images)
        )
        loss = self._generator_loss(
            generated_views,
            generator_text,
            num_rows,
            num_once,
            pairs,
            logits,
            False,
        )
        self._trackers["generator_loss"].update_state(_unscaled(loss))
        results = self.get_metrics_result()
        # No text is drawn twice here.
        results.pop("mode_seeking_loss", None)
        return results

    def standardize_texts(self, text_embeddings):
        """Takes the mean and deviation of texts, for networks that use them.

        `ModulatedGenerator`, `PixelDiscriminator` and `FeatureDiscriminator`
        subtract the mean and divide by the deviation, which are saved with
        them. Call it once, before training.

        Args:
            text_embeddings: float array of shape `(num_texts, dim)`, of the
                training set.
        """
        networks = (
            self.generator,
            self.ema_generator,
            *members_of(self.discriminator),
        )
        for network in networks:
            for layer in standardizations_of(network):
                layer.adapt(text_embeddings)

    @property
    def metrics(self):
        return list(self._trackers.values())

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        names = (
            "matching_aware",
            "mismatch_weight",
            "interpolation_weight",
            "interpolation_beta",
            "mode_seeking_weight",
            "image_noise",
            "image_noise_half_life",
            "mode_seeking_layouts",
            "scores_jointly",
            "relativistic",
            "interpolate_in_place",
            "translation",
            "cutout",
            "ema_decay",
            "seed",
        )
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "text_encoder": serialize(self.text_encoder),
            "matching_schedule": serialize(self.matching_schedule),
            "interpolate": self.interpolates_texts,
            "recipe": None if self.recipe is None else self.recipe.to_dict(),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        for name in (
            "generator",
            "discriminator",
            "text_encoder",
            "matching_schedule",
        ):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        config["recipe"] = recipe_from_config(config)
        config.pop("preset", None)
        return cls(**config)

    def _optimizer(self, network, optimizer):
        if optimizer is None and self.recipe is None:
            optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        elif optimizer is None:
            optimizer = gan_optimizer(self.recipe, network)
        optimizer = keras.optimizers.get(optimizer)
        # Keras does this only for a model's one `optimizer`.
        if (
            self.generator.dtype_policy.name == "mixed_float16"
            and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        ):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _trained_by_discriminator_loss(self, batch):
        # Only the discriminator's loss reaches a text encoder that is trained
        # along: it has to express what tells matching pairs apart.
        variables = self.discriminator.trainable_variables
        if "char_ids" in batch:
            variables = variables + self.text_encoder.trainable_variables
        return variables

    def _generator_text(self, text):
        """The texts to draw: those of the batch, then those in between."""
        if not self.interpolates_texts:
            return text
        if self.interpolate_in_place:
            return self._with_interpolated_rows(text)
        if text.shape[0] == 1:
            raise ValueError(
                "Interpolated texts need batches of at least 2 rows on each "
                "device. Received: 1 row. Raise `batch_size`, or set "
                "`interpolate=False`."
            )
        half = ops.shape(text)[0] // 2
        beta = self.interpolation_beta
        between = beta * text[:half] + (1.0 - beta) * text[half : 2 * half]
        return ops.concatenate([text, between])

    def _with_interpolated_rows(self, text):
        """Replaces the first quarter by texts on the way to the third."""
        num_rows = ops.shape(text)[0]
        quarter = num_rows // 4
        other = text[num_rows // 2 : num_rows // 2 + quarter]
        beta = self.interpolation_beta
        between = beta * text[:quarter] + (1.0 - beta) * other
        return ops.concatenate([between, text[quarter:]])

    def _step_noise(
        self, stream, num_rows, dim, num_once=None, draw=noise_of_step
    ):
        """Normal noise of this step, or uniform; each stream has its own.

        Rows from `num_once` on are of texts that are drawn again. They have a
        stream of their own, or the rows before them would be others on
        several devices, which share out each stream by itself.
        """
        # The generator's steps: the discriminator's own change in the step.
        step = self.generator_optimizer.iterations
        if num_once is None or not self.mode_seeking_weight:
            return draw(self.seed + stream, step, num_rows, dim)
        once = draw(self.seed + stream, step, num_once, dim)
        again = draw(
            self.seed + stream + _STREAM_OF_REPEATED,
            step,
            num_rows - num_once,
            dim,
        )
        return ops.concatenate([once, again])

    def _image_noise(self, images, stream, num_once=None):
        """What is added to the images of a step, as `_step_noise`."""
        if not self.image_noise:
            return 0.0
        noise = self._step_noise(
            stream,
            ops.shape(images)[0],
            math.prod(images.shape[1:]),
            num_once,
        )
        deviation = self.image_noise
        if self.image_noise_half_life is not None:
            step = self.generator_optimizer.iterations
            half_lives = ops.cast(step, "float32") / self.image_noise_half_life
            deviation *= 0.5**half_lives
        return deviation * ops.reshape(noise, (-1, *images.shape[1:]))

    def _training_views(self, images, stream, num_once=None):
        """What the discriminator reads of images, with noise, augmented."""
        images = images + self._image_noise(images, stream, num_once)
        if self.translation or self.cutout:
            uniform = self._step_noise(
                _STREAM_OF_AUGMENTATION + stream,
                ops.shape(images)[0],
                4,
                num_once,
                draw=uniform_of_step,
            )
            images = augment(images, uniform, self.translation, self.cutout)
        return self._views(images)

    def _views(self, images):
        """For each member of the discriminator, what its trunk reads."""
        return [
            member.views(images) for member in members_of(self.discriminator)
        ]

    def _features(self, views, training):
        return [
            member.trunk(view, training=training)
            for member, view in zip(members_of(self.discriminator), views)
        ]

    def _regularization(self, real_views, text):
        return sum(
            member.regularization(
                view, text, self.generator_optimizer.iterations
            )
            for member, view in zip(members_of(self.discriminator), real_views)
        )

    def _pairs(
        self,
        real_views,
        generated_views,
        text,
        mismatched_text,
        generator_text,
        training,
    ):
        """The pairs of an update: features of images, and texts."""
        features = self._features(real_views, training)
        pairs = {"real": (features, text)}
        if mismatched_text is not None:
            pairs["mismatched"] = (features, mismatched_text)
        features = self._features(generated_views, training)
        pairs["generated"] = (features, generator_text)
        return pairs

    def _logits(self, pairs, training):
        """Scores pairs: for each name, a list of the logits of each member."""
        if not self.scores_jointly:
            return {
                name: self._score(*pair, training)
                for name, pair in pairs.items()
            }
        features, texts = zip(*pairs.values())
        joined = _map(lambda *rows: ops.concatenate(rows), *features)
        logits = self._score(joined, ops.concatenate(texts), training)
        # tf.split, as Keras' own takes no sizes that a graph finds out.
        sizes = [ops.shape(text)[0] for text in texts]
        members = [tf.split(rows, sizes) for rows in logits]
        return {name: list(rows) for name, rows in zip(pairs, zip(*members))}

    def _score(self, features, text_embeddings, training):
        return [
            member.head(
                {"features": rows, "text_embeddings": text_embeddings},
                training=training,
            )
            for member, rows in zip(members_of(self.discriminator), features)
        ]

    def _discriminator_loss(self, logits):
        """The sum of the members' losses."""
        weight = None
        if self.matching_aware:
            weight = self._scheduled_mismatch_weight()
        losses = []
        for index, real in enumerate(logits["real"]):
            generated = logits["generated"][index]
            mismatched = None
            if self.matching_aware:
                mismatched = logits["mismatched"][index]
            if not self.relativistic:
                losses.append(
                    discriminator_loss(
                        real, generated, self.loss_fn, mismatched, weight
                    )
                )
                continue
            losses.append(self._pairing(real, generated))
            if self.matching_aware:
                # 0.5, the paper's weight, counts both pairs alike.
                losses.append(2.0 * weight * self._pairing(real, mismatched))
        return functools.reduce(operator.add, losses)

    def _scheduled_mismatch_weight(self):
        if self.matching_schedule is None:
            return self.mismatch_weight
        # The generator's steps: the discriminator's own change in the step.
        steps = self.generator_optimizer.iterations
        weight = self.mismatch_weight * self.matching_schedule.factor(steps)
        self._trackers["mismatch_weight"].update_state(weight)
        return weight

    def _update_matching_schedule(self, logits):
        if self.matching_schedule is None:
            return
        _, refused = self._judged(logits)["generated"]
        # Of all replicas, or each of them would start in a step of its own.
        accuracy = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN,
            ops.mean(ops.cast(refused, "float32")),
        )
        steps = self.generator_optimizer.iterations + 1
        self.matching_schedule.update(steps, accuracy)

    def _generator_loss(
        self,
        generated_views,
        generator_text,
        num_rows,
        num_once,
        pairs,
        logits,
        training,
    ):
        features = self._features(generated_views, training)
        # Scored among the real pairs of the discriminator's update, whose
        # features are those from before it: batch norm must not see generated
        # images alone here, where it has just seen them among others.
        pairs = {**pairs, "generated": (features, generator_text)}
        if not self.scores_jointly:
            pairs = {"generated": pairs["generated"]}
        real = _map(ops.stop_gradient, logits["real"])
        generated = self._logits(pairs, training)["generated"]
        return functools.reduce(
            operator.add,
            [
                self._member_generator_loss(*rows, num_rows, num_once)
                for rows in zip(real, generated)
            ],
        )

    def _member_generator_loss(self, real, logits, num_rows, num_once):
        own = logits[:num_rows]
        if self.mode_seeking_weight:
            # None outside of training.
            repeated = logits[num_once:]
            own = ops.concatenate([own, repeated])
            others = real[::_ROWS_PER_REPEATED][: ops.shape(repeated)[0]]
            real = ops.concatenate([real, others])
        if self.relativistic:
            loss = self._pairing(own, real)
            if self._adds_rows():
                between = logits[num_rows:num_once]
                loss += self.interpolation_weight * self._pairing(
                    between, real[: ops.shape(between)[0]]
                )
            return loss
        return generator_loss(
            own,
            self.loss_fn,
            interpolated_logits=logits[num_rows:num_once]
            if self._adds_rows()
            else None,
            interpolation_weight=self.interpolation_weight,
        )

    def _adds_rows(self):
        return self.interpolates_texts and not self.interpolate_in_place

    def _judged(self, logits):
        """For each pair whether it is accepted, and whether it is refused."""
        # Of several members the sum, of which each has averaged its logits.
        scores = {
            name: functools.reduce(
                operator.add,
                [ops.mean(rows, axis=-1, keepdims=True) for rows in members],
            )
            for name, members in logits.items()
        }
        if not self.relativistic:
            return {
                name: (score > 0, score <= 0) for name, score in scores.items()
            }
        real = scores.pop("real")
        # Only comparisons count: a pair is refused below the real one.
        judged = {
            name: (score >= real, score < real)
            for name, score in scores.items()
        }
        accepted = functools.reduce(
            ops.logical_and, [refused for _, refused in judged.values()]
        )
        return {"real": (accepted, ops.logical_not(accepted)), **judged}

    def _track_discriminator(self, loss, logits):
        self._trackers["discriminator_loss"].update_state(_unscaled(loss))
        for name, (accepted, refused) in self._judged(logits).items():
            right = accepted if name == "real" else refused
            self._trackers[f"{name}_accuracy"].update_state(
                ops.cast(right, "float32")
            )

    def _update_ema_generator(self):
        step = ops.cast(self.generator_optimizer.iterations, "float32")
        # A full decay from the start would show the initial weights, and so
        # grey pictures, for the first thousand steps.
        decay = ops.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        averages = [weight.value for weight in self.ema_generator.weights]
        values = [weight.value for weight in self.generator.weights]
        decays = [
            # Batch norm's moving statistics are averages already.
            decay if weight.trainable else 0.0
            for weight in self.generator.weights
        ]

        def update(strategy, averages, values, decays):
            for average, value, decay in zip(averages, values, decays):
                strategy.extended.update(
                    average,
                    lambda a, v, d: a.assign(d * a + (1.0 - d) * v),
                    args=(value, decay),
                )

        tf.distribute.get_replica_context().merge_call(
            update, args=(averages, values, decays)
        )


def _map(function, *structures):
    return tree.map_structure(function, *structures)


def _rows(views, num_rows):
    return _map(lambda view: view[:num_rows], views)


def _relative_diversity(pictures, images):
    """How far the pictures of a batch lie apart; 1 is as far as real ones."""
    replica = tf.distribute.get_replica_context()
    variances = []
    for rows in (pictures, images):
        rows = ops.cast(rows, "float32")
        # Of the batch of all replicas.
        mean, square = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN,
            [ops.mean(rows, axis=0), ops.mean(ops.square(rows), axis=0)],
        )
        variances.append(ops.mean(square - ops.square(mean)))
    drawn, real = variances
    return ops.sqrt(ops.maximum(ops.divide_no_nan(drawn, real), 0.0))


def _unscaled(loss):
    # Keras divides a loss by the number of replicas, to sum their gradients.
    return loss * tf.distribute.get_strategy().num_replicas_in_sync


def _check_networks(generator, discriminator, text_encoder):
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
