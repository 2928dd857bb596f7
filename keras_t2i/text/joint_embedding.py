"""Trains a text encoder together with an image encoder."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_t2i.checks import check_attributes
from keras_t2i.checks import check_not_negative
from keras_t2i.checks import check_text_encoder
from keras_t2i.checks import size_of_embeddings
from keras_t2i.losses.compatibility import StructuredJointEmbedding
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.stream_trained_model import batch_of
from keras_t2i.types import Tensor

_SIMILARITIES = ("dot", "cosine")
# Cosines are divided by a temperature that is learned: at first, and at least.
_TEMPERATURE = 0.07
_LEAST_TEMPERATURE = 0.01


@keras.saving.register_keras_serializable("keras_t2i")
class JointEmbedding(StreamTrainedModel):
    """Trains a text encoder so that texts lie close to their images.

    Images and captions are embedded in one space, where an image must be more
    compatible with its own caption than with those of other classes, and a
    caption with its own image. Afterwards `text_encoder` is used on its own.

    Args:
        text_encoder: `keras.Model` from `token_ids` to embeddings, such as
            `CharCNNRNN`.
        image_encoder: `keras.Model` from images in [-1, 1], or from features
            of them, to embeddings of the same size, such as those of
            `keras_t2i.text.image_encoder`. Like the text encoder's, its last
            layer is a `Dense` layer named `"embedding"`.
        similarity: string. How compatible an image and a text are: `"dot"`,
            the dot product of their embeddings, or `"cosine"`, their cosine
            over a temperature, a weight that is learned. Defaults to `"dot"`.
        num_classes: int. Number of classes that a linear classifier learns to
            tell apart, by either embedding. Each batch then has `class_ids`
            below this number. Defaults to `None`: no classifier.
        class_head_weight: float. Weight of the classifier's cross-entropy,
            averaged over images and texts, beside the loss. Defaults to `0.0`.
        image_network: string. Name of the network whose features the image
            encoder takes, for those who load the model. Defaults to `None`.

    Call input: dict of `images`, `(batch, size, size, 3)` or features of them,
    and `token_ids`, `(batch, 201)`. In training also `class_ids`, `(batch,)`;
    without them each row counts as a class of its own. Output: the embeddings
    of images and texts, in this order.

    Example:

    >>> joint_embedding = keras_t2i.JointEmbedding(
    ...     keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ...     keras_t2i.text.image_encoder(32, embedding_dim=16, width=4),
    ... )
    >>> joint_embedding.compile()
    >>> batch = {
    ...     "images": np.zeros((2, 32, 32, 3), "float32"),
    ...     "token_ids": np.ones((2, 201), "int32"),
    ... }
    >>> history = joint_embedding.fit(batch, batch_size=2, verbose=0)
    >>> sorted(history.history)
    ['image_to_text_accuracy', 'loss', 'text_to_image_accuracy']

    Raises:
        ValueError: the embeddings are not of one size, there is no such
            similarity, or only one of classes and weight is given.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 3.
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), section
          2.5, for the learned temperature.
    """

    object_arguments = ("text_encoder", "image_encoder")
    compiled_objects = ("optimizer", "loss")

    def __init__(
        self,
        text_encoder: keras.Model,
        image_encoder: keras.Model,
        similarity: str = "dot",
        num_classes: int | None = None,
        class_head_weight: float = 0.0,
        image_network: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_text_encoder(text_encoder)
        check_attributes(image_encoder, "image_encoder", "output_shape")
        check_not_negative(class_head_weight=class_head_weight)
        embedding_dim = size_of_embeddings(text_encoder)
        if embedding_dim != image_encoder.output_shape[-1]:
            raise ValueError(
                "`text_encoder` and `image_encoder` must have embeddings of "
                f"one size. Received: {embedding_dim} and "
                f"{image_encoder.output_shape[-1]}"
            )
        if similarity not in _SIMILARITIES:
            raise ValueError(
                f"`similarity` must be one of {_SIMILARITIES}. Received: "
                f"{similarity!r}"
            )
        if bool(class_head_weight) != bool(num_classes):
            raise ValueError(
                "A class head needs both `num_classes` and a "
                "`class_head_weight` above 0. Received: "
                f"num_classes={num_classes!r}, "
                f"class_head_weight={class_head_weight!r}"
            )
        super().__init__(**kwargs)
        self.text_encoder = text_encoder
        self.image_encoder = image_encoder
        self.similarity = similarity
        self.num_classes = num_classes
        self.class_head_weight = class_head_weight
        self.image_network = image_network
        self.log_temperature = None
        if similarity == "cosine":
            self.log_temperature = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(math.log(_TEMPERATURE)),
                name="log_temperature",
            )
        self.class_head: Any = None
        if num_classes:
            self.class_head = keras.layers.Dense(
                num_classes, dtype="float32", name="class_head"
            )
            self.class_head.build((None, embedding_dim))
        self._accuracies = {
            name: keras.metrics.Mean(name)
            for name in ("image_to_text_accuracy", "text_to_image_accuracy")
        }
        self.built = True

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        loss: keras.losses.Loss | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the optimizer and the loss.

        Args:
            optimizer: string or `keras.optimizers.Optimizer`. Defaults to
                `"adam"`.
            loss: `keras.losses.Loss`, such as `SoftmaxJointEmbedding`, of two
                matrices of images by texts: which are of one class, and how
                compatible they are. Defaults to `None`:
                `StructuredJointEmbedding()`.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile` and
                `auto_scale_loss`, as of `keras.Model.compile`.

        Raises:
            ValueError: there are other arguments, or one is of another kind.
        """
        if loss is None:
            loss = StructuredJointEmbedding()
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "`loss` must be a `keras.losses.Loss` of the compatibilities, "
                "such as `keras_t2i.losses.SoftmaxJointEmbedding()`. Received: "
                f"{loss!r}"
            )
        if optimizer is None:
            raise ValueError(
                "`optimizer` must be a string or a "
                "`keras.optimizers.Optimizer`. Received: None"
            )
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        # Built here, not in the first step: strategies and saving need it.
        self.optimizer.build(self.trainable_variables)

    def call(
        self, inputs: dict[str, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        return (
            self.image_encoder(inputs["images"], training=training),
            self.text_encoder(inputs["token_ids"], training=training),
        )

    def train_step(self, data: Any) -> dict[str, Tensor]:
        steps = self.steps_trained
        logs = super().train_step(batch_of(data))
        self.set_steps_trained(steps + 1)
        return logs

    def test_step(self, data: Any) -> dict[str, Tensor]:
        return super().test_step(batch_of(data))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        scores = self._compatibilities(*y_pred)
        matches = ops.eye(ops.shape(scores)[0], dtype=scores.dtype)
        if x is not None and "class_ids" in x:
            class_ids = x["class_ids"]
            matches = ops.cast(
                class_ids[:, None] == class_ids[None, :], scores.dtype
            )
        # `matches` is symmetric, and serves both ways.
        for accuracy, axis in zip(self._accuracies.values(), (1, 0)):
            best = ops.argmax(scores, axis=axis)
            right = ops.take_along_axis(matches, best[:, None], axis=1)
            accuracy.update_state(right)
        loss = self.loss(matches, scores)
        if self.class_head is not None:
            loss += self.class_head_weight * self._class_loss(x, y_pred)
        return loss

    def _compatibilities(
        self, image_embeddings: Tensor, text_embeddings: Tensor
    ) -> Tensor:
        if self.similarity == "cosine":
            image_embeddings = ops.normalize(image_embeddings, axis=-1)
            text_embeddings = ops.normalize(text_embeddings, axis=-1)
        scores = ops.matmul(image_embeddings, ops.transpose(text_embeddings))
        if self.similarity == "cosine":
            temperature = ops.maximum(
                ops.exp(self.log_temperature), _LEAST_TEMPERATURE
            )
            scores = scores / ops.cast(temperature, scores.dtype)
        return scores

    def _class_loss(
        self, x: dict[str, Tensor] | None, y_pred: tuple[Tensor, Tensor]
    ) -> Tensor:
        if x is None or "class_ids" not in x:
            raise ValueError(
                "A class head needs the `class_ids` of each batch. Received: "
                "a batch without. Leave out `num_classes`."
            )
        # An object, which divides by the number of devices as `self.loss` does.
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        losses = [
            loss(x["class_ids"], self.class_head(embeddings))
            for embeddings in y_pred
        ]
        return sum(losses) / len(losses)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        losses = [self._loss_tracker] if self.compiled else []
        return [*losses, *self._accuracies.values()]

    def standardize(self, token_ids: np.ndarray) -> None:
        """Scales the text embeddings to a root mean square of 1.

        Nothing is subtracted, unlike in `TextToImageGAN.standardize_texts`.
        What follows an encoder, such as the projection of a GAN, starts from
        weights meant for inputs of that size. The image embeddings are scaled
        the other way, so compatibilities stay as they are. A class head stays
        as it is: nothing needs it any more.

        Args:
            token_ids: int array of shape `(num_texts, 201)`. Texts to measure.
        """
        embeddings = self.text_encoder.predict(token_ids, verbose=0)
        scale = float(np.sqrt(np.mean(np.square(embeddings, dtype="float64"))))
        for encoder, factor in (
            (self.text_encoder, 1.0 / scale),
            (self.image_encoder, scale),
        ):
            for weight in encoder.get_layer("embedding").weights:
                weight.assign(weight * factor)
