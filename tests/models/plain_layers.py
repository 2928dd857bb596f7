"""Layers in inference mode, from TensorFlow's operations alone."""

import numpy as np
import tensorflow as tf


class PlainLayers:
    """Applies the weights of a model's layers, found by name."""

    def __init__(self, model):
        self._model = model

    def _weights(self, name):
        return [np.array(w) for w in self._model.get_layer(name).weights]

    def dense(self, x, name):
        kernel, bias = self._weights(name)
        return x @ kernel + bias

    def convolution(self, x, name, strides=1, padding="SAME"):
        (kernel,) = self._weights(name)
        return tf.nn.conv2d(x, kernel, strides, padding)

    def transposed_convolution(self, x, name, strides=2, padding="SAME"):
        (kernel,) = self._weights(name)
        size = 4 if padding == "VALID" else x.shape[1] * strides
        shape = (x.shape[0], size, size, kernel.shape[2])
        return tf.nn.conv2d_transpose(x, kernel, shape, strides, padding)

    def batch_norm(self, x, name):
        gamma, beta, mean, variance = self._weights(name)
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def residual(self, x, name, activation):
        y = x
        for index in (1, 2, 3):
            y = self.convolution(y, f"{name}_convolution_{index}")
            y = self.batch_norm(y, f"{name}_batch_normalization_{index}")
            if index < 3:
                y = activation(y)
        return activation(x + y)


def leaky_relu(x):
    return tf.where(x > 0, x, 0.2 * x)
