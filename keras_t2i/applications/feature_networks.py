"""Frozen networks trained on ImageNet, by their names."""

import contextlib
import sys
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
from keras_t2i.errors import first_line

# Pixels of the image for each pixel of a map.
_STRIDES = (4, 8, 16, 32)
# Of images in [0, 255] to what a network takes.
Preprocess = Callable[[np.ndarray], np.ndarray]


def find_network(name: str) -> tuple[Callable[..., keras.Model], Preprocess]:
    """Finds a network of `keras.applications`, such as `"MobileNetV2"`.

    Returns the function that makes the network, and its preprocessing function.
    Raises `ValueError` if there is no such network.
    """
    known = {
        key: value
        for key, value in vars(keras.applications).items()
        if callable(value)
    }
    if name not in known:
        raise ValueError(
            "The name of an image network must be one of "
            f"{', '.join(IMAGE_NETWORKS)}, or of `keras.applications`: "
            f"{', '.join(sorted(known))}. Received: {name!r}"
        )
    for module in vars(keras.applications).values():
        if isinstance(module, types.ModuleType) and hasattr(module, name):
            return known[name], module.preprocess_input
    # It preprocesses its images itself.
    return known[name], lambda images: images


def preprocessing_weights(preprocess: Preprocess) -> list[np.ndarray]:
    """Turns a preprocessing into kernel and bias of a 1x1 convolution.

    The convolution takes images in [-1, 1]. Each network has its own scales,
    means and order of colors. All are affine, so black and each color show
    what they do.
    """
    colors = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    # A copy, since some work in place.
    results = np.array(preprocess(colors.reshape(1, 2, 2, 3).copy()))
    results = results.reshape(4, 3)
    black = results[0]
    # A color goes from 0 to 255 while the input goes from -1 to 1.
    kernel = (results[1:] - black) / 2.0
    bias = black + kernel.sum(axis=0)
    return [kernel.reshape(1, 1, 3, 3), bias]


def feature_network(name: str, image_size: int) -> keras.Model:
    """Makes a frozen network that returns feature maps of four sizes.

    `name` is `"efficientnet_lite0"`, `"efficientnet_lite2"`, or that of a
    network of `keras.applications`, such as `"MobileNetV2"`, whose weights
    Keras downloads once. `image_size` is a multiple of 32.

    The network takes images in [-1, 1] and returns a list of four maps: the
    last ones with a pixel for each 4, 8, 16 and 32 pixels of the image. Raises
    `ValueError` if there is no such network, its weights cannot be loaded or
    are not finite, or it lacks a map of one of these sizes.
    """
    if image_size % 32:
        raise ValueError(
            "A feature network takes images of a multiple of 32 pixels. "
            f"Received: {image_size}"
        )
    network = image_network(name, image_size)
    candidates = getattr(network, "block_outputs", None) or [
        layer.output
        for layer in network.layers
        if len(getattr(layer.output, "shape", ())) == 4
    ]
    maps = _last_maps(name, candidates, image_size)
    model = keras.Model(network.input, maps, name=name)
    model.trainable = False
    return model


def pooled_network(
    name: str, image_size: int, num_features: int | None = None
) -> keras.Model:
    """Makes a frozen network that returns a vector of pooled features.

    They are the means over the four maps of `feature_network` and over the
    last map. Maps of early layers hold more about colors and textures than
    the last one.

    Args:
        name: string, `"efficientnet_lite0"` or `"efficientnet_lite2"`.
        image_size: int. Side of its images.
        num_features: int. Size of what an image encoder takes. Older ones take
            the mean over the last map alone: if this is its size, they get
            such a network. Defaults to `None`: all five means.

    Returns:
        `keras.Model` from images in [-1, 1] to features.

    Raises:
        ValueError: there is no such network, or its weights cannot be loaded
            or are not finite.
    """
    if name not in IMAGE_NETWORKS:
        raise ValueError(
            f"`name` must be one of {', '.join(IMAGE_NETWORKS)}. Received: "
            f"{name!r}"
        )
    network = image_network(name, image_size)
    if num_features == network.output_shape[-1]:
        return network
    maps = _last_maps(name, network.block_outputs, image_size)
    pooled = [
        layers.GlobalAveragePooling2D(dtype="float32")(map)
        for map in (*maps, network.output)
    ]
    features = layers.Concatenate(dtype="float32")(pooled)
    model = keras.Model(network.input, features, name=name)
    model.trainable = False
    return model


def _last_maps(name: str, candidates: list[Any], image_size: int) -> list[Any]:
    # The last of each size, which has seen the most layers.
    last = {map.shape[1]: map for map in candidates}
    missing = [s for s in _STRIDES if image_size // s not in last]
    if missing:
        raise ValueError(
            "A feature network must have maps of a pixel for each "
            f"{', '.join(map(str, _STRIDES))} pixels. Received: {name!r}, "
            f"without those for {missing}."
        )
    return [last[image_size // stride] for stride in _STRIDES]


def image_network(name: str, image_size: int) -> keras.Model:
    """Makes a frozen network that returns its last feature map.

    The network takes images in [-1, 1]. `name` and errors are as for
    `feature_network`.
    """
    if name in IMAGE_NETWORKS:
        network = IMAGE_NETWORKS[name](
            image_size=image_size, name=name, dtype="float32"
        )
    else:
        network = _network_of_keras(name, image_size)
        network = keras.Model(network.input, network.output, name=name)
    check_finite_weights(network, name)
    network.trainable = False
    return network


def check_finite_weights(network: keras.Model, name: str) -> None:
    """Raises `ValueError` for NaN or infinity in the weights."""
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ValueError(
            "The weights of a feature network must be finite. Received: NaN or "
            f"infinity in {name!r}. Use another network, or a file of an "
            "earlier time of its training."
        )


def _network_of_keras(name: str, image_size: int) -> keras.Model:
    make, preprocess = find_network(name)
    policy: Any = keras.config.dtype_policy()
    # The only way to set the precision of the networks of Keras.
    keras.config.set_dtype_policy("float32")
    try:
        images = keras.Input((image_size, image_size, 3), name="images")
        preprocessing = layers.Conv2D(3, 1, name="preprocessing")
        inputs = preprocessing(images)
        preprocessing.set_weights(preprocessing_weights(preprocess))
        # Keras would tell of a download where the results go.
        with contextlib.redirect_stdout(sys.stderr):
            return make(
                include_top=False, weights="imagenet", input_tensor=inputs
            )
    # Keras raises errors of many kinds where a download fails.
    except Exception as error:
        raise ValueError(
            "A feature network needs its ImageNet weights. Received: "
            f"{name!r}, whose weights Keras cannot load: "
            f"{first_line(error):.200}"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
