import numpy as np
import pytest

from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import ModelImages
from keras_t2i.models.discriminator_ensemble import DiscriminatorEnsemble
from tests.evaluation.tiny_sets import write_set
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import vivid_gan


@pytest.fixture
def captions(tmp_path):
    return EvaluationCaptions(write_set(tmp_path, num_test=5), "test")


def test_captions_are_chosen_once_and_for_all(captions):
    again = EvaluationCaptions(captions.path, "test")
    assert again.captions == captions.captions
    assert captions.ids == [f"image-{number:03d}" for number in range(5)]
    chosen = np.random.default_rng(0)
    assert captions.captions == [
        (f"image number {i}", f"the {i}. one")[chosen.integers(2)]
        for i in range(5)
    ]
    assert len(captions) == 5


def test_captions_and_seeds(captions):
    gan = vivid_gan()
    images = ModelImages(gan, captions, images_per_caption=2)
    assert images.indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert images.image_size == 32
    texts = captions.captions
    np.testing.assert_array_equal(
        images.read(np.array([0, 1, 7])),
        gan.generate([texts[0], texts[0], texts[3]], seed=[0, 5, 8]),
    )
    assert images.text_encoder is gan.text_encoder


def test_what_a_model_was_trained_with(captions):
    gan = tiny_gan()
    assert ModelImages(gan, captions).trained_with == frozenset()
    gan.discriminator = DiscriminatorEnsemble([tiny_discriminator()] * 2)
    gan.discriminator.members[0].network = "MobileNetV2"
    images = ModelImages(gan, captions, trained_with=["efficientnet_lite0"])
    assert images.trained_with == {"MobileNetV2", "efficientnet_lite0"}


def test_models_that_cannot_be_measured(captions):
    gan = tiny_gan()
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        ModelImages(gan, captions, 0)
    weights = gan.ema_generator.get_weights()
    weights[0][0] = np.nan
    gan.ema_generator.set_weights(weights)
    with pytest.raises(ValueError, match="NaN or infinity in its generator"):
        ModelImages(gan, captions)
