import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.minibatch_deviation import MinibatchDeviation


def test_by_hand():
    # Pixel 1: 0 and 4 have a deviation of 2; pixel 2: 1 and 1 one of 0.
    inputs = np.array([[0.0, 1.0], [4.0, 1.0]], "float32")
    outputs = np.array(MinibatchDeviation()(inputs.reshape(2, 1, 2, 1)))
    assert outputs.shape == (2, 1, 2, 2)
    np.testing.assert_array_equal(outputs[..., 0].reshape(2, 2), inputs)
    # The mean of 2 and sqrt(1e-8).
    np.testing.assert_allclose(outputs[..., 1], 1.00005, rtol=1e-6)


def test_identical_images_have_next_to_none():
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
    inputs = np.repeat(image, 3, axis=0).astype("float32")
    outputs = np.array(MinibatchDeviation()(inputs))
    np.testing.assert_allclose(outputs[..., 3], 1e-4, rtol=1e-3)


def test_its_gradient_is_finite_where_images_are_alike():
    inputs = tf.ones((3, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(MinibatchDeviation()(inputs)[..., 1])
    np.testing.assert_allclose(tape.gradient(loss, inputs), 0.0, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_squares_do_not_overflow_in_half_precision(policy):
    # 1000 ** 2 is more than float16 holds.
    inputs = np.array([-1000.0, 1000.0], "float32").reshape(2, 1, 1, 1)
    outputs = MinibatchDeviation(dtype=policy)(inputs)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(
        tf.cast(outputs[..., 1], "float32"), 1000.0, rtol=0.01
    )


def test_on_several_devices_each_has_its_own_rows(two_replicas):
    # Deviations of 2 on the first device, of 1 on the second.
    inputs = tf.constant([0.0, 4.0, 1.0, 3.0])[:, None, None, None]

    def step():
        context = tf.distribute.get_replica_context()
        first = 2 * context.replica_id_in_sync_group
        return MinibatchDeviation()(inputs[first : first + 2])[..., 1]

    outputs = tf.function(lambda: two_replicas.run(step))()
    for rows, expected in zip(
        two_replicas.experimental_local_results(outputs), (2.0, 1.0)
    ):
        np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_shape_and_config():
    layer = MinibatchDeviation(name="mine")
    assert layer.compute_output_shape((None, 4, 4, 8)) == (None, 4, 4, 9)
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is MinibatchDeviation
    assert copy.get_config() == layer.get_config()
