import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import TextToImageGAN
from keras_t2i.datasets.images import to_uint8
from keras_t2i.text import tokenize
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import vivid_gan

CAPTIONS = ["a red flower", "Straße", "a rose", "it has 5 petals.", "x"]


@pytest.fixture(scope="module")
def gan():
    return vivid_gan()


def _noise(seed):
    return tf.random.stateless_normal([NOISE_DIM], [seed, 0], alg="philox")


def _picture(gan, caption, seed):
    """What one caption and seed must give, without `generate`."""
    embedding = gan.text_encoder(tokenize(tf.constant([caption])))
    picture = gan.ema_generator(
        {"text_embeddings": embedding, "noise": _noise(seed)[None]}
    )
    return np.array(to_uint8(picture))[0].astype(int)


def _assert_close(pictures, expected):
    """Equal but for one grey level in a few pixels."""
    difference = np.abs(pictures.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


def test_pictures_are_those_of_caption_and_seed(gan):
    pictures = gan.generate(CAPTIONS, seed=7)
    assert pictures.shape == (5, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert pictures.dtype == np.uint8
    assert pictures.std() > 20
    for row, caption in enumerate(CAPTIONS):
        _assert_close(pictures[row], _picture(gan, caption, 7 + row))


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
    pictures = gan.generate(caption)
    assert pictures.shape == (1, IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(pictures, gan.generate(["a rose"]))


@pytest.mark.parametrize(
    "seed",
    [[4, 5], (4, 5), np.array([4, 5]), np.array([4, 5], "uint8"), 4]
    + [np.int64(4), tf.constant(4), tf.constant([4, 5])],
)
def test_kinds_of_seeds(gan, seed):
    expected = gan.generate(["a rose", "an iris"], seed=[4, 5])
    pictures = gan.generate(["a rose", "an iris"], seed=seed)
    np.testing.assert_array_equal(pictures, expected)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1, 2**40])
def test_seeds_of_64_bits(gan, seed):
    pictures = gan.generate("a rose", seed=seed)
    _assert_close(pictures[0], _picture(gan, "a rose", seed))


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
def test_any_text_but_an_empty_one_is_drawn(gan, caption):
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


def test_pictures_come_from_the_averaged_weights(gan):
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
