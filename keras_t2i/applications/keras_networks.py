"""Networks of `keras.applications`, and what they expect of images."""

import types

import keras
import numpy as np


def find_network(name):
    """Finds a network of `keras.applications`.

    Args:
        name: string, such as `"MobileNetV2"`.

    Returns:
        The function that makes the network, and its preprocessing function.

    Raises:
        ValueError: there is no such network.
    """
    known = {
        key: value
        for key, value in vars(keras.applications).items()
        if callable(value)
    }
    if name not in known:
        raise ValueError(
            "`name` must be a network of `keras.applications`: "
            f"{', '.join(sorted(known))}. Received: {name!r}"
        )
    for module in vars(keras.applications).values():
        if isinstance(module, types.ModuleType) and hasattr(module, name):
            return known[name], module.preprocess_input
    # Not beside the network: it does all of it inside.
    return known[name], lambda images: images


def preprocessing_weights(preprocess):
    """Expresses a preprocessing as weights of a 1x1 convolution.

    Each network has its own: scales, means, another order of the colors. All
    are affine, so what they do to black and to each color tells what they are.

    Args:
        preprocess: function of images in [0, 255].

    Returns:
        list of kernel and bias, for images in [-1, 1].
    """
    colors = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    # A copy: some work in place.
    results = np.array(preprocess(colors.reshape(1, 2, 2, 3).copy()))
    results = results.reshape(4, 3)
    black = results[0]
    # Of a color that goes from 0 to 255 while the input goes from -1 to 1.
    kernel = (results[1:] - black) / 2.0
    bias = black + kernel.sum(axis=0)
    return [kernel.reshape(1, 1, 3, 3), bias]
