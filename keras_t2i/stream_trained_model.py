"""Models that are trained on streams of batches."""

import keras


class StreamTrainedModel(keras.Model):
    """A model whose batches come from a stream that has an order already."""

    def fit(self, x=None, *args, shuffle=None, **kwargs):
        """Trains the model, as `keras.Model.fit` does.

        Args:
            x: `tf.data.Dataset` of batches, or a dict of arrays.
            *args: further arguments of `keras.Model.fit`.
            shuffle: bool. Defaults to `None`: arrays are shuffled, and a
                stream, about which Keras would warn, is not.
            **kwargs: further arguments of `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        if shuffle is None:
            shuffle = isinstance(x, dict)
        return super().fit(x, *args, shuffle=shuffle, **kwargs)
