"""A network of `keras.applications` on the image side."""

import os

import keras
from keras import layers

from keras_t2i.applications.feature_networks import find_network
from keras_t2i.applications.feature_networks import preprocessing_weights


def application_encoder(
    name, image_size, embedding_dim=1024, weights=None, frozen=False
):
    """Makes an image encoder of a network of `keras.applications`.

    The network without its classifier, the mean over its last map, and a linear
    layer. What the network expects of its inputs is done inside.

    Args:
        name: string. The network, such as `"MobileNetV2"`.
        image_size: int. Side of the images; each network has its smallest.
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
            the weights are no such file, or nothing would ever be learned.

    Example:

    >>> encoder = keras_t2i.text.application_encoder(
    ...     "MobileNetV3Small", 32, embedding_dim=16
    ... )
    >>> encoder.output_shape
    (None, 16)
    """
    make, preprocess = find_network(name)
    if weights is not None and not os.path.isfile(weights):
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
            first_line = (str(error).strip() or repr(error)).splitlines()[0]
            raise ValueError(
                f"`weights` must be those of {name} without its classifier. "
                f"Received: {str(weights)!r}, which can not be loaded: "
                f"{first_line}"
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
