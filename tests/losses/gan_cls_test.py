import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import discriminator_loss
from keras_t2i.losses import generator_loss

# Logits whose probabilities are 3/4, 1/4 and 1/2.
LOG_3 = math.log(3.0)
LIKELY, UNLIKELY, UNDECIDED = (
    np.full((2, 1), value, "float32") for value in (LOG_3, -LOG_3, 0.0)
)


@pytest.fixture
def loss_fn():
    return keras.losses.BinaryCrossentropy(from_logits=True)


def test_discriminator_of_gan_by_hand(loss_fn):
    # -log(3/4) - log(1 - 1/2) = 0.287682 + 0.693147
    loss = discriminator_loss(LIKELY, UNDECIDED, loss_fn)
    assert float(loss) == pytest.approx(0.980829, abs=1e-6)


def test_discriminator_of_gan_cls_by_hand(loss_fn):
    # -log(3/4) - (log(1 - 3/4) + log(1 - 1/2)) / 2
    # = 0.287682 + (1.386294 + 0.693147) / 2
    loss = discriminator_loss(
        LIKELY, UNDECIDED, loss_fn, mismatched_logits=LIKELY
    )
    assert float(loss) == pytest.approx(1.327403, abs=1e-6)


def test_mismatch_weight_by_hand(loss_fn):
    # 0.287682 + 0.25 * 1.386294 + 0.75 * 0.693147
    loss = discriminator_loss(
        LIKELY,
        UNDECIDED,
        loss_fn,
        mismatched_logits=LIKELY,
        mismatch_weight=tf.constant(0.25),
    )
    assert float(loss) == pytest.approx(1.154116, abs=1e-6)


def test_mismatch_weight_zero_is_the_plain_gan(loss_fn):
    plain = discriminator_loss(LIKELY, UNDECIDED, loss_fn)
    loss = discriminator_loss(
        LIKELY,
        UNDECIDED,
        loss_fn,
        mismatched_logits=LIKELY,
        mismatch_weight=0.0,
    )
    assert float(loss) == pytest.approx(float(plain), abs=1e-6)


def test_generator_of_gan_by_hand(loss_fn):
    # -log(1/4)
    loss = generator_loss(UNLIKELY, loss_fn)
    assert float(loss) == pytest.approx(1.386294, abs=1e-6)


def test_generator_of_gan_int_by_hand(loss_fn):
    # Means of both parts, whatever their sizes: 1.386294 + 0.693147.
    loss = generator_loss(UNLIKELY, loss_fn, interpolated_logits=UNDECIDED[:1])
    assert float(loss) == pytest.approx(2.079442, abs=1e-6)


def test_interpolation_weight_by_hand(loss_fn):
    # 1.386294 + 0.5 * 0.693147
    loss = generator_loss(
        UNLIKELY,
        loss_fn,
        interpolated_logits=UNDECIDED,
        interpolation_weight=0.5,
    )
    assert float(loss) == pytest.approx(1.732868, abs=1e-6)


def test_loss_is_the_mean_over_rows(loss_fn):
    # (1.386294 + 0.287682) / 2
    logits = np.array([[-LOG_3], [LOG_3]], "float32")
    assert float(generator_loss(logits, loss_fn)) == pytest.approx(
        0.836988, abs=1e-6
    )


def test_large_logits_stay_finite(loss_fn):
    # The logarithm of a rounded probability would be infinite.
    loss = generator_loss(np.full((1, 1), -1000, "float32"), loss_fn)
    assert float(loss) == pytest.approx(1000.0)
