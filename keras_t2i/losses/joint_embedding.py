"""Losses that bring images and their texts together."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class StructuredJointEmbedding(keras.losses.Loss):
    """Symmetric structured hinge loss over the compatibilities of a batch.

    With `s[i, j]` the dot product of image `i` and text `j`, each pair that
    does not belong together costs `max(0, margin + s[i, j] - s[i, i])`, once
    for the texts of each image and once for the images of each text; the costs
    are summed and divided by the number of pairs. Rows must be of distinct
    classes.

    Args:
        margin: float. Defaults to `1.0`.

    Call inputs: `y_true`, the image embeddings, and `y_pred`, the text
    embeddings, of shape `(batch, embedding_dim)`.

    Example:

    >>> images = keras.ops.array([[1.0, 0.0], [0.0, 1.0]])
    >>> texts = keras.ops.array([[1.0, 0.0], [0.5, 0.5]])
    >>> loss = keras_t2i.losses.StructuredJointEmbedding()(images, texts)
    >>> round(float(loss), 4)
    0.5

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 3.
    """

    def __init__(self, margin=1.0, name="structured_joint_embedding", **kwargs):
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        scores = ops.matmul(y_true, ops.transpose(y_pred))
        matching = ops.diagonal(scores)
        of_each_image = ops.relu(self.margin + scores - matching[:, None])
        of_each_text = ops.relu(self.margin + scores - matching[None, :])
        costs = of_each_image + of_each_text
        # A matching pair against itself would add twice the margin.
        costs = costs * (1.0 - ops.eye(ops.shape(scores)[0], dtype=costs.dtype))
        # A mean of rows, so that Keras shares the loss between replicas.
        return ops.mean(costs, axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}
