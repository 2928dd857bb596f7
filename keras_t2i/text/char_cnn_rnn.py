"""The character-level text encoder."""

import keras
from keras import layers
from keras import ops

from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.text.alphabet import ALPHABET
from keras_t2i.text.alphabet import MAX_CHARACTERS
from keras_t2i.text.recurrence import GatedRecurrence
from keras_t2i.text.recurrence import ReLURecurrence

_RECURRENCES = {"relu": ReLURecurrence, "gated": GatedRecurrence}


@keras.saving.register_keras_serializable("keras_t2i")
class OneHotCharacters(layers.Layer):
    """One column a character: ids 1 to 70 to one-hot rows, 0 to zeros."""

    def call(self, inputs):
        # Id 0 becomes -1, which is out of range and so has no column set.
        return ops.one_hot(inputs - 1, len(ALPHABET), dtype=self.compute_dtype)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(
            (*inputs.shape, len(ALPHABET)), dtype=self.compute_dtype
        )


@keras.saving.register_keras_serializable("keras_t2i")
class CharCNNRNN(ConfiguredModel):
    """Encodes a text, character by character, as one vector.

    Three temporal convolutions with ReLU and max pooling over one-hot
    characters, a recurrent layer over what is left of the length, the mean of
    its states, and a linear layer. The defaults are the encoder of the flowers
    GAN as published; `third_pool=False, recurrence="gated"` is that of the
    birds and COCO GANs.

    Args:
        convolution_filters: tuple of three ints. Channels of the three
            convolutions, kernel size 4. The recurrent layer has as many units
            as the last. Defaults to `(384, 512, 512)`.
        third_pool: bool. Whether the third convolution is pooled too (size 3,
            stride 2), which leaves 8 steps instead of 18. Defaults to `True`.
        recurrence: `"relu"` or `"gated"`. Defaults to `"relu"`.
        embedding_dim: int. Size of the embedding. Defaults to `1024`.

    Call input: int tensor of shape `(batch, 201)`, the ids of
    `keras_t2i.text.tokenize`. Output: tensor of shape
    `(batch, embedding_dim)`.

    Example:

    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> char_ids = keras_t2i.text.tokenize(tf.constant(["a red flower"]))
    >>> encoder(char_ids).shape
    TensorShape([1, 16])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), Learning Deep
          Representations of Fine-Grained Visual Descriptions.
    """

    def __init__(
        self,
        convolution_filters=(384, 512, 512),
        third_pool=True,
        recurrence="relu",
        embedding_dim=1024,
        **kwargs,
    ):
        if recurrence not in _RECURRENCES:
            raise ValueError(
                f"`recurrence` must be one of {sorted(_RECURRENCES)}. "
                f"Received: {recurrence!r}"
            )
        if len(convolution_filters) != 3:
            raise ValueError(
                "`convolution_filters` must hold three numbers of channels. "
                f"Received: {convolution_filters!r}"
            )
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))

        # === Functional Model ===
        char_ids = keras.Input(
            (MAX_CHARACTERS,), dtype="int32", name="char_ids"
        )
        x = OneHotCharacters(dtype=policy, name="one_hot")(char_ids)
        for index, filters in enumerate(convolution_filters, start=1):
            x = layers.Conv1D(
                filters,
                4,
                activation="relu",
                dtype=policy,
                name=f"convolution_{index}",
            )(x)
            if index < 3:
                x = layers.MaxPooling1D(3, dtype=policy, name=f"pool_{index}")(
                    x
                )
            elif third_pool:
                x = layers.MaxPooling1D(3, 2, dtype=policy, name="pool_3")(x)
        x = _RECURRENCES[recurrence](
            convolution_filters[-1], dtype=policy, name="recurrence"
        )(x)
        x = layers.GlobalAveragePooling1D(dtype=policy, name="mean_over_time")(
            x
        )
        x = layers.Dense(embedding_dim, dtype=policy, name="embedding")(x)
        super().__init__(inputs=char_ids, outputs=x, **kwargs)

        # === Config ===
        self.set_arguments(
            policy,
            convolution_filters=tuple(convolution_filters),
            third_pool=third_pool,
            recurrence=recurrence,
            embedding_dim=embedding_dim,
        )
