import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.normalization import FusedBatchNormalization
from keras_t2i.models.normalization import Modulation
from keras_t2i.models.normalization import TextStandardization
from keras_t2i.models.normalization import standardizations_of
from tests.tiny_models import randomize

OPTIONS = {"momentum": 0.9, "epsilon": 1e-5}
SHAPE = (3, 4, 5, 2)
# Values a channel is normalized over.
COUNT = 3 * 4 * 5


def _pair(**options):
    """The layer and Keras' own, with equal weights."""
    layers = (
        FusedBatchNormalization(**OPTIONS, **options),
        keras.layers.BatchNormalization(**OPTIONS, **options),
    )
    for layer in layers:
        layer.build(SHAPE)
        randomize(layer)
    return layers


def _inputs(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(1.0, 2.0, SHAPE).astype("float32")


def _outputs_and_gradients(layer, inputs):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        # Weighted, as the sum of what is normalized is constant.
        loss = tf.reduce_sum(outputs * _inputs(seed=1))
    gradients = tape.gradient(loss, [inputs, layer.gamma, layer.beta])
    return [outputs, *gradients]


def test_training_equals_keras():
    fused, plain = _pair()
    before = np.array(fused.moving_variance)
    for got, expected in zip(
        _outputs_and_gradients(fused, _inputs()),
        _outputs_and_gradients(plain, _inputs()),
    ):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    # As in Torch: the variance of a sample, n / (n - 1) times Keras'.
    batch_variance = _inputs().var(axis=(0, 1, 2)) * COUNT / (COUNT - 1)
    expected = 0.9 * before + 0.1 * batch_variance
    np.testing.assert_allclose(fused.moving_variance, expected, rtol=1e-5)


def test_moving_averages_by_hand():
    layer = FusedBatchNormalization(momentum=0.9)
    # Mean 2, and variance (4 + 4) / (2 - 1) = 8 as a sample.
    inputs = np.array([0.0, 4.0], "float32").reshape(2, 1, 1, 1)
    layer(inputs, training=True)
    # 0.9 * 0 + 0.1 * 2 and 0.9 * 1 + 0.1 * 8
    assert float(layer.moving_mean[0]) == pytest.approx(0.2)
    assert float(layer.moving_variance[0]) == pytest.approx(1.7)


def test_inference_equals_keras():
    fused, plain = _pair()
    before = [np.array(weight) for weight in fused.weights]
    np.testing.assert_allclose(fused(_inputs()), plain(_inputs()), rtol=1e-5)
    for weight, value in zip(fused.weights, before):
        np.testing.assert_array_equal(weight, value)


def test_a_frozen_layer_only_infers():
    fused, plain = _pair(trainable=False)
    before = [np.array(weight) for weight in fused.weights]
    outputs = fused(_inputs(), training=True)
    np.testing.assert_allclose(outputs, plain(_inputs(), training=True))
    np.testing.assert_allclose(outputs, fused(_inputs(), training=False))
    for weight, value in zip(fused.weights, before):
        np.testing.assert_array_equal(weight, value)


def test_rows_without_height_and_width():
    fused, plain = (
        FusedBatchNormalization(**OPTIONS),
        keras.layers.BatchNormalization(**OPTIONS),
    )
    inputs = _inputs().reshape(-1, 2)
    np.testing.assert_allclose(
        fused(inputs, training=True),
        plain(inputs, training=True),
        rtol=1e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    expected = 0.9 + 0.1 * inputs.var(axis=0) * COUNT / (COUNT - 1)
    np.testing.assert_allclose(fused.moving_variance, expected, rtol=1e-5)


def test_one_row_has_the_variance_of_itself():
    layer = FusedBatchNormalization(**OPTIONS)
    layer(np.ones((1, 2), "float32"), training=True)
    np.testing.assert_allclose(layer.moving_variance, [0.9, 0.9], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_float32_statistics(policy):
    fused = FusedBatchNormalization(**OPTIONS, dtype=policy)
    exact = FusedBatchNormalization(**OPTIONS)
    outputs = fused(_inputs(), training=True)
    expected = exact(_inputs(), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float32), expected, atol=0.05
    )
    assert {weight.dtype for weight in fused.weights} == {"float32"}
    np.testing.assert_allclose(
        fused.moving_mean, exact.moving_mean, rtol=0.01, atol=1e-3
    )


def test_replicas_share_the_statistics(two_replicas):
    inputs = np.concatenate([_inputs(0), _inputs(1) + 3])
    plain = keras.layers.BatchNormalization(**OPTIONS)
    expected = plain(inputs, training=True)
    with two_replicas.scope():
        fused = FusedBatchNormalization(**OPTIONS)
        fused.build(SHAPE)

    def step():
        context = tf.distribute.get_replica_context()
        first = 3 * context.replica_id_in_sync_group
        return fused(tf.constant(inputs)[first : first + 3], training=True)

    outputs = tf.function(lambda: two_replicas.run(step))()
    outputs = np.concatenate(two_replicas.experimental_local_results(outputs))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    # Of the sample of both replicas.
    variance = inputs.var(axis=(0, 1, 2)) * 2 * COUNT / (2 * COUNT - 1)
    np.testing.assert_allclose(
        fused.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5
    )


def test_config_round_trip():
    layer = FusedBatchNormalization(**OPTIONS, name="mine")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is FusedBatchNormalization
    assert copy.get_config() == layer.get_config()
    assert (copy.momentum, copy.epsilon) == (0.9, 1e-5)


WITHOUT = {"scale": False, "center": False}


def test_without_scale_and_offset():
    fused, plain = (
        FusedBatchNormalization(**OPTIONS, **WITHOUT),
        keras.layers.BatchNormalization(**OPTIONS, **WITHOUT),
    )
    inputs = tf.constant(_inputs())
    results = []
    for layer in (fused, plain):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs * _inputs(seed=1))
        results.append([outputs, tape.gradient(loss, inputs)])
    assert len(fused.weights) == 2
    assert fused.trainable_weights == []
    for got, expected in zip(*results):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    variance = _inputs().var(axis=(0, 1, 2)) * COUNT / (COUNT - 1)
    np.testing.assert_allclose(
        fused.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5
    )
    # What is inferred follows from the moving statistics alone.
    expected = (_inputs() - fused.moving_mean) / np.sqrt(
        fused.moving_variance + 1e-5
    )
    np.testing.assert_allclose(fused(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_without_scale_and_offset(policy):
    fused = FusedBatchNormalization(**OPTIONS, **WITHOUT, dtype=policy)
    exact = FusedBatchNormalization(**OPTIONS, **WITHOUT)
    outputs = fused(_inputs(), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float32),
        exact(_inputs(), training=True),
        atol=0.05,
    )
    assert {weight.dtype for weight in fused.weights} == {"float32"}


# === Modulation ===


def _modulation(**options):
    layer = Modulation(**options)
    layer.build([(None, 2, 2, 2), (None, 3)])
    return layer


def test_modulation_by_hand():
    layer = _modulation()
    kernel = np.zeros((3, 4), "float32")
    # Of the vector (1, 2, 3): gamma = (1, 6), beta = (2, 0).
    kernel[0, 0], kernel[2, 1], kernel[1, 2] = 1.0, 2.0, 1.0
    layer.dense.set_weights([kernel, np.array([0.0, 0.0, 0.0, 5.0])])
    maps = np.arange(16, dtype="float32").reshape(2, 2, 2, 2)
    vectors = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "float32")
    outputs = np.array(layer([maps, vectors]))
    np.testing.assert_allclose(outputs[0, ..., 0], 2 * maps[0, ..., 0] + 2)
    np.testing.assert_allclose(outputs[0, ..., 1], 7 * maps[0, ..., 1] + 5)
    # Without a vector: the map itself, and the bias of the offset.
    np.testing.assert_allclose(outputs[1, ..., 0], maps[1, ..., 0])
    np.testing.assert_allclose(outputs[1, ..., 1], maps[1, ..., 1] + 5)


def test_modulation_starts_near_the_identity():
    layer = Modulation()
    layer.build([(None, 4, 4, 128), (None, 200)])
    assert np.std(layer.dense.kernel) == pytest.approx(0.02, rel=0.02)
    np.testing.assert_array_equal(layer.dense.bias, np.zeros(256))


def test_modulation_has_shape_and_config():
    layer = _modulation(name="mine", dtype="mixed_bfloat16")
    shapes = [(None, 2, 2, 2), (None, 3)]
    assert layer.compute_output_shape(shapes) == shapes[0]
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is Modulation
    assert copy.get_config() == layer.get_config()
    outputs = layer([np.ones((1, 2, 2, 2)), np.ones((1, 3))])
    assert outputs.dtype == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}


# === Text standardization ===


# Means 2 and -1, deviations 1 and 2; the last number never varies.
TEXTS = np.array([[1.0, 1.0, 7.0], [3.0, -3.0, 7.0]], "float32")


def _model():
    inputs = keras.Input((3,))
    layer = TextStandardization(name="standardized")
    return keras.Model(inputs, layer(inputs)), layer


def test_new_standardization_changes_nothing():
    model, layer = _model()
    np.testing.assert_array_equal(model(TEXTS), TEXTS)
    assert layer.trainable_weights == []


def test_standardization_by_hand():
    _, layer = _model()
    layer.adapt(TEXTS)
    np.testing.assert_allclose(
        layer(TEXTS), [[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0]], atol=1e-6
    )
    np.testing.assert_allclose(layer(np.array([[5.0, -1.0, 7.0]])), [[3, 0, 0]])


def test_what_never_varied_does_not_become_huge():
    _, layer = _model()
    layer.adapt(TEXTS)
    outputs = np.array(layer(np.array([[2.0, -1.0, 7.25]])))
    np.testing.assert_allclose(outputs, [[0.0, 0.0, 0.25]], atol=1e-6)


def test_mean_and_deviation_are_saved(tmp_path):
    model, layer = _model()
    layer.adapt(TEXTS)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(TEXTS + 1), model(TEXTS + 1))
    (found,) = standardizations_of(copy)
    np.testing.assert_array_equal(found.mean, [2.0, -1.0, 7.0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_difference_is_taken_in_float32(policy):
    layer = TextStandardization(dtype=policy)
    # Two numbers that are one in half precision.
    texts = np.array([[1000.0], [1000.25]], "float32")
    layer.build(texts.shape)
    layer.adapt(texts)
    outputs = layer(texts)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(np.array(outputs, "float32"), [[-1.0], [1.0]])


@pytest.mark.parametrize(
    ("texts", "received"),
    [
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.ones((2, 4)), r"shape \(2, 4\)"),
        ([[1.0, 2.0, np.nan]], "with NaN"),
    ],
)
def test_texts_that_would_break_it(texts, received):
    layer = TextStandardization()
    layer.build((None, 3))
    with pytest.raises(ValueError, match=f"must be finite.*{received}"):
        layer.adapt(texts)
    np.testing.assert_array_equal(layer.mean, np.zeros(3))
