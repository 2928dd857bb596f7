"""Losses: pure functions of logits, and `keras.losses.Loss` classes."""

from keras_t2i.losses.adversarial import RelativisticPairing
from keras_t2i.losses.adversarial import discriminator_loss
from keras_t2i.losses.adversarial import generator_loss
from keras_t2i.losses.adversarial import layouts
from keras_t2i.losses.adversarial import mode_seeking_loss
from keras_t2i.losses.compatibility import SoftmaxJointEmbedding
from keras_t2i.losses.compatibility import StructuredJointEmbedding

__all__ = [
    "RelativisticPairing",
    "SoftmaxJointEmbedding",
    "StructuredJointEmbedding",
    "discriminator_loss",
    "generator_loss",
    "layouts",
    "mode_seeking_loss",
]
