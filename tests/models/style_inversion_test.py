import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import StyleEncoder
from keras_t2i import StyleInversion
from keras_t2i.models.noise import StepNoise
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import random_images
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import token_ids_batch
from tests.tiny_models import vivid_gan
from tests.tiny_models import weights_of

NUM_ROWS = 6
LEARNING_RATE = 0.5


def _inversion(**options):
    keras.utils.set_random_seed(0)
    gan = vivid_gan()
    return StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder(), **options
    )


def _sgd_inversion(**options):
    inversion = _inversion(**options)
    inversion.compile(keras.optimizers.SGD(LEARNING_RATE))
    return inversion


def _texts(num_rows=NUM_ROWS, seed=0):
    batch = embeddings_batch(num_rows, seed)
    return {"text_embeddings": tf.constant(batch["text_embeddings"])}


def _stream(first_step, num_steps=2, num_rows=4):
    """Other texts every step."""
    batches = [
        _texts(num_rows, seed=first_step + step) for step in range(num_steps)
    ]
    return tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            "text_embeddings": tf.TensorSpec((num_rows, EMBEDDING_DIM))
        },
    ).apply(tf.data.experimental.assert_cardinality(num_steps))


def _noise(seed, step, dim=NOISE_DIM, num_rows=NUM_ROWS):
    return tf.random.stateless_normal(
        [num_rows, dim], [seed, step], alg="philox"
    )


def _logs(results):
    return {name: float(value) for name, value in results.items()}


# === A step ===


def test_a_step_by_hand():
    inversion, reference = (_sgd_inversion(seed=3) for _ in range(2))
    reference.set_weights(inversion.get_weights())
    for step in range(2):
        logs = _logs(inversion.train_step(_texts(seed=step)))
        noise = _noise(3, step)
        pictures = reference.generator(
            {"noise": noise, **_texts(seed=step)}, training=False
        )
        encoder = reference.style_encoder
        with tf.GradientTape() as tape:
            found = encoder(pictures, training=True)
            loss = tf.reduce_mean((noise - found) ** 2)
        variables = encoder.trainable_variables
        for variable, gradient in zip(
            variables, tape.gradient(loss, variables)
        ):
            variable.assign_sub(LEARNING_RATE * gradient)
        assert logs["loss"] == pytest.approx(float(loss), rel=1e-4)
        assert logs["r_squared"] == pytest.approx(1 - float(loss), abs=1e-4)
        inversion.reset_metrics()
    for weight, expected in zip(inversion.weights, reference.get_weights()):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-5)


def test_a_step_with_reconstruction_by_hand():
    inversion, reference = (
        _sgd_inversion(seed=3, reconstruction_weight=0.75) for _ in range(2)
    )
    reference.set_weights(inversion.get_weights())
    text, images = _texts(), tf.constant(random_images(NUM_ROWS))
    logs = _logs(inversion.train_step({**text, "images": images}))
    noise = _noise(3, 0)
    generator, encoder = reference.generator, reference.style_encoder
    pictures = generator({"noise": noise, **text}, training=False)
    with tf.GradientTape() as tape:
        both = encoder(tf.concat([pictures, images], 0), training=True)
        loss = tf.reduce_mean((noise - both[:NUM_ROWS]) ** 2)
        again = generator({"noise": both[NUM_ROWS:], **text}, training=False)
        error = tf.reduce_mean((images - again) ** 2)
        mean, variance = tf.nn.moments(both[NUM_ROWS:], axes=[0])
        unlike_noise = tf.reduce_mean(mean**2 + (variance - 1.0) ** 2)
        total = loss + 0.75 * (error + unlike_noise)
    variables = encoder.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(total, variables)):
        variable.assign_sub(LEARNING_RATE * gradient)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-4)
    assert logs["reconstruction_error"] == pytest.approx(float(error), rel=1e-4)
    for weight, expected in zip(inversion.weights, reference.get_weights()):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-5)


def test_reconstruction_is_evaluated():
    inversion = _sgd_inversion(reconstruction_weight=0.75)
    text, images = _texts(), tf.constant(random_images(NUM_ROWS))
    logs = _logs(inversion.test_step({**text, "images": images}))
    again = inversion.generator({"noise": inversion(images), **text})
    assert logs["reconstruction_error"] == pytest.approx(
        float(tf.reduce_mean((images - again) ** 2)), rel=1e-4
    )


def test_reconstruction_needs_images():
    inversion = _sgd_inversion(reconstruction_weight=1.0)
    with pytest.raises(
        ValueError, match="must hold `images`.*Received: text_embeddings"
    ):
        inversion.train_step(_texts())


def test_reconstruction_takes_images_of_any_float():
    inversion = _inversion(reconstruction_weight=1.0)
    inversion.compile(run_eagerly=True)
    images = random_images(NUM_ROWS)
    expected, found = (
        inversion.evaluate(
            tf.data.Dataset.from_tensors({**_texts(), "images": rows}),
            verbose=0,
        )
        for rows in (images, images.astype("float64"))
    )
    assert found == pytest.approx(expected)


def test_reconstruction_needs_images_of_the_size_of_the_generator():
    batch = {**_texts(), "images": np.zeros((NUM_ROWS, 64, 64, 3), "float32")}
    stream = tf.data.Dataset.from_tensors(batch)
    inversion = _inversion(reconstruction_weight=1.0)
    inversion.compile(run_eagerly=True)
    with pytest.raises(ValueError, match="those of the model, .*32, 32, 3"):
        inversion.fit(stream, verbose=0)
    # Without, they are not read.
    inversion = _inversion()
    inversion.compile(run_eagerly=True)
    inversion.evaluate(stream, verbose=0)


def test_only_the_style_encoder_is_trained():
    inversion = _sgd_inversion(reconstruction_weight=1.0)
    batch = token_ids_batch(NUM_ROWS)
    frozen = [
        weights_of(network)
        for network in (inversion.generator, inversion.text_encoder)
    ]
    before = weights_of(inversion.style_encoder)
    inversion.train_step(
        {
            "token_ids": tf.constant(batch["token_ids"]),
            "images": tf.constant(random_images(NUM_ROWS)),
        }
    )
    for network, weights in zip(
        (inversion.generator, inversion.text_encoder), frozen
    ):
        for path, value in weights_of(network).items():
            # Batch norm's statistics too.
            np.testing.assert_array_equal(value, weights[path])
    for path, value in weights_of(inversion.style_encoder).items():
        assert not np.array_equal(value, before[path]), path


def test_characters_are_embedded():
    inversion, other = _sgd_inversion(), _sgd_inversion()
    other.set_weights(inversion.get_weights())
    token_ids = tf.constant(token_ids_batch(NUM_ROWS)["token_ids"])
    embeddings = inversion.text_encoder(token_ids)
    logs = _logs(inversion.train_step({"token_ids": token_ids}))
    assert _logs(other.train_step({"text_embeddings": embeddings})) == (
        pytest.approx(logs, rel=1e-4)
    )


def test_it_learns_to_find_the_noise():
    inversion = _inversion()
    inversion.compile(keras.optimizers.Adam(1e-2))
    stream = tf.data.Dataset.from_tensors(_texts(32)).repeat(60)
    history = inversion.fit(stream, epochs=2, verbose=0).history
    # Saying 0 would be 0.
    assert history["r_squared"][-1] > 0.3
    assert history["loss"][-1] == pytest.approx(
        1 - history["r_squared"][-1], abs=1e-5
    )
    captions = [f"{number} petals" for number in range(200)]
    measured = inversion.noise_r_squared(captions, seed=1000)
    assert measured.r_squared > 0.3


def test_evaluation_changes_nothing_and_adds_no_noise():
    inversion = _sgd_inversion(image_noise=0.5, color_jitter=0.5)
    inversion.train_step(_texts())
    inversion.reset_metrics()
    before = inversion.get_weights()
    stream = tf.data.Dataset.from_tensors(_texts())
    results = inversion.evaluate(stream, verbose=0, return_dict=True)
    noise = tf.stack([_noise(row, 0, num_rows=1)[0] for row in range(NUM_ROWS)])
    pictures = inversion.generator({"noise": noise, **_texts()})
    found = inversion.style_encoder(pictures)
    expected = float(np.mean((noise - found) ** 2))
    assert results["loss"] == pytest.approx(expected, rel=1e-4)
    assert results["r_squared"] == pytest.approx(1 - expected, abs=1e-4)
    for weight, value in zip(inversion.weights, before):
        np.testing.assert_array_equal(weight, value)


# === What is done to the pictures ===


def _augmented(inversion, images, step=0):
    return inversion._augmented(images, StepNoise(inversion.seed, step))


def test_without_augmentation_pictures_stay():
    inversion = _sgd_inversion()
    pictures = tf.constant(np.linspace(-1, 1, 48), tf.float32)
    pictures = tf.reshape(pictures, (1, 4, 4, 3))
    np.testing.assert_array_equal(_augmented(inversion, pictures), pictures)


def test_image_noise_by_hand():
    inversion = _sgd_inversion(image_noise=0.25, seed=7)
    pictures = tf.fill((500, 8, 8, 3), 0.5)
    drawn = np.array(_noise(9, 0, 1 + 8 * 8 * 3, num_rows=500))
    noise = np.reshape(drawn[:, :1] * drawn[:, 1:], (500, 8, 8, 3))
    noisy = np.array(_augmented(inversion, pictures))
    np.testing.assert_allclose(noisy, 0.5 + 0.25 * noise, atol=1e-6)
    assert np.std(noisy) == pytest.approx(0.25, rel=0.05)
    # Some are all but clean, others more than twice as noisy as the mean.
    levels = noisy.std(axis=(1, 2, 3))
    assert levels.min() < 0.01 and levels.max() > 0.5


def test_color_jitter_by_hand():
    inversion = _sgd_inversion(color_jitter=0.5, seed=7)
    pictures = tf.fill((5, 4, 4, 3), 0.5)
    jitter = 0.5 * np.reshape(_noise(8, 0, 6, num_rows=5), (5, 2, 3))
    expected = (1 + jitter[:, 0]) * 0.5 + jitter[:, 1]
    jittered = np.array(_augmented(inversion, pictures))
    # One color a picture, and no two pictures alike.
    assert np.ptp(jittered, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(
        jittered[:, 0, 0], np.clip(expected, -1, 1), rtol=1e-5
    )
    assert len(np.unique(jittered[:, 0, 0, 0])) > 1


def test_each_step_has_other_noise():
    inversion = _sgd_inversion(image_noise=0.25)
    pictures = tf.zeros((2, 32, 32, 3))
    first = np.array(_augmented(inversion, pictures))
    second = np.array(_augmented(inversion, pictures, step=1))
    assert np.abs(second - first).max() > 0.1


# === Training, saved and gone on with ===


def test_history_has_the_metrics_and_no_other():
    inversion = _inversion()
    inversion.compile()
    history = inversion.fit(_stream(0), epochs=2, verbose=0).history
    assert set(history) == {"loss", "r_squared"}
    assert int(inversion.optimizer.iterations) == 4
    assert float(inversion.optimizer.learning_rate) == pytest.approx(1e-3)


def test_a_loaded_inversion_goes_on_with_the_identical_history(tmp_path):
    path = tmp_path / "inversion.keras"
    inversion = _inversion(image_noise=0.1, color_jitter=0.2, seed=5)
    inversion.compile(keras.optimizers.Adam(2e-3), jit_compile=False)
    inversion.fit(_stream(0), verbose=0)
    inversion.save(path)
    copy = keras.saving.load_model(path)
    assert (copy.seed, copy.image_noise, copy.color_jitter) == (5, 0.1, 0.2)
    assert int(copy.optimizer.iterations) == 2
    assert float(copy.optimizer.learning_rate) == pytest.approx(2e-3)
    assert copy.jit_compile is False
    assert copy.get_metrics_result() == inversion.get_metrics_result()
    expected = inversion.fit(_stream(2), verbose=0).history
    assert copy.fit(_stream(2), verbose=0).history == expected
    assert len(copy.weights) == len(inversion.weights)
    for value, weight in zip(copy.get_weights(), inversion.get_weights()):
        np.testing.assert_array_equal(value, weight)


def test_arguments_come_back():
    options = {
        "image_noise": 0.25,
        "color_jitter": 0.125,
        "reconstruction_weight": 0.5,
        "seed": 11,
    }
    copy = StyleInversion.from_config(_inversion(**options).get_config())
    assert {name: getattr(copy, name) for name in options} == options


def test_an_uncompiled_inversion_comes_back_uncompiled(tmp_path):
    inversion = _inversion()
    inversion.save(tmp_path / "inversion.keras")
    copy = keras.saving.load_model(tmp_path / "inversion.keras")
    assert not copy.compiled
    images = np.zeros((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(
        copy.predict(images, verbose=0), inversion.style_encoder(images)
    )


def test_compile_config_round_trip():
    inversion = _inversion()
    assert inversion.get_compile_config() is None
    inversion.compile("sgd", run_eagerly=True)
    config = inversion.get_compile_config()
    copy = _inversion()
    copy.compile_from_config(config)
    assert copy.get_compile_config() == config
    assert isinstance(copy.optimizer, keras.optimizers.SGD)
    assert copy.run_eagerly


def test_two_replicas_measure_what_one_device_does(two_replicas):
    start = _inversion()
    with two_replicas.scope():
        mirrored = _inversion()
    for inversion in (start, mirrored):
        inversion.compile()
    results, expected = (
        inversion.evaluate(
            tf.data.Dataset.from_tensors(_texts(8)), verbose=0, return_dict=True
        )
        for inversion in (mirrored, start)
    )
    assert results == pytest.approx(expected, rel=1e-4)
    # One more than the batches of 64 in which texts were embedded.
    captions = [f"flower {number}" for number in range(65)]
    recovered = mirrored.noise_r_squared(captions).r_squared
    assert recovered == pytest.approx(
        start.noise_r_squared(captions).r_squared, rel=1e-3
    )


@pytest.mark.parametrize(
    "reconstruction_weight", [pytest.param(0.0, marks=pytest.mark.large), 1.0]
)
def test_two_replicas_take_the_steps_of_one_device(
    two_replicas, reconstruction_weight
):
    batch = {**_texts(8), "images": random_images(8)}
    stream = tf.data.Dataset.from_tensors(batch).repeat(3)

    def train():
        inversion = _inversion(
            image_noise=0.1,
            color_jitter=0.1,
            reconstruction_weight=reconstruction_weight,
        )
        inversion.compile(keras.optimizers.SGD(1e-3))
        inversion.set_weights(weights)
        history = inversion.fit(stream, verbose=0).history
        return inversion, history

    start = _inversion(reconstruction_weight=reconstruction_weight)
    # Styles are unlike noise, which must cost as much on two devices.
    kernel = start.style_encoder.get_layer("noise").kernel
    kernel.assign(2.0 * kernel)
    weights = start.get_weights()
    inversion, history = train()
    with two_replicas.scope():
        mirrored, mirrored_history = train()
    assert set(history) == set(mirrored_history)
    for name, values in history.items():
        assert mirrored_history[name] == pytest.approx(
            values, rel=1e-5, abs=1e-5
        )
    moved = 0.0
    for weight, value, start in zip(
        inversion.weights, mirrored.get_weights(), weights
    ):
        np.testing.assert_allclose(weight, value, atol=1e-5)
        moved = max(moved, np.abs(weight - start).max())
    assert moved > 1e-3


@pytest.mark.parametrize(
    "reconstruction_weight", [pytest.param(0.0, marks=pytest.mark.large), 5.0]
)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy, reconstruction_weight):
    keras.mixed_precision.set_dtype_policy(policy)
    inversion = StyleInversion(
        tiny_generator(dtype="float32"),
        tiny_text_encoder(),
        tiny_style_encoder(),
        reconstruction_weight=reconstruction_weight,
    )
    inversion.compile()
    scaled = keras.optimizers.LossScaleOptimizer
    is_scaled = isinstance(inversion.optimizer, scaled)
    assert is_scaled == (policy == "mixed_float16")
    before = inversion.style_encoder.get_weights()
    batch = {name: token_ids_batch()[name] for name in ("token_ids", "images")}
    history = inversion.fit(batch, epochs=15, verbose=0).history
    assert ("reconstruction_error" in history) == bool(reconstruction_weight)
    for values in history.values():
        assert np.isfinite(values).all()
    for value, weight in zip(before, inversion.style_encoder.weights):
        assert np.isfinite(weight).all()
        assert not np.array_equal(value, weight), weight.path


# === How much of the noise is found ===


def test_r_squared_by_hand():
    inversion = _inversion()
    captions = [f"{number} petals" for number in range(70)]
    measured = inversion.noise_r_squared(captions, seed=30)
    noise = np.stack(
        [_noise(30 + row, 0, num_rows=1)[0] for row in range(70)]
    ).astype("float64")
    gan = vivid_gan()
    gan.ema_generator.set_weights(inversion.generator.get_weights())
    gan.text_encoder.set_weights(inversion.text_encoder.get_weights())
    # S sees what `generate` draws.
    pictures = gan.generate(captions, seed=30) / 127.5 - 1.0
    found = np.array(inversion.style_encoder(pictures), "float64")
    residual = ((noise - found) ** 2).sum(axis=0)
    total = ((noise - noise.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(
        measured.r_squared_per_dimension, 1 - residual / total, rtol=1e-3
    )
    assert measured.r_squared == pytest.approx(
        np.mean(1 - residual / total), rel=1e-3
    )


def test_ignored_dimensions():
    inversion = _inversion()
    captions = ["a rose", "an iris", "a tulip"]
    measured = inversion.noise_r_squared(captions)
    assert measured.ignored_dimensions == []
    assert measured.effect_per_dimension.shape == (NOISE_DIM,)
    assert measured.effect_per_dimension.min() > 2
    # Noise comes before the text.
    kernel = inversion.generator.get_layer("convolution_4").kernel
    values = np.array(kernel)
    values[..., [2, 5]] = 0.0
    kernel.assign(values)
    measured = inversion.noise_r_squared(captions)
    assert measured.ignored_dimensions == [2, 5]
    np.testing.assert_array_equal(measured.effect_per_dimension[[2, 5]], 0.0)


def test_one_caption_has_no_variance():
    with pytest.raises(ValueError, match="at least two.*Received: 1"):
        _inversion().noise_r_squared(["a rose"])
    with pytest.raises(ValueError, match=r"two noises.*Received: \[3, 3\]"):
        _inversion().noise_r_squared(["a rose", "a lily"], seed=[3, 3])
    with pytest.raises(ValueError, match="some text. Received: ''"):
        _inversion().noise_r_squared(["a rose", ""])


# === Refused ===


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (StyleEncoder(64, width=2, noise_dim=8), "`image_size`.*32 and 64"),
        (StyleEncoder(32, width=2, noise_dim=9), "`noise_dim`.*8 and 9"),
    ],
)
def test_networks_that_do_not_fit(encoder, message):
    with pytest.raises(ValueError, match=message):
        StyleInversion(tiny_generator(), tiny_text_encoder(), encoder)


def test_text_encoder_that_does_not_fit():
    inputs = keras.Input((201,), dtype="int32")
    x = keras.layers.Embedding(71, 12)(inputs)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    with pytest.raises(ValueError, match="size 12.*text_embedding_dim=16"):
        StyleInversion(tiny_generator(), encoder, tiny_style_encoder())


@pytest.mark.parametrize(
    "name", ["image_noise", "color_jitter", "reconstruction_weight"]
)
def test_noise_can_not_be_negative(name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: -0.1"):
        _inversion(**{name: -0.1})


def test_the_loss_is_given():
    with pytest.raises(ValueError, match="no `loss`.*Received: loss='mae'"):
        _inversion().compile("sgd", loss="mae")


def test_a_batch_must_hold_texts():
    inversion = _sgd_inversion()
    with pytest.raises(ValueError, match=r"`token_ids`.*Received: \['images'"):
        inversion.train_step({"images": tf.zeros((1, 32, 32, 3))})
