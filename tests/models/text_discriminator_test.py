import keras
import numpy as np

from keras_t2i.models.discriminator import text_scores
from keras_t2i.models.normalization import standardized
from tests.tiny_models import randomize

CHANNELS, SIZE, TEXT_DIM = 5, 3, 7


def _model(projection_dim=6):
    features = keras.Input((SIZE, SIZE, CHANNELS))
    text = keras.Input((TEXT_DIM,))
    logits = text_scores(features, text, 4, projection_dim, "map", "float32")
    model = keras.Model([features, text], logits)
    randomize(model)
    return model


def _inputs():
    generator = np.random.default_rng(0)
    shapes = (3, SIZE, SIZE, CHANNELS), (3, TEXT_DIM)
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def test_by_hand_from_its_weights():
    model = _model()

    def weights(layer):
        return [np.array(w) for w in model.get_layer(f"map_{layer}").weights]

    features, text = _inputs()
    kernel, bias = weights("text_projection")
    projected = _leaky(text @ kernel + bias)
    # Tiled over the map and joined by one 1x1 convolution of both.
    tiled = np.broadcast_to(projected[:, None, None], (3, SIZE, SIZE, 4))
    joined = np.concatenate([features, tiled], axis=-1)
    kernel, bias = weights("map_convolution")
    (text_kernel,) = weights("text_convolution")
    kernel = np.concatenate([kernel[0, 0], text_kernel], axis=0)
    hidden = _leaky(joined @ kernel + bias)
    kernel, bias = weights("logit")
    logits = hidden.reshape(3, -1) @ kernel + bias

    (image_projection,) = weights("map_projection")
    (text_direction,) = weights("text_direction")
    directions = features.reshape(3, -1) @ image_projection
    match = (directions * (text @ text_direction)).sum(axis=1, keepdims=True)
    assert np.abs(logits).max() > 0.1 and np.abs(match).max() > 0.1
    expected = logits + match / np.sqrt(6)
    outputs = model(_inputs())
    assert outputs.shape == (3, 1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_number_of_weights():
    # Text 7 * 4 + 4 and 4 * 5, map 5 * 5 + 5, logit 45 + 1, and the
    # projections (45 + 7) * 6.
    assert _model().count_params() == 32 + 20 + 30 + 46 + 312


def test_logits_are_float32_in_half_precision():
    features = keras.Input((SIZE, SIZE, CHANNELS))
    text = keras.Input((TEXT_DIM,))
    logits = text_scores(
        features,
        standardized(text, "mixed_float16"),
        4,
        6,
        "map",
        "mixed_float16",
    )
    model = keras.Model([features, text], logits)
    assert model.get_layer("text_standardization").compute_dtype == "float16"
    assert model.get_layer("map_logit").compute_dtype == "float16"
    exact = _model()
    exact.set_weights(
        [w for w in model.get_weights() if w.shape != (TEXT_DIM,)]
    )
    outputs = model(_inputs())
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs, exact(_inputs()), atol=0.02, rtol=0.02)
