"""Trains a style encoder to invert a generator."""

import enum
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.image_generation import encode_captions
from keras_t2i.models.image_generation import seeds_of_rows
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.style_encoder import noise_recovery
from keras_t2i.models.weight_updates import skipped_together
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.tokenizers import tokenize_for
from keras_t2i.untuned import untuned


class _Stream(enum.IntEnum):
    GENERATOR = 0
    COLORS = 1
    IMAGES = 2


@keras.saving.register_keras_serializable("keras_t2i")
class StyleInversion(StreamTrainedModel):
    """Trains a style encoder on what a GAN draws, to find the noise in it.

    Each step draws noise and, with the texts of the batch, pictures; the style
    encoder learns to find the noise from them. Batches hold texts, as those of
    `keras_t2i.datasets.make_captions_dataset`; what else they hold is left
    alone without a `reconstruction_weight`. Nothing but the style encoder is
    trained. Afterwards it is used on its own, in
    `TextToImageGAN.transfer_style`.

    Real images differ from all that a GAN draws. Noise and changes of color
    on the drawn pictures keep the style encoder from relying on what only they
    have. With a `reconstruction_weight` it learns from real images as well:
    what the generator draws from their styles and their own texts has to be
    like them, and their styles no longer than noise is: beyond, where the
    generator was never trained, it heeds the text less. Batches are then those
    of `keras_t2i.datasets.make_dataset`.

    Logged are the `loss`, the mean squared error of the noise; `r_squared`, the
    share of the noise's variance that is recovered, 1 being all of it; and, if
    it has a weight, the `reconstruction_error`, that of the images.

    Args:
        generator: `Generator` that draws, as `generate` does: that of the
            moving average, `gan.ema_generator`.
        text_encoder: `keras.Model` from `token_ids` to embeddings, that of the
            GAN.
        style_encoder: `StyleEncoder`, to be trained.
        image_noise: float. Standard deviation of the noise added to the
            pictures, in units of their range of [-1, 1], over all pictures.
            Each has a level of its own, so that some are as clean as those of
            later use. Defaults to `0.0`.
        color_jitter: float. Standard deviation of the random factor, around 1,
            and of the random shift of each picture's red, green and blue.
            Defaults to `0.0`.
        reconstruction_weight: float. Weight of the mean squared error of the
            reconstructed images, in units of their range of [-1, 1], and of
            what the mean square of their styles has above 1. Defaults to
            `0.0`: real images are not needed.
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

    def __init__(
        self,
        generator,
        text_encoder,
        style_encoder,
        image_noise=0.0,
        color_jitter=0.0,
        reconstruction_weight=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_networks(generator, text_encoder, style_encoder)
        for name, value in (
            ("image_noise", image_noise),
            ("color_jitter", color_jitter),
            ("reconstruction_weight", reconstruction_weight),
        ):
            if value < 0.0:
                raise ValueError(
                    f"`{name}` must be at least 0. Received: {value!r}"
                )
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

    def compile(self, optimizer=None, **kwargs):
        """Sets the optimizer.

        Args:
            optimizer: string or `keras.optimizers.Optimizer`. Defaults to
                `None`: Adam with a learning rate of 1e-3.
            **kwargs: further arguments of `keras.Model.compile`, without
                `loss`.
        """
        if "loss" in kwargs:
            raise ValueError(
                "`compile` takes no `loss`: it is the squared error of the "
                f"noise. Received: loss={kwargs['loss']!r}"
            )
        if optimizer is None:
            optimizer = keras.optimizers.Adam(1e-3)
        super().compile(optimizer=optimizer, **kwargs)
        # Built here, not in the first step: strategies and loading need it.
        self.optimizer.build(self.style_encoder.trainable_variables)

    def call(self, inputs, training=False):
        return self.style_encoder(inputs, training=training)

    def train_step(self, data):
        """One step on the loss of section 4.4, |z - S(G(z, h))|^2.

        With a `reconstruction_weight`, on |x - G(S(x), h)|^2 as well, and on
        how much longer than noise S(x) is.
        """
        batch = keras.utils.unpack_x_y_sample_weight(data)[0]
        text = embeddings_of_batch(self.text_encoder, batch)

        # z, and G(z, h), which nothing is learned through.
        noise = self._step_noise().normal(
            _Stream.GENERATOR, ops.shape(text)[0], self.noise_dim
        )
        pictures = self._augmented(self._draw(noise, text))

        with tf.GradientTape() as tape:
            if self.reconstruction_weight:
                images = _real_images(batch)
                # In one pass: batch norm must treat real and drawn ones alike,
                # as it will when S is used.
                both = ops.concatenate([pictures, images])
                found, styles = tf.split(
                    self.style_encoder(both, training=True), 2
                )
            else:
                found = self.style_encoder(pictures, training=True)
            # |z - S(G(z, h))|^2.
            loss = self.loss_fn(noise, found)
            if self.reconstruction_weight:
                # |x - G(S(x), h)|^2.
                reconstructed = self._draw(styles, text)
                loss += self.reconstruction_weight * (
                    self.loss_fn(images, reconstructed) + _excess(styles)
                )
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.style_encoder.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply(
            skipped_together(self.optimizer, gradients), variables
        )
        if self.reconstruction_weight:
            self._track_reconstruction(images, reconstructed)
        return self._track_errors(noise, found)

    def test_step(self, data):
        batch = keras.utils.unpack_x_y_sample_weight(data)[0]
        text = embeddings_of_batch(self.text_encoder, batch)
        noise = noise_from_seeds(ops.arange(ops.shape(text)[0]), self.noise_dim)
        if self.reconstruction_weight:
            images = _real_images(batch)
            self._track_reconstruction(images, self._draw(self(images), text))
        return self._track_errors(noise, self(self._draw(noise, text)))

    def noise_r_squared(self, captions, seed=0):
        """Measures how much of the noise the style encoder recovers.

        Draws one picture for each caption, as `TextToImageGAN.generate` does.
        A GAN may ignore a part of its noise, which nothing can recover; how
        much each dimension of the noise changes the pictures is measured too.

        Args:
            captions: captions, as in `TextToImageGAN.generate`: such as the
                training has not seen, at least two, better a thousand.
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
        embeddings = self.text_encoder.predict(
            untuned(
                tf.data.Dataset.from_tensor_slices(captions)
                .batch(64)
                .map(lambda texts: tokenize_for(self.text_encoder, texts))
            ),
            verbose=0,
        )
        return noise_recovery(
            self.generator, self.style_encoder, np.float32(embeddings), seeds
        )

    @property
    def noise_dim(self):
        """Size of the noise."""
        return self.generator.noise_dim

    @property
    def metrics(self):
        return list(self._trackers.values())

    def _draw(self, noise, text):
        return self.generator(
            {"noise": noise, "text_embeddings": text}, training=False
        )

    def _step_noise(self):
        return StepNoise(self.seed, self.optimizer.iterations)

    def _augmented(self, pictures):
        step_noise = self._step_noise()
        num_rows, shape = ops.shape(pictures)[0], pictures.shape[1:]
        if self.color_jitter:
            jitter = step_noise.normal(_Stream.COLORS, num_rows, 6)
            jitter = self.color_jitter * ops.reshape(jitter, (-1, 2, 1, 1, 3))
            pictures = (1.0 + jitter[:, 0]) * pictures + jitter[:, 1]
            pictures = ops.clip(pictures, -1.0, 1.0)
        if self.image_noise:
            noise = step_noise.normal(
                _Stream.IMAGES, num_rows, 1 + math.prod(shape)
            )
            # The first column is the level of each picture.
            noise = self.image_noise * noise[:, :1] * noise[:, 1:]
            pictures += ops.reshape(noise, (-1, *shape))
        return pictures

    def _track_reconstruction(self, images, reconstructed):
        errors = ops.mean(ops.square(images - reconstructed), axis=(1, 2, 3))
        self._trackers["reconstruction_error"].update_state(errors)

    def _track_errors(self, noise, found):
        errors = ops.mean(ops.square(noise - found), axis=1)
        self._trackers["loss"].update_state(errors)
        # The noise has a variance of 1.
        self._trackers["r_squared"].update_state(1.0 - errors)
        return self.get_metrics_result()


def _excess(styles):
    """How much longer than noise styles are, in its variance, in the mean."""
    mean_squares = ops.mean(ops.square(styles), axis=1)
    # Gradients are summed over replicas, as those of Keras' own losses.
    replica = tf.distribute.get_replica_context()
    excess = ops.mean(ops.relu(mean_squares - 1.0))
    return excess / replica.num_replicas_in_sync


def _real_images(batch):
    if "images" not in batch:
        raise ValueError(
            "With a `reconstruction_weight`, batches must hold `images`, as "
            "those of `keras_t2i.datasets.make_dataset`. Received: "
            f"{', '.join(sorted(batch))}"
        )
    return batch["images"]


def _check_networks(generator, text_encoder, style_encoder):
    for name in ("image_size", "noise_dim"):
        drawn, read = getattr(generator, name), getattr(style_encoder, name)
        if drawn != read:
            raise ValueError(
                f"`generator` and `style_encoder` must have one `{name}`. "
                f"Received: {drawn} and {read}"
            )
    embedding_dim = text_encoder.output_shape[-1]
    if generator.text_embedding_dim != embedding_dim:
        raise ValueError(
            "`generator` must take the embeddings of `text_encoder`, of size "
            f"{embedding_dim}. Received: text_embedding_dim="
            f"{generator.text_embedding_dim}"
        )
