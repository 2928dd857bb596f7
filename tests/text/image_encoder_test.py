import keras
import numpy as np

from keras_t2i.text import image_encoder
from tests.tiny_models import random_images


def test_parameters_by_hand():
    # 32 -> 16 -> 8 -> 4, with 4, 8 and 16 channels.
    encoder = image_encoder(32, embedding_dim=12, width=4)
    convolutions = 16 * 3 * 4 + 16 * 4 * 8 + 16 * 8 * 16
    batch_norms = 4 * (4 + 8 + 16)
    embedding = 16 * 12 + 12
    assert encoder.count_params() == convolutions + batch_norms + embedding
    assert encoder.output_shape == (None, 12)


def test_maps_shrink_to_4x4():
    for image_size in (8, 64):
        encoder = image_encoder(image_size, embedding_dim=2, width=1)
        pooling = [
            layer
            for layer in encoder.layers
            if isinstance(layer, keras.layers.GlobalAveragePooling2D)
        ]
        assert pooling[0].input.shape[1:3] == (4, 4)


def test_an_image_does_not_depend_on_its_neighbors():
    encoder = image_encoder(32, embedding_dim=12, width=4)
    images = random_images(3)
    together = np.array(encoder(images))
    np.testing.assert_allclose(together[1:2], encoder(images[1:2]), atol=1e-6)
