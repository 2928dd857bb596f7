"""A small convolutional network on the image side of the joint embedding."""

import keras
from keras import layers


def image_encoder(image_size, embedding_dim=1024, width=32):
    """Makes a small convolutional image encoder, to be trained along.

    Stride-2 convolutions with batch norm and ReLU down to a 4x4 map, the mean
    over the map, and a linear layer.

    Args:
        image_size: int. Side of the images, a power of 2 of at least 8.
        embedding_dim: int. Defaults to `1024`.
        width: int. Channels of the first convolution; each next one has twice
            as many. Defaults to `32`.

    Returns:
        `keras.Model` from images in [-1, 1] of shape
        `(batch, image_size, image_size, 3)` to `(batch, embedding_dim)`.

    Example:

    >>> encoder = keras_t2i.text.image_encoder(32, embedding_dim=16, width=4)
    >>> encoder(np.zeros((2, 32, 32, 3))).shape
    TensorShape([2, 16])
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    while x.shape[1] > 4:
        filters = width * image_size // x.shape[1]
        x = layers.Conv2D(
            filters, 4, strides=2, padding="same", use_bias=False
        )(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(embedding_dim, name="embedding")(x)
    return keras.Model(images, x, name="image_encoder")
