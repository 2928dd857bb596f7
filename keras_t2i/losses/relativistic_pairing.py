"""A loss of pairs, of which one must score higher than the other."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class RelativisticPairing(keras.losses.Loss):
    """Softplus of how far the wrong one of a pair scores above the right one.

    For a discriminator, the right one is a real image with its own text, the
    wrong one a generated image, or another text. For the generator it is the
    other way round. A discriminator that compares cannot win by scores alone,
    and a generator that leaves out kinds of images loses those pairs.

    Call inputs: `y_true`, the logits of those that must score higher, and
    `y_pred`, the logits of those that must score lower, both of shape
    `(batch, num_logits)`.

    Example:

    >>> from keras_t2i.losses import RelativisticPairing
    >>> loss = RelativisticPairing()
    >>> logits = keras.ops.zeros((4, 1))
    >>> round(float(loss(logits, logits)), 4)
    0.6931

    Reference:
        - [Jolicoeur-Martineau, 2018](https://arxiv.org/abs/1807.00734).
        - [Huang et al., 2025](https://arxiv.org/abs/2501.05441), R3GAN.
    """

    def __init__(self, name="relativistic_pairing", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ops.mean(ops.softplus(y_pred - y_true), axis=-1)
