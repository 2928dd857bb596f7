import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import RelativisticPairing


def test_by_hand():
    right = np.array([[2.0, 0.0], [1.0, -1.0]], "float32")
    wrong = np.array([[0.0, 0.0], [4.0, 0.0]], "float32")
    # log(1 + exp(wrong - right)) of -2, 0, 3 and 1.
    terms = [0.126928, 0.693147, 3.048587, 1.313262]
    loss = float(RelativisticPairing()(right, wrong))
    assert loss == pytest.approx(np.mean(terms), rel=1e-5)
    rows = RelativisticPairing(reduction=None)(right, wrong)
    np.testing.assert_allclose(
        rows, [np.mean(terms[:2]), np.mean(terms[2:])], rtol=1e-5
    )


def test_only_the_difference_counts():
    right, wrong = np.array([[3.0]]), np.array([[1.0]])
    loss = RelativisticPairing()
    assert float(loss(right + 5, wrong + 5)) == pytest.approx(
        float(loss(right, wrong)), rel=1e-6
    )
    assert float(loss(right, wrong)) < float(loss(wrong, right))


def test_large_differences_stay_finite():
    loss = RelativisticPairing()
    assert float(loss(np.array([[-1e4]]), np.array([[1e4]]))) == 2e4
    assert float(loss(np.array([[1e4]]), np.array([[-1e4]]))) == 0.0


def test_config_round_trip():
    loss = RelativisticPairing(name="mine")
    config = keras.saving.serialize_keras_object(loss)
    assert config["registered_name"] == "keras_t2i>RelativisticPairing"
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is RelativisticPairing
    assert copy.get_config() == loss.get_config()


def test_devices_have_their_shares(two_replicas):
    right = tf.constant([[2.0], [1.0], [0.0], [-1.0]])
    wrong = tf.constant([[0.0], [4.0], [1.0], [1.0]])
    with two_replicas.scope():
        loss = RelativisticPairing()

    def step():
        context = tf.distribute.get_replica_context()
        rows = slice(
            2 * context.replica_id_in_sync_group,
            2 * context.replica_id_in_sync_group + 2,
        )
        return loss(right[rows], wrong[rows])

    shares = tf.function(lambda: two_replicas.run(step))()
    first, second = two_replicas.experimental_local_results(shares)
    # As all losses of Keras: gradients are summed over the devices.
    expected = float(RelativisticPairing()(right, wrong))
    assert float(first + second) == pytest.approx(expected, rel=1e-5)
