import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.text import tokenize
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import vivid_gan

FROM = ["a red flower", "a rose", "it has 5 petals."]
TO = ["a large blue tulip", "an iris", "white petals around a green center"]


@pytest.fixture(scope="module")
def gan():
    return vivid_gan()


@pytest.fixture(scope="module")
def style_encoder():
    """Of each picture, noise that depends on all of it."""
    keras.utils.set_random_seed(1)
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = keras.layers.Flatten()(images)
    return keras.Model(images, keras.layers.Dense(NOISE_DIM)(x))


def _embeddings(gan, captions):
    return gan.text_encoder(tokenize(tf.constant(captions)))


def _pictures(gan, embeddings, noise):
    return np.array(
        to_uint8(
            gan.ema_generator({"text_embeddings": embeddings, "noise": noise})
        )
    )


def _style_images(num_images):
    generator = np.random.default_rng(0)
    shape = (num_images, IMAGE_SIZE, IMAGE_SIZE, 3)
    return generator.integers(0, 256, shape, dtype="uint8")


def _assert_close(pictures, expected):
    """Equal but for one grey level in a few pixels."""
    difference = np.abs(pictures.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


# === interpolate ===


def test_interpolated_texts_end_at_what_generate_draws(gan):
    ways = gan.interpolate(FROM, TO, steps=5, seed=7)
    assert ways.shape == (3, 5, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert ways.dtype == np.uint8
    np.testing.assert_array_equal(ways[:, 0], gan.generate(FROM, seed=7))
    np.testing.assert_array_equal(ways[:, -1], gan.generate(TO, seed=7))
    # Those ends are not alike.
    assert (
        np.abs(ways[:, 0].astype(int) - ways[:, -1]).max(axis=(1, 2, 3)).min()
        > 5
    )


def test_interpolated_texts_are_linear_in_the_embedding(gan):
    ways = gan.interpolate(FROM, TO, steps=4, seed=[4, 9, 2])
    noise = noise_from_seeds([4, 9, 2], NOISE_DIM)
    text_from, text_to = _embeddings(gan, FROM), _embeddings(gan, TO)
    for step, weight in enumerate((0, 1 / 3, 2 / 3, 1)):
        text = (1 - weight) * text_from + weight * text_to
        _assert_close(ways[:, step], _pictures(gan, text, noise))


def test_from_a_text_to_itself_nothing_changes(gan):
    ways = gan.interpolate("a rose", ["a rose"], steps=3)
    expected = gan.generate("a rose")[:, None]
    _assert_close(ways, expected)


def test_ends_of_more_rows_than_a_batch(gan):
    captions = [f"{number} petals" for number in range(70)]
    ways = gan.interpolate(captions, captions[::-1], steps=2)
    np.testing.assert_array_equal(ways[:, 0], gan.generate(captions))
    np.testing.assert_array_equal(ways[:, 1], gan.generate(captions[::-1]))


def test_eight_steps_by_default(gan):
    assert gan.interpolate("a rose", "an iris").shape[:2] == (1, 8)
    assert gan.interpolate_noise("a rose", 0, 1).shape[:2] == (1, 8)


# === interpolate_noise ===


def test_interpolated_noise_ends_at_what_generate_draws(gan):
    ways = gan.interpolate_noise(FROM, 3, [40, 50, 60], steps=6)
    assert ways.shape == (3, 6, IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(ways[:, 0], gan.generate(FROM, seed=3))
    np.testing.assert_array_equal(
        ways[:, -1], gan.generate(FROM, seed=[40, 50, 60])
    )
    assert (
        np.abs(ways[:, 0].astype(int) - ways[:, -1]).max(axis=(1, 2, 3)).min()
        > 5
    )


def test_equal_seeds_are_constant(gan):
    ways = gan.interpolate_noise(FROM, 5, 5, steps=4)
    expected = gan.generate(FROM, seed=5)
    for step in range(4):
        np.testing.assert_array_equal(ways[:, step], expected)


def test_interpolated_noise_is_spherical(gan):
    (way,) = gan.interpolate_noise("a rose", 3, 4, steps=3)
    first, last = np.array(noise_from_seeds([3, 4], NOISE_DIM), "float64")
    cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
    # Halfway on the arc, both count alike, and by more than a half.
    share = np.sin(np.arccos(cosine) / 2) / np.sin(np.arccos(cosine))
    assert share > 0.55
    noise = tf.constant(share * (first + last), tf.float32)[None]
    expected = _pictures(gan, _embeddings(gan, ["a rose"]), noise)[0]
    _assert_close(way[1], expected)


# === transfer_style ===


def test_style_transfer_by_hand(gan, style_encoder):
    images = _style_images(2)
    pictures = gan.transfer_style(images, FROM, style_encoder)
    assert pictures.shape == (2, 3, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert pictures.dtype == np.uint8
    noise = style_encoder(to_model_range(images))
    embeddings = _embeddings(gan, FROM)
    for row in range(2):
        expected = _pictures(
            gan, embeddings, tf.repeat(noise[row : row + 1], 3, axis=0)
        )
        _assert_close(pictures[row], expected)
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 5
    assert np.abs(pictures[:, 0].astype(int) - pictures[:, 1]).max() > 5


def test_style_transfer_of_more_pairs_than_a_batch(gan, style_encoder):
    images = _style_images(33)
    pictures = gan.transfer_style(images, FROM[:2], style_encoder)
    _assert_close(
        pictures[-1:], gan.transfer_style(images[-1:], FROM[:2], style_encoder)
    )


def test_another_style_encoder_is_another_style(gan, style_encoder):
    images = _style_images(1)
    first = gan.transfer_style(images, "a rose", style_encoder)
    other = keras.models.clone_model(style_encoder)
    second = gan.transfer_style(images, "a rose", other)
    assert np.abs(first.astype(int) - second).max() > 5
    np.testing.assert_array_equal(
        gan.transfer_style(images, "a rose", style_encoder), first
    )


# === Refused ===


@pytest.mark.parametrize("steps", [1, 0, -3, 2.0, True, None, "8"])
def test_other_steps_are_refused(gan, steps):
    with pytest.raises(ValueError, match=f"`steps`.*Received: {steps!r}"):
        gan.interpolate("a rose", "an iris", steps=steps)
    with pytest.raises(ValueError, match=f"`steps`.*Received: {steps!r}"):
        gan.interpolate_noise("a rose", 0, 1, steps=steps)


def test_as_many_captions_from_as_to(gan):
    with pytest.raises(ValueError, match="Received: 3 and 1 captions"):
        gan.interpolate(FROM, "a rose")


def test_empty_captions_are_refused(gan, style_encoder):
    for arguments in (("", "a rose"), ("a rose", " ")):
        with pytest.raises(ValueError, match="some text. Received: ' ?'"):
            gan.interpolate(*arguments)
    with pytest.raises(ValueError, match="some text. Received: ''"):
        gan.interpolate_noise("", 0, 1)
    with pytest.raises(ValueError, match="some text. Received: ''"):
        gan.transfer_style(_style_images(1), "", style_encoder)


def test_other_seeds_are_refused(gan):
    with pytest.raises(ValueError, match=r"`seed` .*Received: \[1\]"):
        gan.interpolate(FROM, TO, seed=[1])
    with pytest.raises(ValueError, match="`seed_from` .*Received: 1.5"):
        gan.interpolate_noise(FROM, 1.5, 0)
    with pytest.raises(ValueError, match=r"`seed_to` .*Received: \[1, 2\]"):
        gan.interpolate_noise(FROM, 0, [1, 2])


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (_style_images(1)[0], r"uint8 of shape \(32, 32, 3\)"),
        (_style_images(1) / 255.0, r"float64 of shape \(1, 32, 32, 3\)"),
        (_style_images(1)[:, 1:], r"uint8 of shape \(1, 31, 32, 3\)"),
        (_style_images(0), r"uint8 of shape \(0, 32, 32, 3\)"),
    ],
)
def test_other_style_images_are_refused(gan, style_encoder, images, received):
    with pytest.raises(ValueError, match=f"32, 32, 3.*Received: {received}"):
        gan.transfer_style(images, "a rose", style_encoder)


@pytest.mark.parametrize(("size", "dim"), [(32, 9), (64, NOISE_DIM)])
def test_other_style_encoders_are_refused(gan, size, dim):
    images = keras.Input((size, size, 3))
    x = keras.layers.GlobalAveragePooling2D()(images)
    encoder = keras.Model(images, keras.layers.Dense(dim)(x))
    received = rf"from \(None, {size}, {size}, 3\) to \(None, {dim}\)"
    with pytest.raises(ValueError, match=f"Received: a Functional {received}"):
        gan.transfer_style(_style_images(1), "a rose", encoder)


def test_the_training_of_a_style_encoder_is_no_style_encoder(gan):
    inversion = StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    )
    with pytest.raises(
        ValueError, match="Received: a StyleInversion.*Take `.style_encoder`"
    ):
        gan.transfer_style(_style_images(1), "a rose", inversion)
