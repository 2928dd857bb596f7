import keras
import numpy as np
import pytest

from keras_t2i.models.exponential_moving_average import ExponentialMovingAverage


def _network(value):
    network = keras.Sequential(
        [keras.Input((2,)), keras.layers.BatchNormalization()]
    )
    network.set_weights([np.full(2, value)] * 4)
    return network


@pytest.mark.parametrize(
    "step, decay", ((1, 2 / 11), (9, 10 / 19), (100_000, 0.9))
)
def test_by_hand(step, decay):
    averages, network = _network(1.0), _network(3.0)
    ExponentialMovingAverage(0.9).update(averages, network, step)
    for average, weight in zip(averages.weights, network.weights):
        # Batch norm's statistics are averages already.
        kept = decay if weight.trainable else 0.0
        np.testing.assert_allclose(
            average, np.full(2, kept * 1.0 + (1 - kept) * 3.0), rtol=1e-6
        )
        np.testing.assert_array_equal(weight, [3.0, 3.0])
