import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets import from_arrays
from tests.tiny_models import VARIANTS
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan


def _stream(**options):
    images = np.random.default_rng(0).integers(
        0, 256, (8, 32, 32, 3), dtype="uint8"
    )
    captions = [[f"flower {index}"] for index in range(8)]
    return from_arrays(images, captions, batch_size=4, **options)


def _history(**compile_options):
    keras.utils.set_random_seed(0)
    gan = tiny_gan()
    gan.compile(**compile_options)
    history = gan.fit(_stream(), epochs=2, verbose=0).history
    return gan, history


@pytest.fixture(scope="module")
def trained():
    return _history()


def test_history_has_the_metrics_and_no_other(trained):
    gan, history = trained
    assert set(history) == {metric.name for metric in gan.metrics}
    for values in history.values():
        assert len(values) == 2
        assert np.isfinite(values).all()
    assert int(gan.generator_optimizer.iterations) == 4
    assert int(gan.discriminator_optimizer.iterations) == 4


def test_same_seed_gives_the_same_history_and_weights(trained):
    gan, history = trained
    other, other_history = _history()
    assert other_history == history
    for value, weight in zip(other.get_weights(), gan.get_weights()):
        np.testing.assert_array_equal(value, weight)


def test_several_steps_in_one_execution_are_the_same_steps(trained):
    gan, _ = trained
    other, _ = _history(steps_per_execution=2)
    for value, weight in zip(other.get_weights(), gan.get_weights()):
        np.testing.assert_allclose(value, weight, atol=1e-5)


def test_validation_is_the_same_every_time(trained):
    gan, _ = trained
    stream = tf.data.Dataset.from_tensors(embeddings_batch())
    first = gan.evaluate(stream, verbose=0, return_dict=True)
    assert set(first) == {metric.name for metric in gan.metrics}
    assert gan.evaluate(stream, verbose=0, return_dict=True) == first


def test_two_replicas_take_the_steps_of_one_device(two_replicas):
    # Without interpolated texts, whose pairs are made on each replica.
    stream = tf.data.Dataset.from_tensors(embeddings_batch(8)).repeat(3)

    def train():
        gan = tiny_gan(**VARIANTS["gan_cls"])
        gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        gan.set_weights(weights)
        history = gan.fit(stream, verbose=0).history
        return gan, history

    weights = tiny_gan(**VARIANTS["gan_cls"]).get_weights()
    gan, history = train()
    with two_replicas.scope():
        mirrored, mirrored_history = train()
    assert set(history) == set(mirrored_history)
    for name, values in history.items():
        assert mirrored_history[name] == pytest.approx(values, abs=1e-5)
    moved = 0.0
    for weight, value, start in zip(
        gan.weights, mirrored.get_weights(), weights
    ):
        # The variance of a sample on one device, of the batch on several.
        if "moving_variance" not in weight.path:
            np.testing.assert_allclose(weight, value, atol=1e-5)
            moved = max(moved, np.abs(weight - start).max())
    assert moved > 0.01
