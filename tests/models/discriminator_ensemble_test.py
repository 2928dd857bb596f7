import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import Discriminator
from keras_t2i import DiscriminatorEnsemble
from keras_t2i.models.adversarial_training import PairScoring
from keras_t2i.models.discriminator import members_of
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_feature_discriminator
from tests.tiny_models import tiny_pixel_discriminator


def _members():
    return [
        tiny_discriminator(),
        tiny_pixel_discriminator(),
        tiny_pixel_discriminator(),
    ]


def _pairs():
    batch = embeddings_batch()
    del batch["mismatched_text_embeddings"]
    return {name: tf.constant(value) for name, value in batch.items()}


def test_logits_side_by_side():
    members = _members()
    ensemble = DiscriminatorEnsemble(members)
    assert members_of(ensemble) == members
    assert members_of(members[0]) == [members[0]]
    assert (ensemble.image_size, ensemble.text_embedding_dim) == (32, 16)
    logits = ensemble(_pairs())
    expected = np.concatenate([member(_pairs()) for member in members], axis=1)
    np.testing.assert_array_equal(logits, expected)
    assert ensemble.count_params() == sum(m.count_params() for m in members)


def test_saving(tmp_path):
    ensemble = DiscriminatorEnsemble(_members(), name="mine")
    ensemble.save(tmp_path / "ensemble.keras")
    copy = keras.saving.load_model(tmp_path / "ensemble.keras")
    assert copy.get_config() == ensemble.get_config()
    assert copy.name == "mine"
    # Each of two alike has its own weights.
    logits = np.array(ensemble(_pairs()))
    assert np.abs(logits[:, 1] - logits[:, 2]).max() > 1e-4
    np.testing.assert_array_equal(copy(_pairs()), logits)
    # A config can be read twice.
    config = ensemble.get_config()
    for _ in range(2):
        again = DiscriminatorEnsemble.from_config(config)
        assert again.count_params() == ensemble.count_params()


def test_logits_are_not_rounded():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    members = _members()
    logits = DiscriminatorEnsemble(members)(_pairs())
    assert logits.dtype == tf.float32
    expected = np.concatenate([member(_pairs()) for member in members], axis=1)
    np.testing.assert_array_equal(logits, expected)


def test_members_must_fit_each_other():
    with pytest.raises(ValueError, match=r"one `image_size`.*\[\]"):
        DiscriminatorEnsemble([])
    other = Discriminator(64, width=2, text_embedding_dim=16)
    with pytest.raises(ValueError, match=r"Received: \[\(32, 16\), \(64, 16\)"):
        DiscriminatorEnsemble([tiny_pixel_discriminator(), other])
    other = Discriminator(32, width=2, text_embedding_dim=8)
    with pytest.raises(ValueError, match=r"Received: \[\(32, 8\), \(32, 16\)"):
        DiscriminatorEnsemble([tiny_pixel_discriminator(), other])


# === Pair scoring ===


def _ensemble():
    return DiscriminatorEnsemble(
        [tiny_pixel_discriminator(), tiny_feature_discriminator()]
    )


@pytest.mark.parametrize("jointly", (False, True))
@pytest.mark.parametrize("make", (tiny_pixel_discriminator, _ensemble))
def test_scores_are_the_discriminators_own(make, jointly):
    discriminator = make()
    scoring = PairScoring(discriminator, jointly)
    batch = embeddings_batch(4)
    images = tf.constant(batch["images"])
    own = tf.constant(batch["text_embeddings"])
    other = tf.constant(batch["mismatched_text_embeddings"])
    features = scoring.features(scoring.views(images), False)
    logits = scoring.score(
        {"real": (features, own), "mismatched": (features, other)}, False
    )
    for name, text in (("real", own), ("mismatched", other)):
        expected = discriminator({"images": images, "text_embeddings": text})
        np.testing.assert_allclose(
            np.concatenate(logits[name], axis=1), expected, atol=1e-5
        )


@pytest.mark.parametrize("jointly", (False, True))
def test_one_pair_is_scored_again(jointly):
    discriminator = _ensemble()
    scoring = PairScoring(discriminator, jointly)
    batch = embeddings_batch(4)
    images = tf.constant(batch["images"])
    text = tf.constant(batch["text_embeddings"])
    features = scoring.features(scoring.views(images), False)
    pairs = {"real": (features, text), "generated": (features, text)}
    # As many rows as there are texts, whatever the pair had before.
    fewer = scoring.features(scoring.views(-images[:3]), False)
    logits = scoring.score_among("generated", fewer, text[:3], pairs, False)
    expected = discriminator(
        {"images": -images[:3], "text_embeddings": text[:3]}
    )
    np.testing.assert_allclose(
        np.concatenate(logits, axis=1), expected, atol=1e-5
    )
