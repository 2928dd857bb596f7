import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import StyleInversion
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_released_gan
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import token_ids_batch
from tests.tiny_models import vivid_gan

POLICIES = ["mixed_bfloat16", "mixed_float16"]


@pytest.fixture(params=POLICIES)
def policy(request):
    keras.mixed_precision.set_dtype_policy(request.param)
    return request.param


def _assert_precision(gan, policy):
    for network in (gan.generator, gan.discriminator, gan.text_encoder):
        assert network.dtype_policy.name == policy
    layer = gan.generator.get_layer("convolution_8")
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert gan.ema_generator.dtype_policy.name == "float32"
    assert gan.ema_generator.get_layer("convolution_8").dtype == "float32"
    assert {weight.dtype for weight in gan.weights} == {"float32"}
    scaled = keras.optimizers.LossScaleOptimizer
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        assert isinstance(optimizer, scaled) == (policy == "mixed_float16")
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        assert isinstance(inner, keras.optimizers.Adam)


def _assert_steps_move_the_weights(gan, batch):
    before = {id(weight): np.array(weight) for weight in gan.weights}
    # Loss scales that are too high for a network are halved until it can
    # take its first step; from 2 ** 15 that needs some steps without one, and
    # more on machines that compute in half precision by other instructions.
    epochs = 12 if gan.generator.dtype_policy.name == "mixed_float16" else 1
    history = gan.fit(batch, epochs=epochs, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    for weight in gan.weights:
        assert np.isfinite(weight).all()
    for network in (gan.generator, gan.discriminator):
        for weight in network.trainable_variables:
            # Batch norm takes a constant shift out again.
            if weight.path != "text_projection/bias":
                assert not np.array_equal(weight, before[id(weight)])


@pytest.mark.parametrize(
    "make_gan",
    [tiny_gan, pytest.param(tiny_released_gan, marks=pytest.mark.large)],
)
def test_training_saving_and_training_on(make_gan, policy, tmp_path):
    gan = make_gan()
    # Tracing takes most of the time: once, where losses are scaled, is enough.
    eagerly = policy == "mixed_bfloat16" or make_gan is tiny_released_gan
    gan.compile(run_eagerly=eagerly)
    _assert_precision(gan, policy)
    batch = embeddings_batch()
    _assert_steps_move_the_weights(gan, batch)
    gan.save(tmp_path / "gan.keras")

    # Also where the policy is not that of the process.
    keras.mixed_precision.set_dtype_policy("float32")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    _assert_precision(copy, policy)
    np.testing.assert_array_equal(copy.generate("a"), gan.generate("a"))
    expected = gan.fit(batch, batch_size=4, shuffle=False, verbose=0).history
    history = copy.fit(batch, batch_size=4, shuffle=False, verbose=0).history
    assert history == expected


def test_images_do_not_depend_on_the_policy_of_the_process(policy, tmp_path):
    gan = vivid_gan()
    captions = ["a red flower", "a rose", "an iris"]
    images = gan.generate(captions)
    assert images.std() > 20
    gan.save(tmp_path / "gan.keras")
    keras.mixed_precision.set_dtype_policy("float32")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(copy.generate(captions), images)
    # Noise of a few digits would be that of half precision.
    noise = np.random.default_rng(0).normal(size=(3, gan.noise_dim))
    text = gan.text_encoder.predict(
        gan.text_encoder.tokenize(captions), verbose=0
    )
    inputs = {"noise": np.float32(noise), "text_embeddings": np.float32(text)}
    np.testing.assert_array_equal(gan(inputs), gan.ema_generator(inputs))


def test_what_is_loaded_and_compiled_again_has_its_precision(policy, tmp_path):
    gan = tiny_gan()
    for model in (
        tiny_joint_embedding(),
        StyleInversion(
            gan.ema_generator, gan.text_encoder, tiny_style_encoder()
        ),
    ):
        model.compile()
        model.save(tmp_path / "model.keras")
        keras.mixed_precision.set_dtype_policy("float32")
        copy = keras.saving.load_model(tmp_path / "model.keras")
        copy.compile()
        keras.mixed_precision.set_dtype_policy(policy)
        assert copy.dtype_policy.name == policy
        assert type(copy.optimizer) is type(model.optimizer)


def test_logits_and_images_are_float32(policy):
    gan = tiny_gan()
    batch = {
        name: tf.constant(value) for name, value in embeddings_batch().items()
    }
    del batch["mismatched_text_embeddings"]
    assert gan.discriminator(batch).dtype == tf.float32
    assert gan(batch).dtype == tf.float32


def test_end_to_end_step_stays_finite(policy):
    gan = tiny_gan()
    gan.compile()
    batch = {
        name: tf.constant(value) for name, value in token_ids_batch().items()
    }
    before = gan.text_encoder.get_weights()
    results = gan.train_step(batch)
    assert all(np.isfinite(value) for value in results.values())
    after = gan.text_encoder.get_weights()
    assert all(np.isfinite(value).all() for value in after)
    assert any(not np.array_equal(a, b) for a, b in zip(before, after))


def test_half_precision_takes_about_the_same_step(policy):
    half = tiny_gan()
    keras.mixed_precision.set_dtype_policy("float32")
    full = tiny_gan()
    full.set_weights(half.get_weights())
    batch = {
        name: tf.constant(value) for name, value in embeddings_batch().items()
    }
    sgd = keras.optimizers.SGD
    if policy == "mixed_float16":
        half.compile(
            keras.optimizers.LossScaleOptimizer(sgd(0.1), initial_scale=128),
            keras.optimizers.LossScaleOptimizer(sgd(0.1), initial_scale=256),
        )
        assert isinstance(half.generator_optimizer.inner_optimizer, sgd)
    else:
        half.compile(sgd(0.1), sgd(0.1))
    full.compile(sgd(0.1), sgd(0.1))
    start = full.get_weights()
    results, expected = half.train_step(batch), full.train_step(batch)
    for name in ("discriminator_loss", "generator_loss"):
        assert float(results[name]) == pytest.approx(
            float(expected[name]), rel=0.05
        )
    # A loss scale that is not taken out again would show in the length.
    for network in ("generator", "discriminator"):
        step, expected_step = (
            _step(gan, getattr(gan, network), start) for gan in (half, full)
        )
        length = np.linalg.norm(expected_step)
        assert np.linalg.norm(step) == pytest.approx(length, rel=0.5)
        cosine = step @ expected_step / np.linalg.norm(step) / length
        assert cosine > 0.7


def _step(gan, network, start):
    """How far the network's weights have moved, as one vector."""
    trained = {id(weight) for weight in network.trainable_variables}
    return np.concatenate(
        [
            (np.array(weight) - value).ravel()
            for weight, value in zip(gan.weights, start)
            if id(weight) in trained
        ]
    )
