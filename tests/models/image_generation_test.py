import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import TextToImageGAN
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.text import tokenize
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import vivid_gan

CAPTIONS = ["a red flower", "Straße", "a rose", "it has 5 petals.", "x"]


@pytest.fixture(scope="module")
def gan():
    return vivid_gan()


def _noise(seed):
    return tf.random.stateless_normal([NOISE_DIM], [seed, 0], alg="philox")


def _embeddings(gan, captions):
    return gan.text_encoder(tokenize(tf.constant(captions)))


def _images(gan, embeddings, noise):
    return np.array(
        to_uint8(
            gan.ema_generator({"text_embeddings": embeddings, "noise": noise})
        )
    )


def _image(gan, caption, seed):
    """What one caption and seed must give, without `generate`."""
    images = _images(gan, _embeddings(gan, [caption]), _noise(seed)[None])
    return images[0].astype(int)


def _assert_close(images, expected):
    """Equal but for one grey level in a few pixels."""
    difference = np.abs(images.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


def test_images_are_those_of_caption_and_seed(gan):
    images = gan.generate(CAPTIONS, seed=7)
    assert images.shape == (5, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert images.dtype == np.uint8
    assert images.std() > 20
    for row, caption in enumerate(CAPTIONS):
        _assert_close(images[row], _image(gan, caption, 7 + row))


def test_truncation_is_a_factor_of_the_noise(gan):
    embeddings = _embeddings(gan, CAPTIONS[:1])
    noise = _noise(7)[None]
    to_noise = [gan.interpolate_noise(CAPTIONS[0], 3, 7, steps=2)]
    gan.truncation = 0.5
    try:
        expected = _images(gan, embeddings, 0.5 * noise)[0].astype(int)
        _assert_close(gan.generate(CAPTIONS[0], seed=7)[0], expected)
        embedded = gan.generate_from_embeddings(embeddings, seed=7)
        _assert_close(embedded[0], expected)
        between = gan.interpolate(CAPTIONS[0], CAPTIONS[1], steps=2, seed=7)
        _assert_close(between[0, 0], expected)
        to_noise.append(gan.interpolate_noise(CAPTIONS[0], 3, 7, steps=2))
        _assert_close(to_noise[1][0, 1], expected)
    finally:
        gan.truncation = 1.0
    assert np.abs(to_noise[0].astype(int) - to_noise[1]).max() > 5


def test_a_truncation_that_is_a_tensor_can_be_saved(tmp_path):
    gan = tiny_gan()
    gan.truncation = tf.constant(0.5)
    gan.save(tmp_path / "gan.keras")
    assert keras.saving.load_model(tmp_path / "gan.keras").truncation == 0.5


def test_truncation_is_a_share():
    with pytest.raises(ValueError, match="`truncation`.*Received: 1.5"):
        tiny_gan(truncation=1.5)


def test_truncation_stays_a_share(gan):
    with pytest.raises(ValueError, match="`truncation`.*Received: 5"):
        gan.truncation = 5
    assert gan.truncation == 1.0


def test_a_row_does_not_depend_on_the_batch(gan):
    together = gan.generate(CAPTIONS, seed=3)
    for batch_size in (1, 2, 5):
        _assert_close(
            gan.generate(CAPTIONS, seed=3, batch_size=batch_size), together
        )
    alone = gan.generate(CAPTIONS[2], seed=3 + 2)
    _assert_close(alone[0], together[2])
    backwards = gan.generate(CAPTIONS[::-1], seed=[7, 6, 5, 4, 3])
    _assert_close(backwards[::-1], together)


def test_same_batch_gives_the_same_bytes(gan):
    first = gan.generate(CAPTIONS, seed=1)
    np.testing.assert_array_equal(gan.generate(CAPTIONS, seed=1), first)


def test_seed_and_caption_both_matter(gan):
    first, same, other_seed = gan.generate(["a rose"] * 3, seed=[1, 1, 2])
    _assert_close(first, same)
    assert np.abs(other_seed.astype(int) - first).max() > 5
    other_caption = gan.generate("a large blue tulip", seed=1)[0]
    assert np.abs(other_caption.astype(int) - first).max() > 5


@pytest.mark.parametrize(
    "captions",
    [
        ["a rose", "an iris"],
        ("a rose", "an iris"),
        (caption for caption in ["a rose", "an iris"]),
        [b"a rose", b"an iris"],
        np.array(["a rose", "an iris"]),
        np.array(["a rose", "an iris"], object),
        np.array([b"a rose", b"an iris"]),
        tf.constant(["a rose", "an iris"]),
    ],
    ids=["list", "tuple", "generator", "bytes", "U", "O", "S", "tensor"],
)
def test_kinds_of_captions(gan, captions):
    expected = gan.generate(["a rose", "an iris"])
    np.testing.assert_array_equal(gan.generate(captions), expected)


@pytest.mark.parametrize(
    "caption",
    ["a rose", b"a rose", np.array("a rose"), tf.constant("a rose")],
    ids=["str", "bytes", "numpy", "tensor"],
)
def test_one_caption(gan, caption):
    images = gan.generate(caption)
    assert images.shape == (1, IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(images, gan.generate(["a rose"]))


@pytest.mark.parametrize(
    "seed",
    [[4, 5], (4, 5), np.array([4, 5]), np.array([4, 5], "uint8"), 4]
    + [np.int64(4), tf.constant(4), tf.constant([4, 5])],
)
def test_kinds_of_seeds(gan, seed):
    expected = gan.generate(["a rose", "an iris"], seed=[4, 5])
    images = gan.generate(["a rose", "an iris"], seed=seed)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1, 2**40])
def test_seeds_of_64_bits(gan, seed):
    images = gan.generate("a rose", seed=seed)
    _assert_close(images[0], _image(gan, "a rose", seed))


@pytest.mark.parametrize(
    "caption",
    [
        b"a \xff rose",
        "a \ud800 rose",
        "a\0rose",
        "花",
        "👩\u200d🌾",
        "a rose " * 1000,
        "{a}",
        ".",
    ],
)
@pytest.mark.filterwarnings("ignore:The text encoder does not know")
def test_any_text_but_an_empty_one_gives_an_image(gan, caption):
    assert gan.generate(caption).shape == (1, IMAGE_SIZE, IMAGE_SIZE, 3)


def test_text_is_normalized(gan):
    np.testing.assert_array_equal(
        gan.generate("ＲＥＤ ROSE"), gan.generate("red rose")
    )


@pytest.mark.parametrize("caption", ["", " \n", "{}", " {} ", b"", "\u3000"])
def test_empty_captions_are_refused(gan, caption):
    for captions in (caption, [caption], ["a rose", caption]):
        with pytest.raises(ValueError, match="some text. Received: '"):
            gan.generate(captions)


@pytest.mark.parametrize(
    ("captions", "received"),
    [
        ([["a rose"]], r"\['a rose'\] among"),
        (np.array([["a rose"]]), r"array\(\['a rose'\]"),
        ([1], "1 among"),
        (["a rose", None], "None among"),
        ([], "none"),
        (np.array([], "U1"), "none"),
        (None, "None"),
        (5, "5"),
        (tf.constant(5), "5"),
    ],
)
def test_other_captions_are_refused(gan, captions, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        gan.generate(captions)


@pytest.mark.parametrize(
    ("seed", "received"),
    [
        ([1], r"\[1\]"),
        ([1, 2, 3], r"\[1, 2, 3\]"),
        ([[1, 2]], r"\[\[1, 2\]\]"),
        ([1, [2]], r"\[1, \[2\]\]"),
        ([], r"\[\]"),
        (1.5, "1.5"),
        ([1, 2.0], r"\[1, 2.0\]"),
        ("1", "'1'"),
        (["1", "2"], "'1'"),
        (None, "None"),
        (True, "True"),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        # The second caption's would be 2**63.
        (2**63 - 1, "9223372036854775807"),
    ],
)
def test_other_seeds_are_refused(gan, seed, received):
    with pytest.raises(ValueError, match=f"`seed` .*Received: .*{received}"):
        gan.generate(["a rose", "an iris"], seed=seed)


def test_images_come_from_the_averaged_weights(gan):
    before = gan.generate(CAPTIONS)
    weights = gan.generator.get_weights()
    gan.generator.set_weights([weight + 1 for weight in weights])
    np.testing.assert_array_equal(gan.generate(CAPTIONS), before)
    gan.generator.set_weights(weights)
    ema = gan.ema_generator.get_layer("convolution_32").kernel
    ema.assign(-ema)
    # tanh is odd: every value changes its sign.
    negative = gan.generate(CAPTIONS)
    ema.assign(-ema)
    _assert_close(negative, 255 - before.astype(int))


def test_an_encoder_of_words_reads_words(gan, tmp_path):
    encoder = tiny_text_encoder(vocabulary=("red", "blue"))
    words = TextToImageGAN(gan.generator, gan.discriminator, encoder)
    words.ema_generator.set_weights(gan.ema_generator.get_weights())
    kernel = encoder.get_layer("embedding").kernel
    kernel.assign(500 * kernel)
    captions = ["Red, blue", "(red) blue", "blue red"]
    images = words.generate(captions, seed=[0, 0, 0])
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    words.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(
        copy.generate(captions, seed=[0, 0, 0]), images
    )


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "4", True])
def test_batch_sizes_that_can_not_be(gan, batch_size):
    with pytest.raises(
        ValueError, match=f"at least 1. Received: {batch_size!r}"
    ):
        gan.generate("a rose", batch_size=batch_size)


FROM = ["a red flower", "a rose", "it has 5 petals."]
TO = ["a large blue tulip", "an iris", "white petals around a green center"]


@pytest.fixture(scope="module")
def style_encoder():
    """Noise that depends on all pixels of an image."""
    keras.utils.set_random_seed(1)
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = keras.layers.Flatten()(images)
    return keras.Model(images, keras.layers.Dense(NOISE_DIM)(x))


def _style_images(num_images):
    generator = np.random.default_rng(0)
    shape = (num_images, IMAGE_SIZE, IMAGE_SIZE, 3)
    return generator.integers(0, 256, shape, dtype="uint8")


# === interpolate ===


def test_interpolated_texts_end_at_what_generate_returns(gan):
    rows = gan.interpolate(FROM, TO, steps=5, seed=7)
    assert rows.shape == (3, 5, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows[:, 0], gan.generate(FROM, seed=7))
    np.testing.assert_array_equal(rows[:, -1], gan.generate(TO, seed=7))
    # Those ends are not alike.
    assert (
        np.abs(rows[:, 0].astype(int) - rows[:, -1]).max(axis=(1, 2, 3)).min()
        > 5
    )


def test_interpolated_texts_are_linear_in_the_embedding(gan):
    rows = gan.interpolate(FROM, TO, steps=4, seed=[4, 9, 2])
    noise = noise_from_seeds([4, 9, 2], NOISE_DIM)
    text_from, text_to = _embeddings(gan, FROM), _embeddings(gan, TO)
    for step, weight in enumerate((0, 1 / 3, 2 / 3, 1)):
        text = (1 - weight) * text_from + weight * text_to
        _assert_close(rows[:, step], _images(gan, text, noise))


def test_from_a_text_to_itself_nothing_changes(gan):
    rows = gan.interpolate("a rose", ["a rose"], steps=3)
    expected = gan.generate("a rose")[:, None]
    _assert_close(rows, expected)


def test_ends_of_more_rows_than_a_batch(gan):
    captions = [f"{number} petals" for number in range(70)]
    rows = gan.interpolate(captions, captions[::-1], steps=2)
    np.testing.assert_array_equal(rows[:, 0], gan.generate(captions))
    np.testing.assert_array_equal(rows[:, 1], gan.generate(captions[::-1]))


def test_eight_steps_by_default(gan):
    assert gan.interpolate("a rose", "an iris").shape[:2] == (1, 8)
    assert gan.interpolate_noise("a rose", 0, 1).shape[:2] == (1, 8)


# === interpolate_noise ===


def test_interpolated_noise_ends_at_what_generate_returns(gan):
    rows = gan.interpolate_noise(FROM, 3, [40, 50, 60], steps=6)
    assert rows.shape == (3, 6, IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(rows[:, 0], gan.generate(FROM, seed=3))
    np.testing.assert_array_equal(
        rows[:, -1], gan.generate(FROM, seed=[40, 50, 60])
    )
    assert (
        np.abs(rows[:, 0].astype(int) - rows[:, -1]).max(axis=(1, 2, 3)).min()
        > 5
    )


def test_equal_seeds_are_constant(gan):
    rows = gan.interpolate_noise(FROM, 5, 5, steps=4)
    expected = gan.generate(FROM, seed=5)
    for step in range(4):
        np.testing.assert_array_equal(rows[:, step], expected)


def test_interpolated_noise_is_spherical(gan):
    (row,) = gan.interpolate_noise("a rose", 3, 4, steps=3)
    first, last = np.array(noise_from_seeds([3, 4], NOISE_DIM), "float64")
    cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
    # Halfway on the arc, both count alike, and by more than a half.
    share = np.sin(np.arccos(cosine) / 2) / np.sin(np.arccos(cosine))
    assert share > 0.55
    noise = tf.constant(share * (first + last), tf.float32)[None]
    expected = _images(gan, _embeddings(gan, ["a rose"]), noise)[0]
    _assert_close(row[1], expected)


# === transfer_style ===


def test_style_transfer_by_hand(gan, style_encoder):
    styles = _style_images(2)
    images = gan.transfer_style(styles, FROM, style_encoder)
    assert images.shape == (2, 3, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert images.dtype == np.uint8
    noise = style_encoder(to_model_range(styles))
    embeddings = _embeddings(gan, FROM)
    for row in range(2):
        expected = _images(
            gan, embeddings, tf.repeat(noise[row : row + 1], 3, axis=0)
        )
        _assert_close(images[row], expected)
    assert np.abs(images[0].astype(int) - images[1]).max() > 5
    assert np.abs(images[:, 0].astype(int) - images[:, 1]).max() > 5


def test_style_transfer_of_more_pairs_than_a_batch(gan, style_encoder):
    styles = _style_images(33)
    images = gan.transfer_style(styles, FROM[:2], style_encoder)
    _assert_close(
        images[-1:], gan.transfer_style(styles[-1:], FROM[:2], style_encoder)
    )


def test_another_style_encoder_is_another_style(gan, style_encoder):
    styles = _style_images(1)
    first = gan.transfer_style(styles, "a rose", style_encoder)
    other = keras.models.clone_model(style_encoder)
    second = gan.transfer_style(styles, "a rose", other)
    assert np.abs(first.astype(int) - second).max() > 5
    np.testing.assert_array_equal(
        gan.transfer_style(styles, "a rose", style_encoder), first
    )


def test_truncation_does_not_change_a_style(gan, style_encoder):
    styles = _style_images(1)
    expected = gan.transfer_style(styles, "a rose", style_encoder)
    gan.truncation = 0.5
    images = gan.transfer_style(styles, "a rose", style_encoder)
    gan.truncation = 1.0
    np.testing.assert_array_equal(images, expected)


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


def test_empty_captions_to_interpolate_are_refused(gan, style_encoder):
    for arguments in (("", "a rose"), ("a rose", " ")):
        with pytest.raises(ValueError, match="some text. Received: ' ?'"):
            gan.interpolate(*arguments)
    with pytest.raises(ValueError, match="some text. Received: ''"):
        gan.interpolate_noise("", 0, 1)
    with pytest.raises(ValueError, match="some text. Received: ''"):
        gan.transfer_style(_style_images(1), "", style_encoder)


def test_other_seeds_to_interpolate_are_refused(gan):
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
