"""Trains a text encoder together with an image encoder."""

import copy

import keras
import numpy as np
from keras import ops

from keras_t2i.losses.joint_embedding import StructuredJointEmbedding
from keras_t2i.stream_trained_model import StreamTrainedModel


@keras.saving.register_keras_serializable("keras_t2i")
class JointEmbedding(StreamTrainedModel):
    """Trains a text encoder so that texts lie close to their images.

    Images and captions are embedded in one space, where an image must be more
    compatible with its own caption than with those of other classes, and the
    other way round. Afterwards `text_encoder` is used on its own.

    Args:
        text_encoder: `keras.Model` from `char_ids` to embeddings, such as
            `CharCNNRNN`.
        image_encoder: `keras.Model` from images in [-1, 1], or from features
            of them, to embeddings of the same size, such as those of
            `keras_t2i.text.image_encoder`. Its last layer is a `Dense` one of
            the name `"embedding"`, as is that of the text encoder.

    Call input: dict of `images`, `(batch, size, size, 3)` or features of them,
    and `char_ids`, `(batch, 201)`. In training also `class_ids`, `(batch,)`;
    without them all rows count as of different classes. Output: the embeddings
    of images and texts, in this order.

    Example:

    >>> joint_embedding = keras_t2i.JointEmbedding(
    ...     keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ...     keras_t2i.text.image_encoder(32, embedding_dim=16, width=4),
    ... )
    >>> joint_embedding.compile()
    >>> batch = {
    ...     "images": np.zeros((2, 32, 32, 3), "float32"),
    ...     "char_ids": np.ones((2, 201), "int32"),
    ... }
    >>> history = joint_embedding.fit(batch, batch_size=2, verbose=0)
    >>> sorted(history.history)
    ['image_to_text_accuracy', 'loss', 'text_to_image_accuracy']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 3.
    """

    def __init__(self, text_encoder, image_encoder, **kwargs):
        if text_encoder.output_shape[-1] != image_encoder.output_shape[-1]:
            raise ValueError(
                "`text_encoder` and `image_encoder` must have embeddings of "
                f"one size. Received: {text_encoder.output_shape[-1]} and "
                f"{image_encoder.output_shape[-1]}"
            )
        super().__init__(**kwargs)
        self.text_encoder = text_encoder
        self.image_encoder = image_encoder
        self._accuracies = {
            name: keras.metrics.Mean(name)
            for name in ("image_to_text_accuracy", "text_to_image_accuracy")
        }
        self.built = True

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """Sets the optimizer and the loss.

        Args:
            optimizer: string or `keras.optimizers.Optimizer`. Defaults to
                `"adam"`.
            loss: `keras.losses.Loss` of which images and texts are of one
                class, and of their compatibilities, such as
                `SoftmaxJointEmbedding`. Defaults to `None`:
                `StructuredJointEmbedding()`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if loss is None:
            loss = StructuredJointEmbedding()
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        # Built here, not in the first step: strategies and saving need it.
        self.optimizer.build(self.trainable_variables)
        self._compile_arguments = kwargs

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.loss),
            **self._compile_arguments,
        }

    def compile_from_config(self, config):
        config = dict(config)
        for name in ("optimizer", "loss"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        self.compile(**config)

    def call(self, inputs, training=False):
        return (
            self.image_encoder(inputs["images"], training=training),
            self.text_encoder(inputs["char_ids"], training=training),
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        image_embeddings, text_embeddings = y_pred
        scores = ops.matmul(image_embeddings, ops.transpose(text_embeddings))
        matches = ops.eye(ops.shape(scores)[0], dtype=scores.dtype)
        if x is not None and "class_ids" in x:
            class_ids = x["class_ids"]
            matches = ops.cast(
                class_ids[:, None] == class_ids[None, :], scores.dtype
            )
        # What is of one class is so either way: the matrix is symmetric.
        for accuracy, axis in zip(self._accuracies.values(), (1, 0)):
            best = ops.argmax(scores, axis=axis)
            right = ops.take_along_axis(matches, best[:, None], axis=1)
            accuracy.update_state(right)
        return self.loss(matches, scores)

    @property
    def metrics(self):
        losses = [self._loss_tracker] if self.compiled else []
        return [*losses, *self._accuracies.values()]

    def standardize(self, char_ids):
        """Scales the text embeddings to a root mean square of 1.

        What follows an encoder, such as the projection of a GAN, starts from
        weights meant for inputs of that size. The image embeddings are scaled
        the other way, so no compatibility of an image and a text changes.

        Args:
            char_ids: int array of shape `(num_texts, 201)`. Texts to measure.
        """
        embeddings = self.text_encoder.predict(char_ids, verbose=0)
        scale = float(np.sqrt(np.mean(np.square(embeddings, dtype="float64"))))
        for encoder, factor in (
            (self.text_encoder, 1.0 / scale),
            (self.image_encoder, scale),
        ):
            for weight in encoder.get_layer("embedding").weights:
                weight.assign(weight * factor)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "text_encoder": serialize(self.text_encoder),
            "image_encoder": serialize(self.image_encoder),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        for name in ("text_encoder", "image_encoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
