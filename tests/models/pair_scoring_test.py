import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.discriminator_ensemble import DiscriminatorEnsemble
from keras_t2i.models.pair_scoring import PairScoring
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_feature_discriminator
from tests.tiny_models import tiny_pixel_discriminator


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
