"""Networks on the image side of the joint embedding."""

import pathlib

import keras
from keras import layers

from keras_t2i.applications.feature_networks import find_network
from keras_t2i.applications.feature_networks import preprocessing_weights
from keras_t2i.checks import check_whole_number
from keras_t2i.configured_model import check_keras_config
from keras_t2i.errors import first_line
from keras_t2i.types import StrPath


def image_encoder(
    image_size: int, embedding_dim: int = 1024, width: int = 32
) -> keras.Model:
    """Makes a small convolutional image encoder, to train with the texts.

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

    Raises:
        ValueError: a number is no whole one, or too small.

    Example:

    >>> encoder = keras_t2i.text.image_encoder(32, embedding_dim=16, width=4)
    >>> encoder(np.zeros((2, 32, 32, 3))).shape
    TensorShape([2, 16])
    """
    check_keras_config()
    check_whole_number(image_size, "image_size", at_least=8)
    check_whole_number(embedding_dim, "embedding_dim", at_least=1)
    check_whole_number(width, "width", at_least=1)
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


def application_encoder(
    name: str,
    image_size: int,
    embedding_dim: int = 1024,
    weights: StrPath | None = None,
    frozen: bool = False,
) -> keras.Model:
    """Makes an image encoder of a network of `keras.applications`.

    The network without its classifier, the mean over its last map, and a linear
    layer. The network's own preprocessing is a part of it.

    Args:
        name: string. The network, such as `"MobileNetV2"`.
        image_size: int. Side of the images. Each network has a smallest one.
        embedding_dim: int. Defaults to `1024`.
        weights: path of a file of the network's weights without classifier, as
            Keras publishes it. Defaults to `None`: random weights.
        frozen: bool. Whether only the linear layer is trained. Defaults to
            `False`.

    Returns:
        `keras.Model` from images in [-1, 1] of shape
        `(batch, image_size, image_size, 3)` to `(batch, embedding_dim)`.

    Raises:
        ValueError: there is no such network, it takes no images of this size,
            the weights are no such file, or a frozen network has none.

    Example:

    >>> encoder = keras_t2i.text.application_encoder(
    ...     "MobileNetV3Small", 32, embedding_dim=16
    ... )
    >>> encoder.output_shape
    (None, 16)
    """
    make, preprocess = find_network(name)
    if weights is not None and not pathlib.Path(weights).is_file():
        raise ValueError(
            "`weights` must name a file of the network's weights. Received: "
            f"{str(weights)!r}, which is not there."
        )
    if frozen and weights is None:
        raise ValueError(
            "A frozen network must have trained weights. Received: frozen="
            "True without `weights`."
        )
    shape = (image_size, image_size, 3)
    network = make(
        include_top=False, weights=None, input_shape=shape, pooling="avg"
    )
    if weights is not None:
        try:
            network.load_weights(weights)
        # Keras raises errors of many kinds for files that do not fit.
        except Exception as error:
            raise ValueError(
                f"`weights` must be those of {name} without its classifier. "
                f"Received: {str(weights)!r}, which cannot be loaded: "
                f"{first_line(error)}"
            ) from error
    network.trainable = not frozen
    for layer in network.layers:
        # Some networks leave out blocks at random, frozen or not.
        if frozen and isinstance(layer, layers.Dropout):
            layer.rate = 0.0

    images = keras.Input(shape, name="images")
    x = layers.Conv2D(3, 1, trainable=False, name="preprocessing")(images)
    x = network(x)
    x = layers.Dense(embedding_dim, name="embedding")(x)
    encoder = keras.Model(images, x, name="application_encoder")
    encoder.get_layer("preprocessing").set_weights(
        preprocessing_weights(preprocess)
    )
    return encoder


def feature_encoder(
    num_features: int, embedding_dim: int = 1024
) -> keras.Model:
    """Makes a linear image encoder, for features computed beforehand.

    Args:
        num_features: int. Size of the features of an image.
        embedding_dim: int. Defaults to `1024`.

    Returns:
        `keras.Model` from features of shape `(batch, num_features)` to
        `(batch, embedding_dim)`.

    Raises:
        ValueError: a size is no whole number of at least 1.

    Example:

    >>> encoder = keras_t2i.text.feature_encoder(8, embedding_dim=16)
    >>> encoder(np.zeros((2, 8))).shape
    TensorShape([2, 16])
    """
    check_whole_number(num_features, "num_features", at_least=1)
    check_whole_number(embedding_dim, "embedding_dim", at_least=1)
    features = keras.Input((num_features,), name="images")
    x = layers.Dense(embedding_dim, name="embedding")(features)
    return keras.Model(features, x, name="feature_encoder")


def features_as_they_are(num_features: int) -> keras.Model:
    """Makes an image encoder that returns features as they are.

    So do the published encoders, whose texts are embedded in the space of the
    image features.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), the code.
    """
    features = keras.Input((num_features,), name="images")
    x = layers.Identity(name="embedding")(features)
    return keras.Model(features, x, name="features_as_they_are")
