"""Losses: pure functions of logits, and `keras.losses.Loss` classes."""

from keras_t2i.losses.gan_cls import discriminator_loss
from keras_t2i.losses.gan_cls import generator_loss
from keras_t2i.losses.joint_embedding import StructuredJointEmbedding
from keras_t2i.losses.mode_seeking import layouts
from keras_t2i.losses.mode_seeking import mode_seeking_loss
from keras_t2i.losses.relativistic_pairing import RelativisticPairing
from keras_t2i.losses.softmax_joint_embedding import SoftmaxJointEmbedding

__all__ = [
    "RelativisticPairing",
    "SoftmaxJointEmbedding",
    "StructuredJointEmbedding",
    "discriminator_loss",
    "generator_loss",
    "layouts",
    "mode_seeking_loss",
]
