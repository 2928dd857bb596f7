"""Losses over the compatibilities of images and texts."""

from typing import Any

import keras
from keras import ops

from keras_t2i.checks import check_above_zero
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class StructuredJointEmbedding(keras.losses.Loss):
    """Symmetric structured hinge loss over the compatibilities of a batch.

    `s[i, j]` is the compatibility of image `i` and text `j`. Each pair of
    different classes costs `max(0, margin + s[i, j] - s[i, i])` as a text for
    the image, and `max(0, margin + s[i, j] - s[j, j])` as an image for the
    text. The sum of all costs is divided by the number of pairs.

    Args:
        margin: float. Defaults to `1.0`.

    Call inputs: `y_true`, of shape `(batch, batch)`, 1 where image and text
    are of one class and 0 elsewhere, and `y_pred`, the compatibilities, of the
    same shape.

    Example:

    >>> scores = keras.ops.array([[1.0, 0.5], [0.0, 0.5]])
    >>> loss = keras_t2i.losses.StructuredJointEmbedding()
    >>> round(float(loss(keras.ops.eye(2), scores)), 4)
    0.5

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 3.
    """

    def __init__(
        self,
        margin: float = 1.0,
        name: str = "structured_joint_embedding",
        **kwargs: Any,
    ) -> None:
        check_above_zero(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        _check_pairs(y_true, y_pred)
        matching = ops.diagonal(y_pred)
        of_each_image = ops.relu(self.margin + y_pred - matching[:, None])
        of_each_text = ops.relu(self.margin + y_pred - matching[None, :])
        # The pair itself would add the margin, and texts of the class fit too.
        costs = (of_each_image + of_each_text) * (1.0 - y_true)
        # A mean of rows, so that Keras shares the loss between replicas.
        return ops.mean(costs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable("keras_t2i")
class SoftmaxJointEmbedding(keras.losses.Loss):
    """Symmetric cross-entropy over the compatibilities of a batch.

    Each image chooses among the texts of the batch, and each text among the
    images. The loss is the cross-entropy between the softmax of
    `compatibility / temperature` and equal shares for all choices of the own
    class, as a mean over both directions.

    Args:
        temperature: float, above 0. Defaults to `1.0`.

    Call inputs: `y_true`, of shape `(batch, batch)`, 1 where image and text
    are of one class and 0 elsewhere, and `y_pred`, the compatibilities, of the
    same shape.

    Raises:
        ValueError: `temperature` is not above 0.

    Example:

    >>> loss = keras_t2i.losses.SoftmaxJointEmbedding()
    >>> round(float(loss(keras.ops.eye(4), keras.ops.zeros((4, 4)))), 4)
    1.3863

    Reference:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), figure 3,
          for batches without two images of a class.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        name: str = "softmax_joint_embedding",
        **kwargs: Any,
    ) -> None:
        check_above_zero(temperature=temperature)
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        _check_pairs(y_true, y_pred)
        scores = y_pred / self.temperature
        of_each_image = _cross_entropy(y_true, scores)
        of_each_text = _cross_entropy(
            ops.transpose(y_true), ops.transpose(scores)
        )
        return (of_each_image + of_each_text) / 2.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}


def _check_pairs(y_true: Tensor, y_pred: Tensor) -> None:
    # Class ids in place of pairs would be taken for a row or a column of them.
    # In a graph, the size of a batch may be unknown.
    sizes = {y_true.shape[-1], y_pred.shape[-1]} - {None}
    if len(y_true.shape) != 2 or len(sizes) > 1:
        raise ValueError(
            "`y_true` must have the shape of `y_pred`, a row for each image "
            f"and a column for each text. Received: {y_true.shape} and "
            f"{y_pred.shape}"
        )


def _cross_entropy(matches: Tensor, scores: Tensor) -> Tensor:
    shares = matches / ops.sum(matches, axis=-1, keepdims=True)
    return -ops.sum(shares * ops.log_softmax(scores, axis=-1), axis=-1)
