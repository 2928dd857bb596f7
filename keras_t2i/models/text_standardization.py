"""Text embeddings of mean 0 and deviation 1."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class TextStandardization(layers.Layer):
    """Subtracts the mean of the training set's texts, divides by the deviation.

    The two are weights that are not trained: a saved model keeps them, and its
    users pass plain text. New layers leave texts as they are.

    Call input: tensor of shape `(batch, text_embedding_dim)`. Output: the same.
    """

    def __init__(self, **kwargs):
        # Rounded texts may differ from the mean by less than their rounding.
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        self.mean = self.add_weight(
            shape=(input_shape[-1],),
            initializer="zeros",
            trainable=False,
            autocast=False,
            dtype="float32",
            name="mean",
        )
        self.deviation = self.add_weight(
            shape=(input_shape[-1],),
            initializer="ones",
            trainable=False,
            autocast=False,
            dtype="float32",
            name="deviation",
        )

    def call(self, inputs):
        inputs = ops.cast(inputs, "float32")
        outputs = (inputs - self.mean) / self.deviation
        return ops.cast(outputs, self.compute_dtype)

    def adapt(self, text_embeddings):
        """Takes the mean and deviation of some texts.

        Args:
            text_embeddings: float array of shape `(num_texts, dim)`.
        """
        self.mean.assign(ops.mean(text_embeddings, axis=0))
        deviation = ops.std(text_embeddings, axis=0)
        # What never varies here may do so a little in the texts of users, and
        # must not become huge.
        self.deviation.assign(
            ops.where(deviation > 1e-6, deviation, ops.ones_like(deviation))
        )


def standardizations_of(model):
    """Returns all `TextStandardization` layers of a model."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, TextStandardization)
    ]
