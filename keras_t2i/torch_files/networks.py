"""The published generators and discriminators of Reed et al. (2016)."""

from typing import Any

import numpy as np

from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.generator import Generator
from keras_t2i.torch_files.torch_module import TorchModule
from keras_t2i.torch_files.torch_module import check_kinds
from keras_t2i.torch_files.torch_module import read_network
from keras_t2i.types import StrPath

# Kinds of modules, each with the shape of its weight.
_Layout = list[tuple[str, Any]]

_CONVOLUTION = "SpatialConvolution"
_TRANSPOSED = "SpatialFullConvolution"
_BATCH_NORM = "SpatialBatchNormalization"
# They only pass arrays on: the shapes of the weights tell where they are.
_CONNECTIONS = ("Identity", "JoinTable", "Replicate", "View")

# The epsilon of the batch norms, which the layers here have too.
_EPSILON = 1e-5
# One update of Adam moves a zero by 16 times its rate of 2e-4 at most, and
# mostly by once.
_LARGEST_UPDATE = 1e-2


def load_reed_generator(path: StrPath) -> Generator:
    """Loads a generator published by Reed et al. (2016).

    Args:
        path: path of a file `*_net_G.t7`, as the released training code saves
            it, of any width.

    Returns:
        `keras_t2i.Generator` of 64x64 images, with residual blocks.

    Raises:
        ValueError: the file cannot be read, or holds another network; the
            message names the module and what is different.
        OSError: the file cannot be opened.
    """
    modules = _modules(path)
    check_kinds(
        modules,
        [kind for kind, _ in _generator(1, 1, 1, 1)],
        f"the generator {path}",
    )
    text_projection_dim = modules[0].size("weight", 0)
    text_embedding_dim = modules[0].size("weight", 1)
    noise_dim = modules[2].size("weight", 0) - text_projection_dim
    width = modules[-2].size("weight", 0)
    if noise_dim < 1:
        raise ValueError(
            f"Expected more than {text_projection_dim} inputs, those from the "
            f"text, at {modules[2].where}. Received: "
            f"{noise_dim + text_projection_dim}."
        )
    weights = _weights(
        modules,
        _generator(width, noise_dim, text_projection_dim, text_embedding_dim),
    )
    generator = Generator(
        64,
        width=width,
        residual_blocks=True,
        text_embedding_dim=text_embedding_dim,
        text_projection_dim=text_projection_dim,
        noise_dim=noise_dim,
    )
    _set_weights(generator.layers, weights)
    return generator


def load_reed_discriminator(path: StrPath) -> Discriminator:
    """Loads a discriminator trained with the code of Reed et al. (2016).

    Args:
        path: path of a file `*_net_D.t7`, as the released training code for
            birds and flowers saves it, of any width.

    Returns:
        `keras_t2i.Discriminator` of 64x64 images with `as_released=True`. It
        gives logits, the file's network their sigmoid.

    Raises:
        ValueError: the file cannot be read, or holds another network, such
            as the discriminator for COCO; the message names the module and
            what is different.
        OSError: the file cannot be opened.
    """
    modules = _modules(path)
    kinds = [module.kind for module in modules]
    if kinds[-1:] == ["Sigmoid"] and "BatchNormalization" not in kinds:
        raise ValueError(
            "Expected a discriminator with batch norm on the projected text, "
            f"as for birds and flowers. Received: {path}, without, as for "
            "COCO. `Discriminator` has no such layers: it cannot be loaded."
        )
    check_kinds(
        modules,
        [kind for kind, _ in _discriminator(1, 1, 1)],
        f"the discriminator {path}",
    )
    width = modules[0].size("weight", 0)
    projection = modules[kinds.index("Linear")]
    text_projection_dim = projection.size("weight", 0)
    text_embedding_dim = projection.size("weight", 1)
    weights = _weights(
        modules,
        _discriminator(width, text_projection_dim, text_embedding_dim),
    )
    discriminator = Discriminator(
        64,
        width=width,
        fusion_size=4,
        as_released=True,
        text_embedding_dim=text_embedding_dim,
        text_projection_dim=text_projection_dim,
    )
    _set_weights(
        discriminator.trunk.layers + discriminator.head.layers, weights
    )
    return discriminator


def _generator(
    width: int,
    noise_dim: int,
    text_projection_dim: int,
    text_embedding_dim: int,
) -> _Layout:
    inputs = noise_dim + text_projection_dim
    return [
        ("Linear", (text_projection_dim, text_embedding_dim)),
        ("LeakyReLU", None),
        (_TRANSPOSED, (inputs, 8 * width, 4, 4)),
        (_BATCH_NORM, (8 * width,)),
        *_residual_block(8 * width, "ReLU"),
        (_TRANSPOSED, (8 * width, 4 * width, 4, 4)),
        (_BATCH_NORM, (4 * width,)),
        *_residual_block(4 * width, "ReLU"),
        (_TRANSPOSED, (4 * width, 2 * width, 4, 4)),
        (_BATCH_NORM, (2 * width,)),
        ("ReLU", None),
        (_TRANSPOSED, (2 * width, width, 4, 4)),
        (_BATCH_NORM, (width,)),
        ("ReLU", None),
        (_TRANSPOSED, (width, 3, 4, 4)),
        ("Tanh", None),
    ]


def _discriminator(
    width: int, text_projection_dim: int, text_embedding_dim: int
) -> _Layout:
    return [
        (_CONVOLUTION, (width, 3, 4, 4)),
        ("LeakyReLU", None),
        (_CONVOLUTION, (2 * width, width, 4, 4)),
        (_BATCH_NORM, (2 * width,)),
        ("LeakyReLU", None),
        (_CONVOLUTION, (4 * width, 2 * width, 4, 4)),
        (_BATCH_NORM, (4 * width,)),
        (_CONVOLUTION, (8 * width, 4 * width, 4, 4)),
        (_BATCH_NORM, (8 * width,)),
        *_residual_block(8 * width, "LeakyReLU"),
        ("Linear", (text_projection_dim, text_embedding_dim)),
        ("BatchNormalization", (text_projection_dim,)),
        ("LeakyReLU", None),
        (_CONVOLUTION, (8 * width, 8 * width + text_projection_dim, 1, 1)),
        (_BATCH_NORM, (8 * width,)),
        ("LeakyReLU", None),
        (_CONVOLUTION, (1, 8 * width, 4, 4)),
        ("Sigmoid", None),
    ]


def _residual_block(channels: int, activation: str) -> _Layout:
    inner = channels // 4
    return [
        (_CONVOLUTION, (inner, channels, 1, 1)),
        (_BATCH_NORM, (inner,)),
        (activation, None),
        (_CONVOLUTION, (inner, inner, 3, 3)),
        (_BATCH_NORM, (inner,)),
        (activation, None),
        (_CONVOLUTION, (channels, inner, 3, 3)),
        (_BATCH_NORM, (channels,)),
        ("CAddTable", None),
        (activation, None),
    ]


def _modules(path: StrPath) -> list[TorchModule]:
    return [
        module
        for module in read_network(path).leaves()
        if module.kind not in _CONNECTIONS
    ]


def _weights(
    modules: list[TorchModule], layout: _Layout
) -> list[list[np.ndarray]]:
    """Returns the Keras weights of each module that has some."""
    weights = []
    for module, (kind, shape) in zip(modules, layout):
        if kind == "LeakyReLU":
            _check_number(module, "negval", 0.2)
        elif kind == "Linear":
            weights.append(
                [
                    module.array("weight", shape).T,
                    module.array("bias", shape[:1]),
                ]
            )
        elif kind in (_BATCH_NORM, "BatchNormalization"):
            weights.append(_batch_norm_weights(module, shape))
        elif shape:
            _check_without_bias(module, shape[kind == _TRANSPOSED])
            # From (out, in, height, width) and, transposed, (in, out, height,
            # width): both end with the axis that Torch has first.
            weights.append(
                [module.array("weight", shape).transpose(2, 3, 1, 0)]
            )
    return weights


def _batch_norm_weights(
    module: TorchModule, shape: tuple[int, ...]
) -> list[np.ndarray]:
    _check_number(module, "eps", _EPSILON)
    if module.has("running_var"):
        variance = module.array("running_var", shape)
    else:
        # Older files have one divided by the standard deviation.
        variance = module.array("running_std", shape) ** -2.0 - _EPSILON
    return [
        module.array("weight", shape),
        module.array("bias", shape),
        module.array("running_mean", shape),
        variance,
    ]


def _check_without_bias(module: TorchModule, outputs: int) -> None:
    # The training code sets the biases to zero before every update. A saved
    # generator holds the biases of its last update.
    if module.has("bias") and (
        np.abs(module.array("bias", (outputs,))).max() > _LARGEST_UPDATE
    ):
        raise ValueError(
            f"Expected a `bias` of nearly zeros at {module.where}, as the "
            "published training code leaves it. Received: others. The networks "
            "here have no such bias."
        )


def _check_number(module: TorchModule, name: str, expected: float) -> None:
    if not np.isclose(module.number(name), expected, rtol=1e-6, atol=0):
        raise ValueError(
            f"Expected {expected} as `{name}` at {module.where}. Received: "
            f"{module.number(name)}. The networks here have no other."
        )


def _set_weights(layers: list, weights: list[list[np.ndarray]]) -> None:
    layers = [layer for layer in layers if layer.weights]
    for layer, values in zip(layers, weights, strict=True):
        layer.set_weights(values)
