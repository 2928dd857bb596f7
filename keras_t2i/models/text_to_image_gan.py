"""The GAN of Reed et al. (2016) in its four variants."""

from typing import Any

import keras
import tensorflow as tf
from keras import tree

from keras_t2i.checks import check_networks
from keras_t2i.checks import check_not_negative
from keras_t2i.checks import check_shares
from keras_t2i.checks import check_whole_number
from keras_t2i.losses.adversarial import LabelObjective
from keras_t2i.losses.adversarial import RelativisticObjective
from keras_t2i.models.adversarial_training import MODE_SEEKING_LOSS
from keras_t2i.models.adversarial_training import AdversarialTraining
from keras_t2i.models.adversarial_training import training_metrics
from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.from_recipe import MadeFromRecipe
from keras_t2i.models.from_recipe import gan_optimizer
from keras_t2i.models.image_generation import ImageGeneration
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import Stream
from keras_t2i.models.noise import noise_of_batch
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.models.weight_updates import ExponentialMovingAverage
from keras_t2i.models.weight_updates import OptimizerPair
from keras_t2i.models.weight_updates import apply_gradients
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.stream_trained_model import batch_of
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class TextToImageGAN(
    MadeFromRecipe, AdversarialTraining, ImageGeneration, StreamTrainedModel
):
    """Learns to generate images from captions.

    Two switches give the paper's four variants: GAN, GAN-CLS
    (`matching_aware`), GAN-INT (`interpolate`) and GAN-INT-CLS (both).
    Training takes the batches of `keras_t2i.datasets.make_dataset`. Batches of
    text embeddings leave the text encoder as it is; batches of token ids train
    it too, by the discriminator's loss alone.

    The logs hold both losses, the discriminator's accuracy on real, mismatched
    and generated pairs, and `diversity`: how far the generated images of a
    batch lie apart, where 1 is as far as its real images.

    Arguments are fixed once the GAN is constructed. Compiling it again changes
    the optimizers alone: the image noise and the moving average continue.

    Args:
        generator: `Generator` or `ModulatedGenerator`.
        discriminator: `Discriminator`, `PixelDiscriminator`,
            `FeatureDiscriminator`, or a `DiscriminatorEnsemble` of them.
        text_encoder: `keras.Model` from `token_ids` to embeddings.
        matching_aware: bool. Whether the discriminator also learns from real
            images with mismatching texts. Defaults to `True`.
        interpolate: bool. Whether the generator also learns from texts
            between two others, which belong to no image. Defaults to `True`.
        mismatch_weight: float in [0, 1]. Share of the mismatched pairs in
            what the discriminator must refuse. Defaults to `0.5`.
        matching_schedule: `keras_t2i.StagedMatching`, whose factor
            multiplies `mismatch_weight`. Defaults to `None`: the full weight
            from the first step on.
        interpolation_weight: float. Weight of the added texts in the
            generator's loss. Defaults to `1.0`.
        interpolation_beta: float in [0, 1]. Share of the first text in an
            interpolated one. Defaults to `0.5`.
        image_noise: float. Standard deviation of the normal noise on all
            images that the discriminator is trained on. It hides details that
            the generator cannot make yet. Defaults to `0.0`.
        image_noise_half_life: int. Steps after which that deviation has
            fallen to half. Noise hides grain, so it should fall. Defaults to
            `None`: it does not.
        mode_seeking_weight: float. Weight of
            `keras_t2i.losses.mode_seeking_loss` in the generator's loss. It
            keeps the generator from ignoring its noise. A quarter of the texts
            is repeated for it. Defaults to `0.0`.
        mode_seeking_layouts: bool. Whether that loss compares
            `keras_t2i.losses.layouts` of the images, where neither brightness
            nor grain counts. Defaults to `False`: it compares the images.
        scores_jointly: bool. Whether all pairs of an update pass the
            discriminator's head in one batch. In a pass of their own, batch
            norm's statistics give the mismatched pairs away. Defaults to
            `True`.
        relativistic: bool. Whether the discriminator learns that a real pair
            scores above the generated and the mismatched one of its row
            (`keras_t2i.losses.RelativisticPairing`), and not labels. Defaults
            to `False`.
        interpolate_in_place: bool. Whether interpolated texts replace a
            quarter of the texts, rather than adding half as many; they then
            have no weight of their own. Defaults to `False`.
        translation: float in [0, 1]. Largest random shift of the images that
            the discriminator is trained on, as a share of their side.
            Defaults to `0.0`.
        cutout: float in [0, 1]. Side of a random square cut out of these
            images, as a share of theirs. Defaults to `0.0`.
        ema_decay: float in [0, 1]. Decay of the exponential moving average of
            the generator's weights, which generates all images outside of
            training. Defaults to `0.999`.
        truncation: float in [0, 1]. Factor of the noise that images are
            generated from outside of training. Below 1 they are more alike and
            have fewer faults. It may be changed at any time, as an attribute.
            Defaults to `1.0`.
        seed: int. Of the noise in training. Defaults to `0`.
        recipe: `keras_t2i.Recipe`, whose optimizers `compile` takes, and
            whose batches `make_dataset` makes. Defaults to `None`: the
            optimizers of the paper.

    Call input: dict of `text_embeddings` or `token_ids`, and optionally
    `noise`. Without it, row `k` of a batch has the noise of seed `k`, whatever
    the `truncation`. Output: float32 images in [-1, 1].

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

    object_arguments = (
        "generator",
        "discriminator",
        "text_encoder",
        "matching_schedule",
    )
    compiled_objects = ("generator_optimizer", "discriminator_optimizer")
    why_no_use_ema = "`ema_generator` is a moving average already"

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        text_encoder: keras.Model,
        matching_aware: bool = True,
        interpolate: bool = True,
        mismatch_weight: float = 0.5,
        matching_schedule: StagedMatching | None = None,
        interpolation_weight: float = 1.0,
        interpolation_beta: float = 0.5,
        mode_seeking_weight: float = 0.0,
        image_noise: float = 0.0,
        image_noise_half_life: int | None = None,
        mode_seeking_layouts: bool = False,
        scores_jointly: bool = True,
        relativistic: bool = False,
        interpolate_in_place: bool = False,
        translation: float = 0.0,
        cutout: float = 0.0,
        ema_decay: float = 0.999,
        truncation: float = 1.0,
        seed: int = 0,
        recipe: Recipe | None = None,
        **kwargs: Any,
    ) -> None:
        # Under mixed precision, Keras would round the noise and the embeddings
        # that `call` takes, and the images would depend on the process.
        super().__init__(**{"dtype": "float32", **kwargs})
        check_networks(generator, discriminator, text_encoder)
        check_shares(
            mismatch_weight=mismatch_weight,
            interpolation_beta=interpolation_beta,
            translation=translation,
            cutout=cutout,
            ema_decay=ema_decay,
        )
        check_not_negative(
            mode_seeking_weight=mode_seeking_weight,
            interpolation_weight=interpolation_weight,
        )
        check_whole_number(seed, "seed", at_least=0)
        if matching_schedule is not None and not matching_aware:
            raise ValueError(
                "`matching_schedule` is for a GAN with `matching_aware=True`. "
                "Received: matching_aware=False"
            )
        self.generator = generator
        self.discriminator = discriminator
        self.text_encoder = text_encoder
        self.matching_aware = matching_aware
        # `interpolate` is a method.
        self.interpolate_texts = interpolate
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
        self.truncation = truncation
        self.seed = seed
        self.recipe = recipe

        self.image_size = generator.image_size
        self.noise_dim = generator.noise_dim
        self._objective = (
            RelativisticObjective() if relativistic else LabelObjective()
        )
        self._image_noise = ImageNoise(image_noise, image_noise_half_life)
        self._moving_average = ExponentialMovingAverage(ema_decay)
        self._trackers = training_metrics(
            matching_aware, mode_seeking_weight, matching_schedule
        )
        # float32 whatever the generator's own precision: it is a sum of very
        # many small changes, and it is what is exported.
        config = {**generator.get_config(), "name": "ema_generator"}
        config["dtype"] = "float32"
        self.ema_generator = type(generator).from_config(config)
        self.ema_generator.trainable = False
        self.ema_generator.set_weights(generator.get_weights())
        self.built = True

    @property
    def truncation(self) -> float:
        """float in [0, 1]. Factor of the noise that images are made from."""
        return self._truncation

    @truncation.setter
    def truncation(self, factor: float) -> None:
        if isinstance(factor, tf.Tensor):
            factor = factor.numpy()
        check_shares(truncation=factor)
        self._truncation = float(factor)

    def compile(
        self,
        generator_optimizer: str | keras.optimizers.Optimizer | None = None,
        discriminator_optimizer: str | keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the two optimizers, and a view of both as `optimizer`.

        Args:
            generator_optimizer: string or `keras.optimizers.Optimizer`.
                Defaults to `None`: that of the GAN's recipe or, without one,
                Adam with a learning rate of 2e-4 and beta_1 of 0.5. Where the
                recipe's learning rate falls with the epochs, whose length is
                not known here, it stays as it begins.
            discriminator_optimizer: likewise.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`,
                as of `keras.Model.compile`.

        Raises:
            ValueError: Keras' losses or metrics are given, both optimizers are
                one, or one has `use_ema`.
        """
        if "optimizer" in kwargs:
            raise ValueError(
                "`compile` takes `generator_optimizer` and "
                "`discriminator_optimizer`. Received: optimizer="
                f"{kwargs['optimizer']!r}"
            )
        # All checks come first: what was compiled before stays whole.
        first = self._optimizer("generator", generator_optimizer)
        second = self._optimizer("discriminator", discriminator_optimizer)
        if first is second:
            raise ValueError(
                "`compile` takes two optimizers, one for each network. "
                f"Received: {generator_optimizer!r} for both"
            )
        # Not left out: that would make an RMSprop that nobody uses.
        super().compile(optimizer=None, **kwargs)
        self.generator_optimizer = first
        self.discriminator_optimizer = second
        # Built here, not in the first step: strategies and loading need it.
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(
            self.discriminator.trainable_variables
            + self.text_encoder.trainable_variables
        )
        self.optimizer = OptimizerPair(
            self.generator_optimizer, self.discriminator_optimizer
        )

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        text_embeddings = embeddings_of_batch(self.text_encoder, inputs)
        noise = inputs.get("noise")
        if noise is None:
            noise = noise_of_batch(text_embeddings, self.noise_dim)
        return self.ema_generator(
            {"noise": noise, "text_embeddings": text_embeddings},
            training=False,
        )

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Algorithm 1 of the paper, with interpolated texts of equation 5."""
        batch = batch_of(data, "images")
        noise = StepNoise(self.seed, self.steps_trained)
        real_views = self._training_views(batch["images"], noise)
        weights = self.generator.trainable_variables
        with tf.GradientTape() as tape:
            # h and h-hat: encode the matching and the mismatching text.
            text, mismatched_text = self._encode(batch)
            texts = self._generator_texts(text, repeat=True)
            # z: the noise. x-hat: the images, generated once for both updates.
            z = noise.normal(Stream.GENERATOR, texts, self.noise_dim)
            with tf.GradientTape(watch_accessed_variables=False) as generation:
                generation.watch([weight.value for weight in weights])
                images = self._generate_in_training(z, texts)
                views = self._training_views(images, noise, texts)
            # s_r, s_w, s_f: score real, mismatched and generated pairs.
            pairs = self._pairs(real_views, views, text, mismatched_text, texts)
            logits = self._scoring.score(pairs, training=True)
            loss = self._discriminator_loss(logits)
            loss += self._scoring.regularization(real_views, text, noise.step)
            scaled_loss = self.discriminator_optimizer.scale_loss(loss)

        # Update the discriminator.
        variables = self._trained_by_discriminator_loss(batch)
        gradients = tape.gradient(scaled_loss, variables)
        apply_gradients(self.discriminator_optimizer, gradients, variables)
        self._track(loss, logits, texts.matched(images), batch["images"])
        self._update_matching_schedule(logits)

        # Update the generator, by the scores of the updated discriminator. The
        # gradients of what it reads go on to the weights by `generation`.
        sources = [*tree.flatten(views), images]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            loss = self._generator_loss(views, texts, pairs, logits)
            loss += self._weighted_mode_seeking_loss(images, z, texts)
            scaled_loss = self.generator_optimizer.scale_loss(loss)
        # Zero: `images` have none of their own without a mode seeking loss.
        gradients = tape.gradient(scaled_loss, sources, None, "zero")
        gradients = generation.gradient(sources, weights, gradients)
        apply_gradients(self.generator_optimizer, gradients, weights)
        self.set_steps_trained(noise.step + 1)
        self._update_moving_average(noise.step + 1)
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Tensor]:
        batch = batch_of(data, "images")
        text, mismatched_text = self._encode(batch)
        texts = self._generator_texts(text, repeat=False)
        images = self({"text_embeddings": texts.embeddings})
        scoring = self._scoring
        views = scoring.views(images)
        pairs = self._pairs(
            scoring.views(batch["images"]),
            views,
            text,
            mismatched_text,
            texts,
            training=False,
        )
        logits = scoring.score(pairs, training=False)
        loss = self._discriminator_loss(logits)
        self._track(loss, logits, texts.matched(images), batch["images"])
        self._generator_loss(views, texts, pairs, logits, training=False)
        results = self.get_metrics_result()
        results.pop(MODE_SEEKING_LOSS, None)
        return results

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises `NotImplementedError`: Keras' way knows no captions."""
        raise NotImplementedError(
            "`export` of Keras would write a model of embeddings and noise. "
            "Use `keras_t2i.export.export_saved_model(gan, folder)`."
        )

    def _optimizer(
        self, network: str, optimizer: str | keras.optimizers.Optimizer | None
    ) -> keras.optimizers.Optimizer:
        if optimizer is None:
            optimizer = gan_optimizer(self.recipe, network)
        optimizer = keras.optimizers.get(optimizer)
        self._check_optimizer(optimizer)
        # Keras does this only for a model's one `optimizer`.
        if (
            self.generator.dtype_policy.name == "mixed_float16"
            and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        ):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer
