"""The whole recipe of `gan_int_cls_plus`, as small as it gets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import LinearDecay
from keras_t2i import ModulatedGenerator
from keras_t2i import Recipe
from keras_t2i import TextToImageGAN
from keras_t2i.export import export_saved_model
from keras_t2i.models.noise import noise_from_seeds
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_plus_gan
from tests.tiny_models import tiny_text_encoder

# precision_test.py trains smaller networks in both.
POLICIES = [
    pytest.param("mixed_bfloat16", marks=pytest.mark.large),
    "mixed_float16",
]


def _stream(first_step, num_steps=2, num_rows=4):
    """Another batch every step."""
    batches = [
        embeddings_batch(num_rows, seed=first_step + step)
        for step in range(num_steps)
    ]
    return tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            name: tf.TensorSpec(value.shape, value.dtype)
            for name, value in batches[0].items()
        },
    ).apply(tf.data.experimental.assert_cardinality(num_steps))


def _variables(gan):
    """All that a training resumes from."""
    return [
        np.array(variable)
        for variable in (
            *gan.weights,
            *gan.generator_optimizer.variables,
            *gan.discriminator_optimizer.variables,
        )
    ]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A GAN after two steps, its history and the file of that moment."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("saved") / "gan.keras"
    gan = tiny_plus_gan(seed=5)
    texts = np.random.default_rng(7).normal(2.0, 3.0, (50, EMBEDDING_DIM))
    gan.standardize_texts(texts.astype("float32"))
    # Tracing would take most of the time.
    gan.compile(run_eagerly=True)
    history = gan.fit(_stream(0), verbose=0).history
    gan.save(path)
    return gan, history, path


@pytest.fixture(scope="module")
def loaded(saved):
    """What the file gives back."""
    return keras.saving.load_model(saved[2])


def test_compile_takes_the_optimizers_of_the_preset(saved, loaded):
    for model in (saved[0], loaded):
        for name in ("generator_optimizer", "discriminator_optimizer"):
            optimizer = getattr(model, name)
            assert type(optimizer) is keras.optimizers.Adam
            assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.99)
            assert isinstance(optimizer._learning_rate, LinearDecay)
            assert float(optimizer.learning_rate) == pytest.approx(6e-4)


def test_the_preset_is_remembered(saved):
    gan = TextToImageGAN.from_config(saved[0].get_config())
    assert gan.recipe == Recipe.from_preset("gan_int_cls_plus")
    gan.compile()
    assert gan.generator_optimizer.beta_2 == 0.99
    # What is asked for is taken.
    gan.compile("sgd", keras.optimizers.Adam(1e-3))
    assert isinstance(gan.generator_optimizer, keras.optimizers.SGD)
    assert gan.discriminator_optimizer.beta_2 == 0.999


def test_history(saved):
    _, history, _ = saved
    assert set(history) == {
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "mismatched_accuracy",
        "generated_accuracy",
        "diversity",
        "mode_seeking_loss",
    }
    assert all(np.isfinite(values).all() for values in history.values())


def test_all_networks_standardize_texts(saved):
    gan, _, _ = saved
    networks = gan.generator, gan.ema_generator, *gan.discriminator.members
    texts = np.random.default_rng(7).normal(2.0, 3.0, (50, EMBEDDING_DIM))
    for network in networks:
        network = getattr(network, "head", network)
        layer = network.get_layer("text_standardization")
        np.testing.assert_allclose(layer.mean, texts.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(
            layer.deviation, texts.std(axis=0), rtol=1e-4
        )


def test_the_file_holds_no_imagenet_weights(saved):
    _, _, path = saved
    # Those of the frozen network alone take 13 MB.
    assert path.stat().st_size < 3_000_000


def test_a_loaded_gan_goes_on_bit_for_bit(saved, loaded):
    gan, _, _ = saved
    assert loaded.get_config() == gan.get_config()
    assert int(loaded.generator_optimizer.iterations) == 2
    before = _variables(loaded)
    for value, other in zip(before, _variables(gan)):
        np.testing.assert_array_equal(value, other)
    expected = gan.fit(_stream(2, 1), verbose=0).history
    assert loaded.fit(_stream(2, 1), verbose=0).history == expected
    moved = False
    for value, other, start in zip(_variables(loaded), _variables(gan), before):
        np.testing.assert_array_equal(value, other)
        moved |= not np.array_equal(value, start)
    assert moved


def test_evaluation_by_hand(saved):
    gan, _, path = saved
    batch = {k: tf.constant(v) for k, v in embeddings_batch(4, seed=9).items()}
    text = batch["text_embeddings"]
    # The first of four rows is interpolated, with the third.
    all_texts = tf.concat([(text[:1] + text[2:3]) / 2, text[1:]], axis=0)
    generated_images = gan.ema_generator(
        {
            "noise": noise_from_seeds(tf.range(4), NOISE_DIM),
            "text_embeddings": all_texts,
        }
    )

    def logits(images, text):
        return np.array(
            gan.discriminator({"images": images, "text_embeddings": text})
        )

    real = logits(batch["images"], text)
    wrong = logits(batch["images"], batch["mismatched_text_embeddings"])
    generated = logits(generated_images, all_texts)

    def loss(higher, lower):
        terms = np.log1p(np.exp(lower - higher))
        # The pixels' logit, and the mean of the four of the features.
        return terms[:, 0].mean() + terms[:, 1:].mean()

    stream = tf.data.Dataset.from_tensors(batch)
    results = gan.evaluate(stream, verbose=0, return_dict=True)
    assert results["discriminator_loss"] == pytest.approx(
        loss(real, generated) + loss(real, wrong), rel=1e-4
    )
    assert results["generator_loss"] == pytest.approx(
        loss(generated, real), rel=1e-4
    )
    real, wrong, generated = (
        rows[:, 0] + rows[:, 1:].mean(axis=1)
        for rows in (real, wrong, generated)
    )
    assert results["mismatched_accuracy"] == np.mean(wrong < real)
    assert results["generated_accuracy"] == np.mean(generated < real)
    assert gan.evaluate(stream, verbose=0, return_dict=True) == results


def test_an_export_holds_the_generator_alone(saved, tmp_path):
    gan, _, _ = saved
    folder = export_saved_model(gan, tmp_path / "flowers")
    variables = tf.train.list_variables(str(folder / "variables/variables"))
    sizes = sorted(
        int(np.prod(shape)) for name, shape in variables if "VALUE" in name
    )
    networks = gan.ema_generator, gan.text_encoder
    assert sizes == sorted(
        weight.value.shape.num_elements()
        for network in networks
        for weight in network.weights
    )
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert size < 5_000_000


@pytest.mark.parametrize("policy", POLICIES)
def test_half_precision_stays_finite(policy):
    keras.mixed_precision.set_dtype_policy(policy)
    gan = tiny_plus_gan()
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.0) for _ in range(2)]
    if policy == "mixed_float16":
        # One of which the first step does not overflow.
        optimizers = [
            keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64)
            for optimizer in optimizers
        ]
    gan.compile(*optimizers, run_eagerly=True)
    before = gan.get_weights()
    history = gan.fit(_stream(0, 1), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    trained = {
        id(weight)
        for network in (gan.generator, gan.discriminator)
        for weight in network.trainable_variables
    }
    for weight, value in zip(gan.weights, before):
        assert np.isfinite(weight).all()
        # What is added to all logits cancels where they are compared.
        if id(weight) in trained and not weight.path.endswith("logit/bias"):
            assert not np.array_equal(weight, value), weight.path
    assert {weight.dtype for weight in gan.weights} == {"float32"}
    for network in (gan.generator, *gan.discriminator.members):
        assert network.dtype_policy.name == policy


# Two discriminators are traced for two devices. `fit_test.py` shows the same of
# the generator alone, in all runs of the tests.
@pytest.mark.large
def test_two_replicas_take_the_step_of_one_device(two_replicas):
    def make():
        gan = tiny_plus_gan()
        gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        return gan

    gan = make()
    start = gan.get_weights()
    with two_replicas.scope():
        mirrored = make()
    mirrored.set_weights(start)
    stream = _stream(0, num_steps=1, num_rows=8)
    (batch,) = stream
    results = gan.train_step(batch)
    history = mirrored.fit(stream, verbose=0).history
    pixels, features = gan.discriminator.members
    _, other_features = mirrored.discriminator.members
    # The mean over devices is that over the rows.
    for weight, other in zip(features.weights, other_features.weights):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)
    # But the deviation within a batch is that of each device's rows, which
    # the pixels' logits and so the generator's loss depend on a little.
    assert history["discriminator_loss"][0] == pytest.approx(
        float(results["discriminator_loss"]), rel=0.02
    )
    assert history["diversity"][0] == pytest.approx(
        float(results["diversity"]), rel=1e-4
    )
    for network in (pixels, gan.generator):
        trained = {id(weight) for weight in network.trainable_variables}
        places = [i for i, w in enumerate(gan.weights) if id(w) in trained]
        step, other_step = (
            np.concatenate(
                [(np.array(m.weights[i]) - start[i]).ravel() for i in places]
            )
            for m in (gan, mirrored)
        )
        length = np.linalg.norm(step)
        assert length > 1e-4
        assert np.linalg.norm(step - other_step) < 0.2 * length


def test_the_preset_at_its_own_size():
    gan = TextToImageGAN.from_preset(
        "gan_int_cls_plus", text_encoder=tiny_text_encoder()
    )
    assert type(gan.generator) is ModulatedGenerator
    assert (gan.image_size, gan.generator.width) == (64, 32)
    assert gan.generator.get_config()["full_resolution"]
    pixels, features = gan.discriminator.members
    assert (pixels.width, features.width) == (32, 64)
    assert (pixels.penalty_weight, pixels.penalty_interval) == (1.0, 16)
    assert features.network == "efficientnet_lite0"
    assert features.trunk.inputs[0].shape[1:] == (24, 24, 32)
    assert gan.relativistic and gan.interpolate_in_place
    assert gan.matching_aware and gan.interpolate_texts
    assert not gan.scores_jointly
    assert (gan.translation, gan.cutout) == (1 / 8, 20 / 64)
    assert (gan.image_noise, gan.mode_seeking_weight) == (0.0, 1.0)


def test_the_preset_at_another_width_and_size():
    gan = TextToImageGAN.from_preset(
        "gan_int_cls_plus",
        image_size=32,
        width=8,
        text_encoder=tiny_text_encoder(),
    )
    assert gan.generator.output_shape == (None, 32, 32, 3)
    pixels, features = gan.discriminator.members
    assert (gan.generator.width, pixels.width) == (8, 8)
    # Of what it sees, the heads have nothing to do with the GAN's width.
    assert features.width == 64
