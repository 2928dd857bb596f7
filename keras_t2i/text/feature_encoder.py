"""Features of images on the image side of the joint embedding."""

import keras
from keras import layers


def feature_encoder(num_features, embedding_dim=1024):
    """Makes a linear image encoder, for features computed beforehand.

    Args:
        num_features: int. Size of the features of an image.
        embedding_dim: int. Defaults to `1024`.

    Returns:
        `keras.Model` from features of shape `(batch, num_features)` to
        `(batch, embedding_dim)`.

    Example:

    >>> encoder = keras_t2i.text.feature_encoder(8, embedding_dim=16)
    >>> encoder(np.zeros((2, 8))).shape
    TensorShape([2, 16])
    """
    features = keras.Input((num_features,), name="images")
    x = layers.Dense(embedding_dim, name="embedding")(features)
    return keras.Model(features, x, name="feature_encoder")


def features_as_they_are(num_features):
    """Makes an image encoder that does nothing, as the published ones had.

    Args:
        num_features: int. Size of the features of an image, and of the
            embeddings of texts.

    Returns:
        `keras.Model` from features to themselves.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), the code.
    """
    features = keras.Input((num_features,), name="images")
    x = layers.Identity(name="embedding")(features)
    return keras.Model(features, x, name="features_as_they_are")
