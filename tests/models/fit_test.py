import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from keras_t2i import StagedMatching
from keras_t2i.datasets import from_arrays
from keras_t2i.tokenizers import tokenize
from tests.tiny_models import VARIANTS
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_modulated_generator
from tests.tiny_models import tiny_released_gan
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import vivid_gan


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


def test_validation_is_the_same_every_time():
    gan = tiny_gan(mode_seeking_weight=1.0)
    gan.compile()
    stream = tf.data.Dataset.from_tensors(embeddings_batch())
    first = gan.evaluate(stream, verbose=0, return_dict=True)
    # No text is repeated here, so there is nothing to seek.
    measured = {metric.name for metric in gan.metrics} - {"mode_seeking_loss"}
    assert set(first) == measured
    assert gan.evaluate(stream, verbose=0, return_dict=True) == first


def _adam():
    return keras.optimizers.Adam(2e-4, beta_1=0.5)


def _sgd():
    return keras.optimizers.SGD(0.1)


def _modulated_gan(**options):
    """The recipe without `MinibatchDeviation`, which is each device's own."""
    return keras_t2i.TextToImageGAN(
        tiny_modulated_generator(),
        tiny_discriminator(),
        tiny_text_encoder(),
        relativistic=True,
        translation=0.125,
        cutout=0.3125,
        **options,
    )


# Adam has a state, and SGD shows how large gradients are.
@pytest.mark.parametrize(
    ("make_gan", "optimizer"),
    [
        (_modulated_gan, _sgd),
        pytest.param(tiny_gan, _adam, marks=pytest.mark.large),
        pytest.param(tiny_gan, _sgd, marks=pytest.mark.large),
        pytest.param(tiny_released_gan, _sgd, marks=pytest.mark.large),
    ],
)
def test_two_replicas_take_the_steps_of_one_device(
    two_replicas, make_gan, optimizer, tmp_path
):
    stream = tf.data.Dataset.from_tensors(embeddings_batch(8)).repeat(3)

    def train():
        gan = make_gan(
            **VARIANTS["gan_int_cls"],
            matching_schedule=StagedMatching(start_step=0, rise_steps=2),
            # Little of it, as untrained images are nearly all alike.
            mode_seeking_weight=0.001,
            image_noise=0.5,
            image_noise_half_life=2,
        )
        gan.compile(optimizer(), optimizer())
        gan.set_weights(weights)
        history = gan.fit(stream, verbose=0).history
        return gan, history

    weights = make_gan(
        matching_schedule=StagedMatching(start_step=0)
    ).get_weights()
    gan, history = train()
    with two_replicas.scope():
        mirrored, mirrored_history = train()
    assert set(history) == set(mirrored_history)
    for name, values in history.items():
        assert mirrored_history[name] == pytest.approx(
            values, rel=1e-6, abs=1e-5
        )
    moved = 0.0
    for weight, value, start in zip(
        gan.weights, mirrored.get_weights(), weights
    ):
        np.testing.assert_allclose(weight, value, atol=1e-5)
        moved = max(moved, np.abs(weight - start).max())
    assert moved > 1e-3
    # A training on two devices goes on from its file on two devices.
    mirrored.save(tmp_path / "gan.keras")
    with two_replicas.scope():
        loaded = keras.saving.load_model(tmp_path / "gan.keras")
    for value, other in zip(_state(loaded), _state(mirrored), strict=True):
        np.testing.assert_array_equal(value, other)


def _state(gan):
    """All that a training goes on from."""
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    variables = [*gan.weights]
    for optimizer in optimizers:
        variables += optimizer.variables
    return [np.array(variable) for variable in variables]


def test_several_steps_at_once_need_one_device(two_replicas):
    with two_replicas.scope():
        gan = tiny_gan()
    with pytest.raises(
        ValueError, match="`steps_per_execution` must be 1.*Received: 2 on 2 d"
    ):
        gan.compile(steps_per_execution=2)
    gan.compile()


def _trained_with(**options):
    keras.utils.set_random_seed(0)
    gan = tiny_gan()
    gan.compile(_sgd(), _sgd(), **options)
    stream = tf.data.Dataset.from_tensors(embeddings_batch(4)).repeat(4)
    history = gan.fit(stream, verbose=0).history
    return gan.get_weights(), history


@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        # For Adam it is shown above.
        pytest.param({"steps_per_execution": 2}, marks=pytest.mark.large),
    ],
)
def test_each_way_to_execute_takes_the_same_steps(options):
    weights, history = _trained_with(jit_compile=False)
    other_weights, other_history = _trained_with(**options)
    for name, values in history.items():
        assert other_history[name] == pytest.approx(values, abs=1e-5)
    for weight, other in zip(weights, other_weights):
        np.testing.assert_allclose(weight, other, atol=1e-5)


@pytest.mark.large
def test_compiled_by_xla():
    # It makes other numbers from the same seeds, and so other images; what
    # is scored without them is the same in the first step.
    batch = embeddings_batch(4)
    weights = tiny_gan().get_weights()
    logs = []
    for jit_compile in (False, True):
        gan = tiny_gan(mode_seeking_weight=0.001)
        gan.set_weights(weights)
        gan.compile(_sgd(), _sgd(), jit_compile=jit_compile)
        logs.append(gan.train_on_batch(batch, return_dict=True))
    plain, compiled = logs
    # The same step again, as compiling takes the most time.
    gan.set_weights(weights)
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        optimizer.iterations.assign(0)
    gan.set_steps_trained(0)
    gan.reset_metrics()
    assert gan.train_on_batch(batch, return_dict=True) == compiled
    for name in ("real_accuracy", "mismatched_accuracy"):
        assert float(compiled[name]) == float(plain[name])
    for name in ("discriminator_loss", "generator_loss"):
        assert float(compiled[name]) == pytest.approx(float(plain[name]), 0.1)
    # The kernels have moved; the text encoder, which comes last, has not.
    assert not np.array_equal(gan.get_weights()[0], weights[0])


def test_batches_tokenized_for_another_encoder_are_refused(data_of_arrays):
    """Ids of words and of characters look alike."""
    words = tiny_text_encoder(vocabulary=("red", "rose"))
    reads_words = keras_t2i.TextToImageGAN(
        tiny_generator(), tiny_discriminator(), words
    )
    reads_words.compile()
    with pytest.raises(
        ValueError,
        match="of a vocabulary of 2 words, 'red' first. Received: "
        "a data set of characters. Make it with tokenize=text_enc",
    ):
        reads_words.fit(data_of_arrays(), verbose=0)
    by_words = data_of_arrays(tokenize=words.tokenize)
    reads_words.fit(by_words, verbose=0)
    gan = tiny_gan()
    gan.compile()
    gan.fit(data_of_arrays(tokenize=gan.text_encoder.tokenize), verbose=0)
    with pytest.raises(ValueError, match="Received: a data set of a vocab"):
        gan.evaluate(by_words, verbose=0)
    # What other functions make cannot be known.
    gan.fit(data_of_arrays(tokenize=lambda t: tokenize(t)), verbose=0)


@pytest.fixture
def data_of_arrays(eagerly):
    images = np.zeros((4, 32, 32, 3), "uint8")
    captions = [["a red rose"], ["a tulip"], ["a blue iris"], ["red"]]

    def make(**options):
        return from_arrays(images, captions, batch_size=4, **options)

    return make


# The last batch has a device with fewer rows, and may have one without.
@pytest.mark.parametrize(("num_rows", "batch_size"), [(5, 32), (7, 4)])
def test_predictions_of_two_devices_are_those_of_one(
    two_replicas, num_rows, batch_size
):
    texts = embeddings_batch(num_rows)["text_embeddings"]
    gan = vivid_gan()
    with two_replicas.scope():
        mirrored = tiny_gan()
        mirrored.set_weights(gan.get_weights())
    one, two = (
        model.predict({"text_embeddings": texts}, batch_size, verbose=0)
        for model in (gan, mirrored)
    )
    np.testing.assert_allclose(two, one, atol=1e-4)
    # The noise of a row is that of its place in the batch.
    assert np.abs(one[0] - one[1]).max() > 0.1


def test_evaluation_on_two_devices_counts_rows(two_replicas):
    stream = tf.data.Dataset.from_tensors(embeddings_batch(5))
    gan = tiny_gan(mode_seeking_weight=1.0, interpolate=False)
    gan.compile()
    with two_replicas.scope():
        mirrored = tiny_gan(mode_seeking_weight=1.0, interpolate=False)
        mirrored.compile()
        mirrored.set_weights(gan.get_weights())
    one, two = (
        model.evaluate(stream, verbose=0, return_dict=True)
        for model in (gan, mirrored)
    )
    # Each caption counts alike, where one device has three and one has two.
    for name in ("real", "mismatched", "generated"):
        accuracy = f"{name}_accuracy"
        assert two[accuracy] == pytest.approx(one[accuracy])
        assert round(5 * one[accuracy], 3) == round(5 * one[accuracy])
