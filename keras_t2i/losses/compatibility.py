"""Losses over the compatibilities of images and texts."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class StructuredJointEmbedding(keras.losses.Loss):
    """Symmetric structured hinge loss over the compatibilities of a batch.

    With `s[i, j]` the compatibility of image `i` and text `j`, each pair of
    different classes costs `max(0, margin + s[i, j] - s[i, i])`, once for the
    texts of each image and once for the images of each text; the costs are
    summed and divided by the number of all pairs.

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

    def __init__(self, margin=1.0, name="structured_joint_embedding", **kwargs):
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        matching = ops.diagonal(y_pred)
        of_each_image = ops.relu(self.margin + y_pred - matching[:, None])
        of_each_text = ops.relu(self.margin + y_pred - matching[None, :])
        # The pair itself would add the margin, and texts of the class fit too.
        costs = (of_each_image + of_each_text) * (1.0 - y_true)
        # A mean of rows, so that Keras shares the loss between replicas.
        return ops.mean(costs, axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable("keras_t2i")
class SoftmaxJointEmbedding(keras.losses.Loss):
    """Symmetric cross-entropy over the compatibilities of a batch.

    The texts of a batch are the choices of each image, and the images those of
    each text: the cross-entropy between the softmax of
    `compatibility / temperature` and an equal share for each choice of the own
    class. The loss is the mean over both directions.

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
        self, temperature=1.0, name="softmax_joint_embedding", **kwargs
    ):
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: {temperature!r}"
            )
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        scores = y_pred / self.temperature
        of_each_image = _cross_entropy(y_true, scores)
        of_each_text = _cross_entropy(
            ops.transpose(y_true), ops.transpose(scores)
        )
        return (of_each_image + of_each_text) / 2.0

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def _cross_entropy(matches, scores):
    shares = matches / ops.sum(matches, axis=-1, keepdims=True)
    return -ops.sum(shares * ops.log_softmax(scores, axis=-1), axis=-1)
