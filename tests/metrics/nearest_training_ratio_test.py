import numpy as np
import pytest

from keras_t2i.metrics import nearest_training_ratio

TRAINING = np.array([[0.0], [10.0], [20.0]])


def test_medians_by_hand():
    # Distances of 1, 2 and 5 of the generated images, and of 3, 4, 4 and 980
    # of the real ones.
    generated = [[1.0], [12.0], [15.0]]
    real = [[-3.0], [14.0], [6.0], [1000.0]]
    ratio = nearest_training_ratio(generated, real, TRAINING)
    assert ratio == pytest.approx(2 / 4)


def test_copies():
    real = TRAINING + 3
    assert nearest_training_ratio(TRAINING, real, TRAINING) == 0
    assert nearest_training_ratio(TRAINING + 0.3, real, TRAINING) < 0.11


def test_images_of_the_real_distribution():
    generator = np.random.default_rng(0)
    generated, real, training = generator.normal(size=(3, 500, 10))
    ratio = nearest_training_ratio(generated, real, training)
    assert ratio == pytest.approx(1, abs=0.05)


def test_real_images_that_were_trained_on():
    real = [[0.0], [20.0], [13.0]]
    message = "not trained on. Received: 2 of 3 images"
    with pytest.raises(ValueError, match=message):
        nearest_training_ratio(TRAINING + 1, real, TRAINING)


@pytest.mark.parametrize("place", [0, 1])
def test_shapes(place):
    arguments = [TRAINING + 1, TRAINING + 2, TRAINING]
    arguments[place] = np.ones((3, 2))
    with pytest.raises(ValueError, match="Received:.*'training_features': 1"):
        nearest_training_ratio(*arguments)
