"""The char-CNN-RNN text encoder, which reads characters or words."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from keras import ops

from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.configured_model import PlainLayer
from keras_t2i.recipes.base_recipe import presets
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.tokenizers import ALPHABET
from keras_t2i.tokenizers import MAX_CHARACTERS
from keras_t2i.tokenizers import never_read_words
from keras_t2i.tokenizers import num_characters
from keras_t2i.tokenizers import num_words
from keras_t2i.tokenizers import tokenize
from keras_t2i.tokenizers import tokenize_words
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class OneHotCharacters(PlainLayer):
    """Turns character ids 1 to 70 into one-hot rows, and 0 into zeros."""

    def call(self, inputs: Tensor) -> Tensor:
        # Id 0 becomes -1, which is out of range and so has no column set.
        return ops.one_hot(inputs - 1, len(ALPHABET), dtype=self.compute_dtype)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(
            (*inputs.shape, len(ALPHABET)), dtype=self.compute_dtype
        )


@keras.saving.register_keras_serializable("keras_t2i")
class WordVectors(layers.Layer):
    """Turns word ids from 1 into trained vectors, and 0 into zeros."""

    def __init__(self, num_words: int, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_words = num_words
        self.dim = dim

    def build(self, input_shape: tuple) -> None:
        self.vectors = self.add_weight(
            shape=(self.num_words, self.dim),
            # Vectors as long as one-hot rows are.
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            name="vectors",
        )

    def call(self, inputs: Tensor) -> Tensor:
        is_word = ops.cast(inputs > 0, self.compute_dtype)
        rows = ops.take(self.vectors, ops.maximum(inputs - 1, 0), axis=0)
        return rows * is_word[..., None]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_words": self.num_words,
            "dim": self.dim,
        }


class _Recurrence(layers.Layer):
    """Maps `(batch, steps, features)`, `steps` static, to every step's state.

    Both recurrences differ from Keras' own layers in the first step, which has
    no hidden term at all: no recurrent bias and, in the gated one, no gates.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def _add_weights(self, features: int, gates: int) -> None:
        width = gates * self.units
        for name, shape, initializer in (
            ("kernel", (features, width), "glorot_uniform"),
            ("recurrent_kernel", (self.units, width), "glorot_uniform"),
            ("bias", (width,), "zeros"),
            ("recurrent_bias", (width,), "zeros"),
        ):
            weight = self.add_weight(
                shape=shape, initializer=initializer, name=name
            )
            setattr(self, name, weight)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("keras_t2i")
class ReLURecurrence(_Recurrence):
    """A recurrent layer with ReLU units: `FixedRNN` of Reed et al.'s code.

    `h[1] = relu(W x[1] + b)`, then
    `h[t] = relu(W x[t] + b + U h[t-1] + b_u)`.
    """

    def build(self, input_shape: tuple) -> None:
        self._add_weights(input_shape[-1], gates=1)

    def call(self, inputs: Tensor) -> Tensor:
        # One matrix product for all steps: only the hidden term is sequential.
        projected = ops.matmul(inputs, self.kernel) + self.bias
        states = [ops.relu(projected[:, 0])]
        for step in range(1, inputs.shape[1]):
            hidden = ops.matmul(states[-1], self.recurrent_kernel)
            hidden = hidden + self.recurrent_bias
            states.append(ops.relu(projected[:, step] + hidden))
        return ops.stack(states, axis=1)


@keras.saving.register_keras_serializable("keras_t2i")
class GatedRecurrence(_Recurrence):
    """A gated recurrent layer: `FixedGRU` of Reed et al.'s code.

    `h[1] = tanh(W x[1] + b)`, without gates; then, with update gate `u` and
    reset gate `r`, `h[t] = u * c + (1 - u) * h[t-1]` where
    `c = tanh(W x[t] + b + U (r * h[t-1]) + b_u)`. The last axis of the weights
    holds update gate, reset gate and candidate, in this order.
    """

    def build(self, input_shape: tuple) -> None:
        self._add_weights(input_shape[-1], gates=3)

    def call(self, inputs: Tensor) -> Tensor:
        projected = ops.matmul(inputs, self.kernel) + self.bias
        gates_width = 2 * self.units
        gates_kernel = self.recurrent_kernel[:, :gates_width]
        gates_bias = self.recurrent_bias[:gates_width]
        candidate_kernel = self.recurrent_kernel[:, gates_width:]
        candidate_bias = self.recurrent_bias[gates_width:]

        state = ops.tanh(projected[:, 0, gates_width:])
        states = [state]
        for step in range(1, inputs.shape[1]):
            gates = projected[:, step, :gates_width]
            gates = gates + ops.matmul(state, gates_kernel) + gates_bias
            update, reset = ops.split(ops.sigmoid(gates), 2, axis=-1)
            candidate = ops.matmul(reset * state, candidate_kernel)
            candidate = candidate + candidate_bias
            candidate = ops.tanh(projected[:, step, gates_width:] + candidate)
            state = update * candidate + (1 - update) * state
            states.append(state)
        return ops.stack(states, axis=1)


_RECURRENCES = {"relu": ReLURecurrence, "gated": GatedRecurrence}


@keras.saving.register_keras_serializable("keras_t2i")
class CharCNNRNN(ConfiguredModel):
    """Encodes a text, character by character, as one vector.

    Three temporal convolutions with ReLU and max pooling over one-hot
    characters, a recurrent layer over the remaining steps, the mean of its
    states, and a linear layer. The defaults are the published encoder of the
    flowers GAN; `third_pool=False, recurrence="gated"` is that of the birds
    and COCO GANs.

    Args:
        convolution_filters: tuple of three ints. Channels of the three
            convolutions, kernel size 4. The recurrent layer has as many units
            as the last. Defaults to `(384, 512, 512)`.
        third_pool: bool. Whether the third convolution is pooled too (size 3,
            stride 2), which leaves 8 steps instead of 18. Defaults to `True`.
        recurrence: `"relu"` or `"gated"`. Defaults to `"relu"`.
        embedding_dim: int. Size of the embedding. Defaults to `1024`.
        vocabulary: tuple of strings. The words to read in place of
            characters, such as those of `keras_t2i.text.vocabulary_of`. Each
            has a trained vector as wide as the alphabet; the other layers are
            the same. Defaults to `None`: characters are read.

    Call input: int tensor of shape `(batch, 201)`, the ids of `tokenize`.
    Output: tensor of shape `(batch, embedding_dim)`.

    Example:

    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> encoder(encoder.tokenize(tf.constant(["a red flower"]))).shape
    TensorShape([1, 16])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), Learning Deep
          Representations of Fine-Grained Visual Descriptions.
    """

    presets = presets("text_encoder")

    def __init__(
        self,
        convolution_filters: Sequence[int] = (384, 512, 512),
        third_pool: bool = True,
        recurrence: str = "relu",
        embedding_dim: int = 1024,
        vocabulary: Sequence[str] | None = None,
        **kwargs: Any,
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
        if vocabulary is not None:
            vocabulary = _checked_vocabulary(vocabulary)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))

        # === Functional Model ===
        token_ids = keras.Input(
            (MAX_CHARACTERS,), dtype="int32", name="token_ids"
        )
        if vocabulary is None:
            x = OneHotCharacters(dtype=policy, name="one_hot")(token_ids)
        else:
            x = WordVectors(
                len(vocabulary),
                len(ALPHABET),
                dtype=policy,
                name="word_vectors",
            )(token_ids)
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
        super().__init__(inputs=token_ids, outputs=x, **kwargs)

        # === Config ===
        self.set_arguments(
            policy,
            convolution_filters=tuple(convolution_filters),
            third_pool=third_pool,
            recurrence=recurrence,
            embedding_dim=embedding_dim,
            vocabulary=vocabulary,
        )

    @classmethod
    def from_preset(cls, name: str, **arguments: Any) -> "CharCNNRNN":
        """Makes an untrained encoder from a preset.

        Args:
            name: string. One of `CharCNNRNN.presets`.
            **arguments: constructor arguments in place of the preset's, such
                as the `vocabulary` of one that reads words.

        Returns:
            `CharCNNRNN`.

        Raises:
            ValueError: there is no such preset.

        Example:

        >>> encoder = keras_t2i.CharCNNRNN.from_preset("char_cnn_rnn_birds")
        >>> encoder.recurrence, encoder.third_pool
        ('gated', False)
        """
        recipe = TextRecipe.from_preset(name)
        defaults = {
            "convolution_filters": recipe.convolution_filters,
            "third_pool": recipe.third_pool,
            "recurrence": recipe.recurrence,
            "embedding_dim": recipe.embedding_dim,
            # A preset does not know the words: they must be given.
            "vocabulary": None if recipe.vocabulary_size is None else (),
        }
        return cls(**{**defaults, **arguments})

    def tokenize(self, texts: Tensor) -> Tensor:
        """Turns texts into the ids that this encoder reads.

        Args:
            texts: string tensor of shape `(batch,)`. UTF-8.

        Returns:
            int32 tensor of shape `(batch, 201)`: one column per character, or
            per word. Longer texts are cut.
        """
        if self.vocabulary is None:
            return tokenize(texts)
        return tokenize_words(texts, self.vocabulary)

    def predict_step(self, data: Any) -> Tensor:
        """Predicts as Keras does, but skips most of the padding of a batch.

        Where the windows of the convolutions hold padding alone, all steps are
        alike. So the first of them is computed once and repeated.
        """
        # A batch may hold more than token ids. Only these are read.
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(inputs, dict):
            inputs = inputs.get("token_ids", ())
        token_ids: Any = next(iter(keras.tree.flatten(inputs)), None)
        shape = tuple(getattr(token_ids, "shape", ()))
        # Keras gives an unknown width once it has seen batches of another one.
        if shape[1:] not in ((MAX_CHARACTERS,), (None,)):
            raise ValueError(
                "`predict` takes token ids of shape (batch, "
                f"{MAX_CHARACTERS}), or a dict with such `token_ids`. "
                f"Received: {f'shape {shape}' if shape else 'none'}. Make them "
                "by `tokenize`."
            )
        token_ids = tf.ensure_shape(token_ids, (None, MAX_CHARACTERS))
        if self.jit_compile:
            # XLA compiles for one length.
            return super().predict_step(token_ids)
        x = token_ids[:, : self._num_columns_needed(token_ids)]
        for layer in self.layers[1:]:
            if layer.name == "recurrence":
                steps = ops.arange(layer.input.shape[1])
                last = ops.shape(x)[1] - 1
                x = ops.take(x, ops.minimum(steps, last), axis=1)
            x = layer(x, training=False)
        return x

    def _num_columns_needed(self, token_ids: Tensor) -> Tensor:
        """Columns up to the end of the first step that sees padding alone."""
        places = ops.arange(1, token_ids.shape[1] + 1)
        # A device may have no rows, and their maximum is the smallest int.
        longest = ops.maximum(ops.max(ops.where(token_ids != 0, places, 0)), 0)
        # A step begins `stride` columns after the one before: two pools of size
        # 3 and perhaps one of stride 2. It sees `seen` columns.
        stride, seen = (18, 66) if self.third_pool else (9, 48)
        return (longest + stride - 1) // stride * stride + seen

    def lengths(self, texts: Tensor) -> Tensor:
        """Counts the characters or words of texts, as ints `(batch,)`.

        `tokenize` cuts texts of more than 201.
        """
        if self.vocabulary is None:
            return num_characters(texts)
        return num_words(texts)


def _checked_vocabulary(vocabulary: Sequence[str]) -> tuple[str, ...]:
    if isinstance(vocabulary, str):
        raise ValueError(
            "`vocabulary` must be a tuple of words, not one string. Received: "
            f"{vocabulary[:40]!r}"
        )
    vocabulary = tuple(vocabulary)
    if not vocabulary or "" in vocabulary:
        raise ValueError(
            "`vocabulary` must hold at least one word, and none that is empty. "
            f"Received: {vocabulary[:5]!r}. Make it by "
            "`keras_t2i.text.vocabulary_of`."
        )
    if len(set(vocabulary)) < len(vocabulary):
        raise ValueError(
            "`vocabulary` must hold each word once. Received: "
            f"{len(vocabulary)} words, {len(set(vocabulary))} different ones."
        )
    never_read = never_read_words(vocabulary)
    if never_read:
        raise ValueError(
            "`vocabulary` must hold words as texts are split into: of letters "
            "and digits alone, in lower case and NFKC. Received: "
            f"{', '.join(map(repr, never_read[:5]))}. Make it by "
            "`keras_t2i.text.vocabulary_of`."
        )
    return vocabulary
