"""The recurrent layers of the published char-CNN-RNN encoders.

Both differ from Keras' own layers in the first step, which has no hidden term
at all: no recurrent bias and, in the gated one, no gates.
"""

import keras
from keras import ops


class _Recurrence(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def _add_weights(self, features, gates):
        shapes = {
            "kernel": (features, gates * self.units),
            "recurrent_kernel": (self.units, gates * self.units),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(
                shape=shape, initializer="glorot_uniform", name=name
            )
            setattr(self, name, weight)
        for name in ("bias", "recurrent_bias"):
            weight = self.add_weight(
                shape=(gates * self.units,), initializer="zeros", name=name
            )
            setattr(self, name, weight)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("keras_t2i")
class ReLURecurrence(_Recurrence):
    """A recurrent layer with ReLU units, returning every step.

    `h[1] = relu(W x[1] + b)`, then
    `h[t] = relu(W x[t] + b + U h[t-1] + b_u)`.

    Args:
        units: int. Size of the hidden state.

    Call input: tensor of shape `(batch, steps, features)`, `steps` static.
    Output: tensor of shape `(batch, steps, units)`.

    Reference:
        - `FixedRNN` in the code released with
          [Reed et al., 2016](https://arxiv.org/abs/1605.05395).
    """

    def build(self, input_shape):
        self._add_weights(input_shape[-1], gates=1)

    def call(self, inputs):
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
    """A gated recurrent layer, returning every step.

    `h[1] = tanh(W x[1] + b)`, without gates; then, with update gate `u` and
    reset gate `r`, `h[t] = u * c + (1 - u) * h[t-1]` where
    `c = tanh(W x[t] + b + U (r * h[t-1]) + b_u)`. The last axis of the weights
    holds update gate, reset gate and candidate, in this order.

    Args:
        units: int. Size of the hidden state.

    Call input: tensor of shape `(batch, steps, features)`, `steps` static.
    Output: tensor of shape `(batch, steps, units)`.

    Reference:
        - `FixedGRU` in the code released with
          [Reed et al., 2016](https://arxiv.org/abs/1605.05396).
    """

    def build(self, input_shape):
        self._add_weights(input_shape[-1], gates=3)

    def call(self, inputs):
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
