import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.weight_updates import ExponentialMovingAverage
from keras_t2i.models.weight_updates import skipped_together


def _network(value):
    network = keras.Sequential(
        [keras.Input((2,)), keras.layers.BatchNormalization()]
    )
    network.set_weights([np.full(2, value)] * 4)
    return network


@pytest.mark.parametrize(
    "step, decay", ((1, 2 / 11), (9, 10 / 19), (100_000, 0.9))
)
def test_moving_average_by_hand(step, decay):
    averages, network = _network(1.0), _network(3.0)
    ExponentialMovingAverage(0.9).update(averages, network, step)
    for average, weight in zip(averages.weights, network.weights):
        # Batch norm's statistics are averages already.
        kept = decay if weight.trainable else 0.0
        np.testing.assert_allclose(
            average, np.full(2, kept * 1.0 + (1 - kept) * 3.0), rtol=1e-6
        )
        np.testing.assert_array_equal(weight, [3.0, 3.0])


def test_frozen_weights_keep_their_moving_average():
    averages, network = _network(1.0), _network(3.0)
    network.trainable = False
    ExponentialMovingAverage(0.9).update(averages, network, 100_000)
    for average in averages.weights:
        np.testing.assert_allclose(average, np.full(2, 1.2), rtol=1e-6)


# === Loss scaling ===


def _step(strategy, optimizer, weight, values):
    """One step whose gradient is `values[i]` on replica i."""

    @tf.function
    def step():
        def on_replica():
            replica = tf.distribute.get_replica_context()
            number = replica.replica_id_in_sync_group
            gradient = tf.gather(tf.constant(values, "float32"), number)
            gradients = [tf.fill(weight.shape, gradient), None]
            return skipped_together(optimizer, gradients)[:1]

        def run():
            optimizer.apply(on_replica(), [weight])

        strategy.run(run)

    step()


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("replica", [0, 1])
def test_an_overflow_on_one_replica_skips_the_step(two_replicas, bad, replica):
    with two_replicas.scope():
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1.0), initial_scale=8.0
        )
        optimizer.build([weight])
    values = [2.0, 2.0]
    values[replica] = bad
    _step(two_replicas, optimizer, weight, values)
    np.testing.assert_array_equal(weight, np.ones(3))
    # Halved, to be tried again.
    assert float(np.array(optimizer.dynamic_scale)) == 4.0
    # The sum of both, with the scale taken out.
    _step(two_replicas, optimizer, weight, [2.0, 2.0])
    np.testing.assert_array_equal(weight, np.zeros(3))


def test_without_scaled_losses_nothing_changes(two_replicas):
    with two_replicas.scope():
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build([weight])
    _step(two_replicas, optimizer, weight, [0.25, np.nan])
    assert np.isnan(weight).all()
    gradients = [tf.constant(np.nan), None]
    assert skipped_together(optimizer, gradients) is gradients
