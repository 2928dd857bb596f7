"""Trains a style encoder to invert a generator."""

import enum
import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_t2i.checks import check_attributes
from keras_t2i.checks import check_embedding_dim
from keras_t2i.checks import check_not_negative
from keras_t2i.checks import check_text_encoder
from keras_t2i.checks import check_whole_number
from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.batch_texts import sum_over_devices
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import noise_of_batch
from keras_t2i.models.noise import seeds_of_rows
from keras_t2i.models.style_encoder import NoiseRecovery
from keras_t2i.models.style_encoder import noise_recovery
from keras_t2i.models.weight_updates import apply_gradients
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.stream_trained_model import batch_of
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import encode_captions
from keras_t2i.types import Tensor


class _Stream(enum.IntEnum):
    GENERATOR = 0
    COLORS = 1
    IMAGES = 2


@keras.saving.register_keras_serializable("keras_t2i")
class StyleInversion(StreamTrainedModel):
    """Trains a style encoder on generated images, to find the noise in them.

    Each step samples noise, generates images from it and from the texts of the
    batch, and teaches the style encoder to find that noise. Batches hold texts,
    as those of `keras_t2i.datasets.make_captions_dataset`; whatever else they
    hold is not used without a `reconstruction_weight`. The style encoder alone
    is trained. `TextToImageGAN.transfer_style` then uses it.

    Real images differ from generated ones. Noise and changes of color on the
    generated images keep the style encoder from relying on what only they have.
    With a `reconstruction_weight` it learns from real images as well: the
    generator makes images from their styles and texts, which must be like the
    real ones. The styles of a batch must also have the mean and the variance
    of noise: the generator was trained on nothing else, and styles that are
    all alike transfer nothing.
    Batches are then those of `keras_t2i.datasets.make_dataset`.

    The logs hold the `loss`, the mean squared error of the noise; `r_squared`,
    the share of the noise's variance that is recovered, where 1 is all of it;
    and, if it has a weight, the `reconstruction_error`, that of the images.

    Args:
        generator: `keras.Model`, the generator that `generate` uses:
            `gan.ema_generator`.
        text_encoder: `keras.Model` from `token_ids` to embeddings, that of the
            GAN.
        style_encoder: `StyleEncoder`, to be trained.
        image_noise: float. Standard deviation of the noise added to generated
            images, in units of their range of [-1, 1], over all images. Each
            image has a level of its own, so that some are as clean as those of
            later use. Defaults to `0.0`.
        color_jitter: float. Standard deviation of the random factor, around 1,
            and of the random shift of each image's red, green and blue.
            Defaults to `0.0`.
        reconstruction_weight: float. Weight of the mean squared error of the
            reconstructed images, in units of their range of [-1, 1], and of
            how far the mean and the variance of their styles, in a batch, are
            from 0 and 1. Defaults to `0.0`: real images are not needed.
        seed: int. Of all noise in training. Defaults to `0`.

    Call input: images in [-1, 1]. Output: noise.

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ... )
    >>> style_encoder = keras_t2i.StyleEncoder(32, width=4)
    >>> inversion = keras_t2i.StyleInversion(
    ...     gan.ema_generator, gan.text_encoder, style_encoder
    ... )
    >>> inversion.compile()
    >>> batch = {"token_ids": np.ones((4, 201), "int32")}
    >>> history = inversion.fit(batch, batch_size=4, verbose=0)
    >>> sorted(history.history)
    ['loss', 'r_squared']
    >>> images = np.zeros((1, 32, 32, 3), "uint8")
    >>> gan.transfer_style(images, ["a red flower"], style_encoder).shape
    (1, 1, 32, 32, 3)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.4.
    """

    object_arguments = ("generator", "text_encoder", "style_encoder")
    why_no_use_ema = "Keras averages all weights, and some are not trained here"

    def __init__(
        self,
        generator: keras.Model,
        text_encoder: keras.Model,
        style_encoder: keras.Model,
        image_noise: float = 0.0,
        color_jitter: float = 0.0,
        reconstruction_weight: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_networks(generator, text_encoder, style_encoder)
        check_not_negative(
            image_noise=image_noise,
            color_jitter=color_jitter,
            reconstruction_weight=reconstruction_weight,
        )
        check_whole_number(seed, "seed", at_least=0)
        self.generator = generator
        self.text_encoder = text_encoder
        self.style_encoder = style_encoder
        self.image_noise = image_noise
        self.color_jitter = color_jitter
        self.reconstruction_weight = reconstruction_weight
        self.seed = seed

        self.loss_fn = keras.losses.MeanSquaredError()
        self._trackers = {
            name: keras.metrics.Mean(name) for name in ("loss", "r_squared")
        }
        if reconstruction_weight:
            self._trackers["reconstruction_error"] = keras.metrics.Mean(
                "reconstruction_error"
            )
        self.built = True

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the optimizer.

        Args:
            optimizer: string or `keras.optimizers.Optimizer`. Defaults to
                `None`: Adam with a learning rate of 1e-3.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile` and
                `auto_scale_loss`, as of `keras.Model.compile`.

        Raises:
            ValueError: there are other arguments, or the optimizer has
                `use_ema`.
        """
        if optimizer is None:
            optimizer = keras.optimizers.Adam(1e-3)
        super().compile(optimizer=optimizer, **kwargs)
        # Built here, not in the first step: strategies and loading need it.
        self.optimizer.build(self.style_encoder.trainable_variables)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return self.style_encoder(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """One step on the loss of section 4.4, |z - S(G(z, h))|^2.

        With a `reconstruction_weight`, also on |x - G(S(x), h)|^2 and on how
        S(x) is spread otherwise than noise is.
        """
        batch = batch_of(data)
        text = embeddings_of_batch(self.text_encoder, batch)
        step_noise = StepNoise(self.seed, self.steps_trained)

        # z, and G(z, h), which no gradient passes through.
        noise = step_noise.normal(
            _Stream.GENERATOR, ops.shape(text)[0], self.noise_dim
        )
        generated = self._augmented(self._generate(noise, text), step_noise)

        with tf.GradientTape() as tape:
            if self.reconstruction_weight:
                images = _real_images(batch)
                # In one pass: batch norm must treat real and generated images
                # alike, as it will when S is used.
                both = ops.concatenate([generated, images])
                found, styles = tf.split(
                    self.style_encoder(both, training=True), 2
                )
            else:
                found = self.style_encoder(generated, training=True)
            # |z - S(G(z, h))|^2.
            loss = self.loss_fn(noise, found)
            if self.reconstruction_weight:
                # |x - G(S(x), h)|^2.
                reconstructed = self._generate(styles, text)
                loss += self.reconstruction_weight * (
                    self.loss_fn(images, reconstructed)
                    + _difference_from_noise(styles)
                )
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.style_encoder.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        apply_gradients(self.optimizer, gradients, variables)
        self.set_steps_trained(step_noise.step + 1)
        if self.reconstruction_weight:
            self._track_reconstruction(images, reconstructed)
        return self._track_errors(noise, found)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        batch = batch_of(data)
        text = embeddings_of_batch(self.text_encoder, batch)
        noise = noise_of_batch(text, self.noise_dim)
        if self.reconstruction_weight:
            images = _real_images(batch)
            reconstructed = self._generate(self(images), text)
            self._track_reconstruction(images, reconstructed)
        return self._track_errors(noise, self(self._generate(noise, text)))

    def noise_r_squared(self, captions: Any, seed: Any = 0) -> NoiseRecovery:
        """Measures how much of the noise the style encoder recovers.

        Generates one image for each caption, as `TextToImageGAN.generate` does.
        A GAN may ignore a part of its noise, which nothing can recover. So it
        also measures how much each dimension of the noise changes the images.

        Args:
            captions: captions, as in `TextToImageGAN.generate`: at least two,
                better a thousand, that were not trained on.
            seed: int or ints, as in `TextToImageGAN.generate`. Defaults to
                `0`.

        Returns:
            `keras_t2i.models.NoiseRecovery`: `r_squared`,
            `r_squared_per_dimension`, `effect_per_dimension` and
            `ignored_dimensions`.

        Raises:
            ValueError: there are fewer than two captions, one is empty, or the
                seeds do not fit.
        """
        captions = encode_captions(captions)
        if len(captions) < 2:
            raise ValueError(
                "`captions` must hold at least two: one noise has no variance. "
                f"Received: {len(captions)}"
            )
        seeds = seeds_of_rows(seed, len(captions))
        if len({*seeds.tolist()}) < 2:
            raise ValueError(
                "`seed` must give at least two noises: one has no variance. "
                f"Received: {seed!r}"
            )
        texts = [caption.decode("utf-8", "replace") for caption in captions]
        embeddings = embed_texts(self.text_encoder, texts)
        return noise_recovery(
            self.generator, self.style_encoder, embeddings, seeds
        )

    @property
    def noise_dim(self) -> int:
        """Size of the noise."""
        return self.generator.noise_dim

    @property
    def image_size(self) -> int | None:
        """Side of the images of a batch, `None` if they are not needed."""
        return self.generator.image_size if self.reconstruction_weight else None

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._trackers.values())

    def _generate(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.generator(
            {"noise": noise, "text_embeddings": text}, training=False
        )

    def _augmented(self, images: Tensor, step_noise: StepNoise) -> Tensor:
        num_rows, shape = ops.shape(images)[0], images.shape[1:]
        if self.color_jitter:
            jitter = step_noise.normal(_Stream.COLORS, num_rows, 6)
            jitter = self.color_jitter * ops.reshape(jitter, (-1, 2, 1, 1, 3))
            images = (1.0 + jitter[:, 0]) * images + jitter[:, 1]
            images = ops.clip(images, -1.0, 1.0)
        if self.image_noise:
            noise = step_noise.normal(
                _Stream.IMAGES, num_rows, 1 + math.prod(shape)
            )
            # The first column is the level of each image.
            noise = self.image_noise * noise[:, :1] * noise[:, 1:]
            images += ops.reshape(noise, (-1, *shape))
        return images

    def _track_reconstruction(
        self, images: Tensor, reconstructed: Tensor
    ) -> None:
        errors = ops.mean(ops.square(images - reconstructed), axis=(1, 2, 3))
        self._trackers["reconstruction_error"].update_state(errors)

    def _track_errors(self, noise: Tensor, found: Tensor) -> dict[str, Tensor]:
        errors = ops.mean(ops.square(noise - found), axis=1)
        self._trackers["loss"].update_state(errors)
        # The noise has a variance of 1.
        self._trackers["r_squared"].update_state(1.0 - errors)
        return self.get_metrics_result()


def _difference_from_noise(styles: Tensor) -> Tensor:
    """How far the moments of each dimension are from those of noise."""
    replica = tf.distribute.get_replica_context()

    def batch_mean(values: Tensor) -> Tensor:
        # Of the rows of all devices, as one device would take it.
        count = ops.cast(ops.shape(values)[0], values.dtype)
        return sum_over_devices(ops.sum(values, axis=0)) / sum_over_devices(
            count
        )

    mean = batch_mean(styles)
    variance = batch_mean(ops.square(styles - mean))
    difference = ops.mean(ops.square(mean) + ops.square(variance - 1.0))
    # Gradients are summed over replicas, as those of Keras' own losses.
    return difference / replica.num_replicas_in_sync


def _real_images(batch: dict[str, Tensor]) -> Tensor:
    if "images" not in batch:
        raise ValueError(
            "With a `reconstruction_weight`, batches must hold `images`, as "
            "those of `keras_t2i.datasets.make_dataset`. Received: "
            f"{', '.join(sorted(batch))}"
        )
    return ops.cast(batch["images"], "float32")


def _check_networks(
    generator: keras.Model,
    text_encoder: keras.Model,
    style_encoder: keras.Model,
) -> None:
    check_attributes(generator, "generator", "image_size", "noise_dim")
    check_attributes(style_encoder, "style_encoder", "image_size", "noise_dim")
    for name in ("image_size", "noise_dim"):
        ours, theirs = getattr(generator, name), getattr(style_encoder, name)
        if ours != theirs:
            raise ValueError(
                f"`generator` and `style_encoder` must have one `{name}`. "
                f"Received: {ours} and {theirs}"
            )
    check_text_encoder(text_encoder)
    check_embedding_dim(text_encoder, generator=generator)
