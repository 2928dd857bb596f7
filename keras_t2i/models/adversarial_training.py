"""The parts of a training step of `TextToImageGAN`."""

import functools
import operator

import tensorflow as tf
from keras import ops
from keras import tree

from keras_t2i.losses.adversarial import mean_scores
from keras_t2i.losses.mode_seeking import layouts
from keras_t2i.losses.mode_seeking import mode_seeking_loss
from keras_t2i.models.augmentation import augment
from keras_t2i.models.batch_texts import embeddings_of_batch
from keras_t2i.models.generator_texts import generator_texts
from keras_t2i.models.noise import Stream
from keras_t2i.models.pair_scoring import PairScoring


class AdversarialTraining:
    """What `TextToImageGAN.train_step` and `test_step` consist of."""

    @property
    def _scoring(self):
        return PairScoring(self.discriminator, self.scores_jointly)

    def _encode(self, batch):
        """Returns the matching and, if it is needed, the mismatching texts."""
        text = embeddings_of_batch(self.text_encoder, batch)
        if not self.matching_aware:
            return text, None
        return text, embeddings_of_batch(
            self.text_encoder, batch, "mismatched_"
        )

    def _generator_texts(self, text, repeat):
        interpolate = "none"
        if self.interpolate_texts:
            interpolate = "in_place" if self.interpolate_in_place else "added"
        return generator_texts(
            text,
            interpolate,
            self.interpolation_beta,
            repeat and self.mode_seeking_weight > 0.0,
        )

    def _generate_in_training(self, noise, texts):
        # The generator's loss does not reach the text encoder.
        text_embeddings = ops.stop_gradient(texts.embeddings)
        return self.generator(
            {"noise": noise, "text_embeddings": text_embeddings}, training=True
        )

    def _real_views(self, images, noise):
        # Outside of all tapes: nothing that is trained makes them.
        streams = Stream.REAL_IMAGES, Stream.REAL_AUGMENTATION
        return self._training_views(
            images, noise, ops.shape(images)[0], *streams
        )

    def _generated_views(self, images, noise, texts):
        streams = Stream.GENERATED_IMAGES, Stream.GENERATED_AUGMENTATION
        return self._training_views(images, noise, texts, *streams)

    def _training_views(self, images, noise, rows, of_noise, of_augmentation):
        """What the discriminator reads of images, with noise, augmented."""
        images = self._image_noise(
            images, noise=noise, stream=of_noise, rows=rows
        )
        if self.translation or self.cutout:
            uniform = noise.uniform(of_augmentation, rows, 4)
            images = augment(images, uniform, self.translation, self.cutout)
        # Never the images themselves, whose gradients are counted apart.
        return self._scoring.views(tf.identity(images))

    def _pairs(
        self,
        real_views,
        generated_views,
        text,
        mismatched_text,
        texts,
        training=True,
    ):
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

    def _discriminator_loss(self, logits):
        weight, mismatched = None, [None] * len(logits["real"])
        if self.matching_aware:
            weight = self._scheduled_mismatch_weight()
            mismatched = logits["mismatched"]
        members = zip(logits["real"], logits["generated"], mismatched)
        return functools.reduce(
            operator.add,
            [
                self._objective.discriminator_loss(*member, weight)
                for member in members
            ],
        )

    def _generator_loss(
        self, generated_views, texts, pairs, logits, training=True
    ):
        generated = self._scoring.score_among(
            "generated",
            self._scoring.features(generated_views, training),
            ops.stop_gradient(texts.embeddings),
            pairs,
            training,
        )
        losses = []
        for real, rows in zip(logits["real"], generated):
            real = ops.stop_gradient(real)
            losses.append(
                self._objective.generator_loss(
                    texts.with_repeated(rows), texts.with_originals(real)
                )
            )
            if self.interpolate_texts and not self.interpolate_in_place:
                loss = self._objective.generator_loss(
                    texts.interpolated(rows), real
                )
                losses.append(self.interpolation_weight * loss)
        loss = functools.reduce(operator.add, losses)
        self._trackers["generator_loss"].update_state(loss)
        return loss

    def _weighted_mode_seeking_loss(self, images, noise, texts):
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
        self._trackers["mode_seeking_loss"].update_state(loss)
        return self.mode_seeking_weight * loss

    def _scheduled_mismatch_weight(self):
        if self.matching_schedule is None:
            return self.mismatch_weight
        factor = self.matching_schedule.factor(self.steps_trained)
        weight = self.mismatch_weight * factor
        self._trackers["mismatch_weight"].update_state(weight)
        return weight

    def _update_matching_schedule(self, logits):
        if self.matching_schedule is None:
            return
        refused = self._objective.right(mean_scores(logits))["generated"]
        # Of all replicas, or each of them would start in a step of its own.
        accuracy = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN,
            ops.mean(ops.cast(refused, "float32")),
        )
        self.matching_schedule.update(self.steps_trained + 1, accuracy)

    def _track(self, discriminator_loss, logits, generated, real):
        self._trackers["discriminator_loss"].update_state(discriminator_loss)
        right = self._objective.right(mean_scores(logits))
        for name, rows in right.items():
            self._trackers[f"{name}_accuracy"].update_state(rows)
        self._trackers["diversity"].update_state(generated, real)

    def _trained_by_discriminator_loss(self, batch):
        # Only the discriminator's loss reaches a text encoder that is trained
        # along: it has to express what tells matching pairs apart.
        variables = self.discriminator.trainable_variables
        if "token_ids" in batch:
            variables = variables + self.text_encoder.trainable_variables
        return variables
