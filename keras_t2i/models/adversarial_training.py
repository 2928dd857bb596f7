"""The parts of a training step of `TextToImageGAN`, and its metrics."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras import tree

from keras_t2i.losses.adversarial import LabelObjective
from keras_t2i.losses.adversarial import RelativisticObjective
from keras_t2i.losses.adversarial import layouts
from keras_t2i.losses.adversarial import mean_scores
from keras_t2i.losses.adversarial import mode_seeking_loss
from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.augmentation import augment
from keras_t2i.models.batch_texts import GeneratorTexts
from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.batch_texts import generator_texts
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import Stream
from keras_t2i.models.normalization import standardizations_of
from keras_t2i.types import Tensor

# For each kind of pair, the logits of each discriminator.
Logits = Mapping[str, list[Tensor]]


# What trunks read or find: for each member a tensor or a list of them.
Maps = list[Any]
# For each pair's name: features of images, and texts.
Pairs = Mapping[str, tuple[Maps, Tensor]]
# `evaluate` repeats no texts, and so does not report this loss.
MODE_SEEKING_LOSS = "mode_seeking_loss"


class PairScoring:
    """Scores pairs of images and texts by a discriminator or an ensemble.

    Images become *views*, which are what the trunk of each member reads, and
    then *features*. The text joins in the members' heads, so features are
    scored with several texts after one pass of the trunk. If `jointly`, all
    pairs pass a head in one batch, so that its batch norm treats them alike.
    """

    def __init__(self, discriminator: keras.Model, jointly: bool) -> None:
        self._members = members_of(discriminator)
        self._jointly = jointly

    def views(self, images: Tensor) -> Maps:
        """Returns for each member what its trunk reads of images."""
        return [member.views(images) for member in self._members]

    def features(self, views: Maps, training: bool) -> Maps:
        """Returns for each member the features that its trunk finds."""
        return [
            member.trunk(view, training=training)
            for member, view in zip(self._members, views)
        ]

    def regularization(
        self, real_views: Maps, text: Tensor, step: Tensor
    ) -> Tensor:
        """Returns what the members add to the discriminator's loss."""
        return sum(
            member.regularization(view, text, step)
            for member, view in zip(self._members, real_views)
        )

    def score(self, pairs: Pairs, training: bool) -> dict[str, list[Tensor]]:
        """Returns the logits of each pair, one tensor per member."""
        if not self._jointly:
            return {
                name: self._logits(*pair, training)
                for name, pair in pairs.items()
            }
        features, texts = zip(*pairs.values())
        joined = tree.map_structure(
            lambda *rows: ops.concatenate(rows), *features
        )
        logits = self._logits(joined, ops.concatenate(texts), training)
        # `keras.ops.split` needs sizes that are known before the step.
        sizes = [ops.shape(text)[0] for text in texts]
        members = [tf.split(rows, sizes) for rows in logits]
        return {name: list(rows) for name, rows in zip(pairs, zip(*members))}

    def score_among(
        self,
        name: str,
        features: Maps,
        text: Tensor,
        pairs: Pairs,
        training: bool,
    ) -> list[Tensor]:
        """Scores the pair `name` again, with other features and another text.

        If pairs are scored jointly, the other pairs pass the head too, with the
        features in `pairs`. Batch norm has seen generated images among real
        ones, and must not see them alone now.
        """
        replaced = {name: (features, text)}
        if self._jointly:
            replaced = {**pairs, **replaced}
        return self.score(replaced, training)[name]

    def _logits(
        self, features: Maps, text: Tensor, training: bool
    ) -> list[Tensor]:
        return [
            member.head(
                {"features": rows, "text_embeddings": text}, training=training
            )
            for member, rows in zip(self._members, features)
        ]


class AdversarialTraining(keras.Model):
    """What `TextToImageGAN.train_step` and `test_step` consist of."""

    # `TextToImageGAN` sets these, and the options that its docstring lists.
    generator: keras.Model
    ema_generator: keras.Model
    discriminator: keras.Model
    text_encoder: keras.Model
    _objective: LabelObjective | RelativisticObjective
    _image_noise: ImageNoise
    _trackers: dict[str, keras.metrics.Metric]

    def standardize_texts(self, text_embeddings: np.ndarray) -> None:
        """Measures the mean and deviation of texts, for networks that use them.

        `ModulatedGenerator`, `PixelDiscriminator` and `FeatureDiscriminator`
        subtract the mean and divide by the deviation, and save both. Call it
        once, before training.

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
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._trackers.values())

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns, in its order."""
        return [name for name in self._trackers if name != MODE_SEEKING_LOSS]

    def _get_metrics_result_or_logs(
        self, logs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        # As the steps return one metric less in `evaluate`, Keras would take
        # the mean of all devices' values, however many rows they had.
        values = self.get_metrics_result()
        return {name: values[name] for name in logs}

    @property
    def _scoring(self) -> PairScoring:
        return PairScoring(self.discriminator, self.scores_jointly)

    def _encode(
        self, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the matching and, if needed, the mismatching texts."""
        text = embeddings_of_batch(self.text_encoder, batch)
        if not self.matching_aware:
            return text, None
        return text, embeddings_of_batch(
            self.text_encoder, batch, "mismatched_"
        )

    def _generator_texts(self, text: Tensor, repeat: bool) -> GeneratorTexts:
        interpolate = "none"
        if self.interpolate_texts:
            interpolate = "in_place" if self.interpolate_in_place else "added"
        return generator_texts(
            text,
            interpolate,
            self.interpolation_beta,
            repeat and self.mode_seeking_weight > 0.0,
        )

    def _generate_in_training(
        self, noise: Tensor, texts: GeneratorTexts
    ) -> Tensor:
        # The generator's loss does not reach the text encoder.
        text_embeddings = ops.stop_gradient(texts.embeddings)
        return self.generator(
            {"noise": noise, "text_embeddings": text_embeddings}, training=True
        )

    def _training_views(
        self,
        images: Tensor,
        noise: StepNoise,
        texts: GeneratorTexts | None = None,
    ) -> Maps:
        """Returns what the discriminator reads of images in training.

        Noise is added, and the images are augmented. `texts` are those of
        generated images. Without them, the images are real, and no gradient
        of theirs is needed.
        """
        if texts is None:
            rows = ops.shape(images)[0]
            noise_stream = Stream.REAL_IMAGES
            augmentation_stream = Stream.REAL_AUGMENTATION
        else:
            rows = texts
            noise_stream = Stream.GENERATED_IMAGES
            augmentation_stream = Stream.GENERATED_AUGMENTATION
        images = self._image_noise(
            images, noise=noise, stream=noise_stream, rows=rows
        )
        if self.translation or self.cutout:
            uniform = noise.uniform(augmentation_stream, rows, 4)
            images = augment(images, uniform, self.translation, self.cutout)
        # A copy. If a view were `images` itself, `train_step` would count the
        # gradient of the images twice.
        return self._scoring.views(tf.identity(images))

    def _pairs(
        self,
        real_views: Maps,
        generated_views: Maps,
        text: Tensor,
        mismatched_text: Tensor | None,
        texts: GeneratorTexts,
        training: bool = True,
    ) -> Pairs:
        """The pairs of the discriminator's update: features, and texts."""
        # The text joins in the head: the real images pass the trunk once.
        features = self._scoring.features(real_views, training)
        pairs = {"real": (features, text)}
        if mismatched_text is not None:
            pairs["mismatched"] = (features, mismatched_text)
        matched_views = tree.map_structure(
            lambda view: ops.stop_gradient(texts.matched(view)), generated_views
        )
        features = self._scoring.features(matched_views, training)
        pairs["generated"] = (features, texts.matched(texts.embeddings))
        return pairs

    def _discriminator_loss(self, logits: Logits) -> Tensor:
        weight, mismatched = None, [None] * len(logits["real"])
        if self.matching_aware:
            weight = self._scheduled_mismatch_weight()
            mismatched = logits["mismatched"]
        return sum(
            self._objective.discriminator_loss(*member, weight)
            for member in zip(logits["real"], logits["generated"], mismatched)
        )

    def _generator_loss(
        self,
        generated_views: Maps,
        texts: GeneratorTexts,
        pairs: Pairs,
        logits: Logits,
        training: bool = True,
    ) -> Tensor:
        generated = self._scoring.score_among(
            "generated",
            self._scoring.features(generated_views, training),
            ops.stop_gradient(texts.embeddings),
            pairs,
            training,
        )
        is_added = self.interpolate_texts and not self.interpolate_in_place
        loss = 0.0
        for real, rows in zip(logits["real"], generated):
            real = ops.stop_gradient(real)
            loss += self._objective.generator_loss(
                texts.with_repeated(rows), texts.with_originals(real)
            )
            between = texts.interpolated(rows)
            # A batch of one row has no interpolated text. Run eagerly, Keras'
            # loss of no rows is NaN; in a graph it is 0.
            if is_added and between.shape[0] != 0:
                beside = real
                if self.relativistic:
                    beside = texts.beside_interpolated(real)
                loss += self.interpolation_weight * (
                    self._objective.generator_loss(between, beside)
                )
        self._trackers["generator_loss"].update_state(loss, texts.num_matched)
        return loss

    def _weighted_mode_seeking_loss(
        self, images: Tensor, noise: Tensor, texts: GeneratorTexts
    ) -> Tensor:
        if not self.mode_seeking_weight:
            return 0.0
        if self.mode_seeking_layouts:
            images = layouts(images)
        loss = mode_seeking_loss(
            texts.originals(images),
            texts.repeated(images),
            texts.originals(noise),
            texts.repeated(noise),
        )
        self._trackers[MODE_SEEKING_LOSS].update_state(loss)
        return self.mode_seeking_weight * loss

    def _scheduled_mismatch_weight(self) -> Tensor:
        if self.matching_schedule is None:
            return self.mismatch_weight
        factor = self.matching_schedule.factor(self.steps_trained)
        weight = self.mismatch_weight * factor
        self._trackers["mismatch_weight"].update_state(weight)
        return weight

    def _update_matching_schedule(self, logits: Logits) -> None:
        if self.matching_schedule is None:
            return
        refused = self._objective.judged_right(mean_scores(logits))["generated"]
        # Of all replicas, or each of them would start in a step of its own.
        accuracy = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN,
            ops.mean(ops.cast(refused, "float32")),
        )
        self.matching_schedule.update(self.steps_trained + 1, accuracy)

    def _track(
        self,
        discriminator_loss: Tensor,
        logits: Logits,
        generated: Tensor,
        real: Tensor,
    ) -> None:
        self._trackers["discriminator_loss"].update_state(
            discriminator_loss, ops.shape(real)[0]
        )
        right = self._objective.judged_right(mean_scores(logits))
        for name, rows in right.items():
            self._trackers[f"{name}_accuracy"].update_state(rows)
        self._trackers["diversity"].update_state(generated, real)

    def _trained_by_discriminator_loss(
        self, batch: Mapping[str, Tensor]
    ) -> list[keras.Variable]:
        # Only the discriminator's loss reaches a text encoder that is trained
        # along: it has to express what tells matching pairs apart.
        variables = self.discriminator.trainable_variables
        if "text_embeddings" not in batch:
            variables = variables + self.text_encoder.trainable_variables
        return variables

    def _update_moving_average(self, step: Tensor) -> None:
        networks = self.ema_generator, self.generator
        self._moving_average.update(*networks, step)


@keras.saving.register_keras_serializable("keras_t2i")
class RelativeDiversity(keras.metrics.Mean):
    """How far the generated images of a batch lie apart.

    1 is as far as its real images: the ratio of the standard deviations of
    their pixels, taken over the batch of all replicas. A batch counts as often
    as it has rows.
    """

    def update_state(
        self, generated_images: Tensor, real_images: Tensor
    ) -> None:
        ratio = relative_diversity(generated_images, real_images)
        super().update_state(ratio, sample_weight=ops.shape(real_images)[0])


def relative_diversity(generated_images: Tensor, real_images: Tensor) -> Tensor:
    """Returns the ratio that `RelativeDiversity` is the mean of.

    The images have the shape `(batch, height, width, channels)`. The ratio is a
    float32 scalar, 0 where the real images are all alike.
    """
    replica = tf.distribute.get_replica_context()
    variances = []
    for rows in (generated_images, real_images):
        rows = ops.cast(rows, "float32")
        mean, square = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN,
            [ops.mean(rows, axis=0), ops.mean(ops.square(rows), axis=0)],
        )
        variances.append(ops.mean(square - ops.square(mean)))
    generated, real = variances
    return ops.sqrt(ops.maximum(ops.divide_no_nan(generated, real), 0.0))


@keras.saving.register_keras_serializable("keras_t2i")
class ReplicaLoss(keras.metrics.Mean):
    """The mean of a loss, of which each replica computes its share.

    A batch counts as often as it has rows.
    """

    def update_state(self, loss: Tensor, num_rows: Tensor = 1) -> None:
        # Keras divides a loss by the number of replicas, whose gradients it
        # adds up.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        super().update_state(loss * replicas, sample_weight=num_rows)


def training_metrics(
    matching_aware: bool, mode_seeking_weight: float, matching_schedule: Any
) -> dict[str, keras.metrics.Metric]:
    """Makes the metrics of a GAN, in the order in which a saved model has them.

    `matching_aware` says whether there are mismatched pairs.
    `mode_seeking_weight` is 0 without a mode seeking loss. `matching_schedule`
    is a `StagedMatching` or `None`.
    """
    metrics = [ReplicaLoss("discriminator_loss"), ReplicaLoss("generator_loss")]
    metrics.append(keras.metrics.Mean("real_accuracy"))
    if matching_aware:
        metrics.append(keras.metrics.Mean("mismatched_accuracy"))
    metrics += [
        keras.metrics.Mean("generated_accuracy"),
        RelativeDiversity("diversity"),
    ]
    if mode_seeking_weight:
        metrics.append(ReplicaLoss(MODE_SEEKING_LOSS))
    if matching_schedule is not None:
        metrics.append(keras.metrics.Mean("mismatch_weight"))
    return {metric.name: metric for metric in metrics}
