import numpy as np

from keras_t2i.text import feature_encoder


def test_it_is_linear():
    encoder = feature_encoder(4, embedding_dim=3)
    kernel, bias = encoder.get_layer("embedding").get_weights()
    features = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(
        encoder(features), features @ kernel + bias, atol=1e-6
    )
