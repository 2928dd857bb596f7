import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import Discriminator
from keras_t2i import Generator
from keras_t2i import JointEmbedding
from keras_t2i import Recipe
from keras_t2i import StagedMatching
from keras_t2i import StyleInversion
from keras_t2i import TextToImageGAN
from keras_t2i.models.noise import noise_from_seeds
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import token_ids_batch

SHAPE = (4, IMAGE_SIZE, IMAGE_SIZE, 3)
OPTIONS = {
    "matching_aware": False,
    "interpolate": False,
    "mismatch_weight": 0.25,
    "interpolation_weight": 0.75,
    "interpolation_beta": 0.125,
    "mode_seeking_weight": 0.625,
    "mode_seeking_layouts": True,
    "image_noise": 0.375,
    "image_noise_half_life": 250,
    "scores_jointly": False,
    "relativistic": True,
    "interpolate_in_place": True,
    "translation": 0.25,
    "cutout": 0.5,
    "ema_decay": 0.5,
    "seed": 11,
    "recipe": Recipe.from_preset("gan_int_cls_plus"),
}


def test_arguments_come_back():
    gan = tiny_gan(**OPTIONS, name="mine")
    config = gan.get_config()
    copy = TextToImageGAN.from_config(config)
    assert copy.get_config() == config == gan.get_config()
    assert copy.name == "mine"
    for name, value in OPTIONS.items():
        # `interpolate` is a method too.
        name = {"interpolate": "interpolate_texts"}.get(name, name)
        assert getattr(copy, name) == value
    for name in ("generator", "discriminator", "text_encoder"):
        network, other = getattr(copy, name), getattr(gan, name)
        assert network.get_config() == other.get_config()


def test_a_config_can_be_read_twice():
    # Keras itself writes that of a plain Functional model, and empties it.
    inputs = keras.Input((201,), dtype="int32")
    outputs = keras.layers.Embedding(71, EMBEDDING_DIM)(inputs)
    outputs = keras.layers.GlobalMaxPooling1D()(outputs)
    encoder = keras.Model(inputs, outputs)
    gan = TextToImageGAN(tiny_generator(), tiny_discriminator(), encoder)
    config = gan.get_config()
    for _ in range(2):
        copy = TextToImageGAN.from_config(config)
        assert copy.count_params() == gan.count_params()


def test_a_registered_class_comes_back_from_its_name():
    config = keras.saving.serialize_keras_object(tiny_gan())
    assert config["registered_name"] == "keras_t2i>TextToImageGAN"
    copy = keras.saving.deserialize_keras_object(config)
    assert isinstance(copy, TextToImageGAN)


def test_defaults_are_those_of_gan_int_cls():
    gan = tiny_gan()
    assert gan.matching_aware and gan.interpolate_texts
    assert (gan.mismatch_weight, gan.interpolation_weight) == (0.5, 1.0)
    assert (gan.interpolation_beta, gan.ema_decay) == (0.5, 0.999)


def test_call_draws_with_the_averaged_weights():
    gan = tiny_gan()
    batch = embeddings_batch()
    text = tf.constant(batch["text_embeddings"])
    noise = noise_from_seeds(tf.range(4), NOISE_DIM)
    gan.ema_generator.get_layer("convolution_4").kernel.assign_add(
        tf.ones((4, 4, 8, NOISE_DIM + 4))
    )
    expected = gan.ema_generator({"noise": noise, "text_embeddings": text})
    # Without noise, that of the seeds 0, 1, ...
    pictures = gan({"text_embeddings": text})
    assert pictures.shape == SHAPE
    np.testing.assert_array_equal(pictures, expected)
    pictures = gan({"text_embeddings": text, "noise": noise})
    np.testing.assert_array_equal(pictures, expected)
    other = gan({"text_embeddings": text, "noise": -noise})
    assert np.abs(other - expected).max() > 1e-4
    # In training mode too: batch norm keeps its statistics.
    weights = gan.get_weights()
    pictures = gan({"text_embeddings": text}, training=True)
    np.testing.assert_array_equal(pictures, expected)
    for value, weight in zip(gan.get_weights(), weights):
        np.testing.assert_array_equal(value, weight)


def test_call_takes_character_ids():
    gan = tiny_gan()
    token_ids = tf.constant(token_ids_batch()["token_ids"])
    text = gan.text_encoder(token_ids)
    np.testing.assert_array_equal(
        gan({"token_ids": token_ids}), gan({"text_embeddings": text})
    )


def test_predict():
    gan = tiny_gan()
    batch = embeddings_batch()
    text = tf.constant(batch["text_embeddings"])
    expected = gan({"text_embeddings": text})
    pictures = gan.predict({"text_embeddings": text}, verbose=0)
    np.testing.assert_allclose(pictures, expected, atol=1e-6)
    # Batches as for training.
    stream = tf.data.Dataset.from_tensors(batch)
    np.testing.assert_allclose(
        gan.predict(stream, verbose=0), expected, atol=1e-6
    )


def test_a_text_is_needed():
    with pytest.raises(
        ValueError, match=r"`text_embeddings` or `token_ids`.*\['noise'\]"
    ):
        tiny_gan()({"noise": tf.zeros((4, NOISE_DIM))})


def test_summary_shows_a_built_model():
    lines = []
    tiny_gan().summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "unbuilt" not in text
    for name in ("generator", "discriminator", "(CharCNNRNN)"):
        assert name in text


def test_default_optimizers():
    gan = tiny_gan()
    gan.compile()
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    assert optimizers[0] is not optimizers[1]
    for optimizer in optimizers:
        assert isinstance(optimizer, keras.optimizers.Adam)
        assert optimizer.built
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)


def test_optimizers_by_name():
    gan = tiny_gan()
    gan.compile("sgd", discriminator_optimizer="rmsprop")
    assert isinstance(gan.generator_optimizer, keras.optimizers.SGD)
    assert isinstance(gan.discriminator_optimizer, keras.optimizers.RMSprop)
    gan.compile("sgd", "sgd")
    assert gan.generator_optimizer is not gan.discriminator_optimizer


def test_compile_refuses_what_it_would_not_use():
    gan = tiny_gan()
    with pytest.raises(
        ValueError, match="`generator_optimizer`.*Received: optimizer='adam'"
    ):
        gan.compile(optimizer="adam")
    with pytest.raises(ValueError, match="Received: loss='mse'"):
        gan.compile(loss="mse")
    with pytest.raises(TypeError, match="learning_rate"):
        gan.compile(learning_rate=1e-3)


def test_one_optimizer_can_not_serve_two_networks():
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="two optimizers.*Received: .*Adam"):
        tiny_gan().compile(optimizer, optimizer)


def test_compile_config_round_trip():
    gan = tiny_gan()
    assert gan.get_compile_config() is None
    gan.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.25),
        keras.optimizers.SGD(1e-2),
        run_eagerly=True,
        steps_per_execution=1,
    )
    config = gan.get_compile_config()
    copy = tiny_gan()
    copy.compile_from_config(config)
    assert copy.get_compile_config() == config
    assert copy.generator_optimizer.beta_1 == 0.25
    assert isinstance(copy.discriminator_optimizer, keras.optimizers.SGD)
    assert copy.run_eagerly


def test_networks_must_fit_each_other():
    encoder = tiny_text_encoder()
    with pytest.raises(ValueError, match="one `image_size`. Received: 32 and"):
        TextToImageGAN(
            tiny_generator(), _discriminator_of(64, EMBEDDING_DIM), encoder
        )
    with pytest.raises(
        ValueError, match="`generator` .*size 16. Received: text_embedding_dim"
    ):
        TextToImageGAN(_generator_of(8), tiny_discriminator(), encoder)
    with pytest.raises(
        ValueError, match="`discriminator` .*Received: text_embedding_dim=8"
    ):
        TextToImageGAN(tiny_generator(), _discriminator_of(32, 8), encoder)


class _Subclassed(keras.Model):
    """Has no shape of its output before it is called."""


def test_the_size_of_embeddings_must_be_known():
    message = "`text_encoder` must be a Functional .*Received: <_Subclassed"
    with pytest.raises(ValueError, match=message):
        TextToImageGAN(tiny_generator(), tiny_discriminator(), _Subclassed())
    with pytest.raises(ValueError, match=message):
        TextToImageGAN.from_preset("gan", text_encoder=_Subclassed())
    with pytest.raises(ValueError, match=message):
        JointEmbedding(_Subclassed(), tiny_joint_embedding().image_encoder)


def _generator_of(text_embedding_dim):
    config = tiny_generator().get_config()
    config["text_embedding_dim"] = text_embedding_dim
    return Generator.from_config(config)


def _discriminator_of(image_size, text_embedding_dim):
    config = tiny_discriminator().get_config()
    config["image_size"] = image_size
    config["text_embedding_dim"] = text_embedding_dim
    return Discriminator.from_config(config)


@pytest.mark.parametrize(
    "name",
    [
        "mismatch_weight",
        "interpolation_beta",
        "translation",
        "cutout",
        "ema_decay",
    ],
)
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_shares_outside_of_0_and_1(name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {value!r}"):
        tiny_gan(**{name: value})


@pytest.mark.parametrize("name", ["mode_seeking_weight", "image_noise"])
def test_negative_weights(name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: -0.1"):
        tiny_gan(**{name: -0.1})


@pytest.mark.parametrize(
    "name", ["generator", "discriminator", "text_encoder", "ema_decay"]
)
def test_arguments_are_fixed(name):
    gan = tiny_gan()
    value = getattr(gan, name)
    with pytest.raises(
        AttributeError, match=f"`{name}` cannot be set.*Received: .*Construct"
    ):
        setattr(gan, name, value)
    gan.recipe = Recipe.from_preset("gan")
    assert gan.get_config()["recipe"]["preset"] == "gan"
    with pytest.raises(ValueError, match="`recipe` must.*Received: 'gan_cls'"):
        gan.recipe = "gan_cls"
    assert gan.recipe == Recipe.from_preset("gan")


def test_a_style_encoder_is_fixed():
    gan = tiny_gan()
    inversion = StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    )
    with pytest.raises(AttributeError, match="`style_encoder` cannot be set"):
        inversion.style_encoder = tiny_style_encoder()


def test_a_config_of_earlier_code_interpolates_as_it_says():
    config = tiny_gan().get_config()
    assert config.pop("interpolate")
    gan = TextToImageGAN.from_config({**config, "interpolate": False})
    assert gan.interpolate_texts is False


def test_evaluate_returns_what_metrics_names_say():
    schedule = StagedMatching(start_step=0)
    gan = tiny_gan(mode_seeking_weight=1.0, matching_schedule=schedule)
    gan.compile(run_eagerly=True)
    batch = embeddings_batch()
    values = gan.evaluate(batch, batch_size=4, verbose=0)
    named = gan.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    assert len(gan.metrics_names) == len(named) == len(gan.metrics) - 1
    assert values == [named[name] for name in gan.metrics_names]


def test_export_names_the_way():
    with pytest.raises(
        NotImplementedError, match=r"keras_t2i.export.export_saved_model\(gan"
    ):
        tiny_gan().export("flowers")


def test_summary_counts_the_variables_of_both_optimizers():
    gan = tiny_gan()
    gan.compile()
    lines = []
    gan.summary(print_fn=lines.append)
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    count = sum(
        int(np.prod(variable.shape))
        for optimizer in optimizers
        for variable in optimizer.variables
    )
    assert f"Optimizer params: {count:,}" in "\n".join(lines)
