"""The published networks of Reed et al. (2016): GANs and text encoders."""

from typing import Any

import numpy as np

from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.generator import Generator
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.tokenizers import ALPHABET
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
_KERNEL_SIZE = 4
# The modules of each recurrence, in the order in which its graph runs them:
# those of the first step, and those of each later one. The names in lower case
# are linear layers, whose weights the steps share; each step ends with the sum
# of the states.
_FIRST_STEPS = {
    "relu": ["Identity", "input", "ReLU"],
    "gated": ["Identity", "input", "Tanh"],
}
_LATER_STEPS = {
    "relu": ["Identity", "input", "hidden", "CAddTable", "ReLU", "CAddTable"],
    "gated": [
        *("Identity", "input_update", "hidden_update", "CAddTable", "Sigmoid"),
        *("input", "input_reset", "hidden_reset", "CAddTable", "Sigmoid"),
        *("CMulTable", "hidden", "CAddTable", "Tanh"),
        *("CMulTable", "MulConstant", "AddConstant", "CMulTable", "CAddTable"),
        "CAddTable",
    ],
}
# In the order in which `ReLURecurrence` and `GatedRecurrence` have them.
_INPUTS = {"relu": ["input"], "gated": ["input_update", "input_reset", "input"]}


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
    # The kinds of the modules do not depend on the sizes.
    check_kinds(
        modules,
        [kind for kind, _ in _generator_layout(1, 1, 1, 1)],
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
        _generator_layout(
            width, noise_dim, text_projection_dim, text_embedding_dim
        ),
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
        [kind for kind, _ in _discriminator_layout(1, 1, 1)],
        f"the discriminator {path}",
    )
    width = modules[0].size("weight", 0)
    projection = modules[kinds.index("Linear")]
    text_projection_dim = projection.size("weight", 0)
    text_embedding_dim = projection.size("weight", 1)
    weights = _weights(
        modules,
        _discriminator_layout(width, text_projection_dim, text_embedding_dim),
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


def _generator_layout(
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


def _discriminator_layout(
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
            weights.append(_linear(module, shape))
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


def load_reed_text_encoder(path: StrPath) -> CharCNNRNN:
    """Loads a text encoder published by Reed et al. (2016).

    Args:
        path: path of a file such as `lm_sje_*.t7`, of the encoders for birds
            and flowers, or `coco_*_net_T.t7`. Which of the encoders it is, and
            how wide, is read from the file.

    Returns:
        `keras_t2i.CharCNNRNN`.

    Raises:
        ValueError: the file cannot be read, or holds another network; the
            message names the module and what is different.
        OSError: the file cannot be opened.
    """
    network = read_network(path, "protos", "enc_doc")
    modules = network.modules()
    check_kinds(
        modules,
        [
            "Identity",
            "Sequential",
            "SplitTable",
            "gModule",
            "Dropout",
            "Linear",
        ],
        f"the text encoder {path}",
    )
    _, convolutions, _, recurrence, _, embedding = modules
    filters, third_pool, convolution_weights = _convolutions(convolutions)
    units = filters[-1]
    kind, recurrence_weights = _recurrence(
        recurrence, units, num_steps=8 if third_pool else 18
    )
    embedding_weights = _linear(embedding, (embedding.size("weight", 0), units))
    encoder = CharCNNRNN(
        filters,
        third_pool=third_pool,
        recurrence=kind,
        embedding_dim=len(embedding_weights[1]),
    )
    for index, weights in enumerate(convolution_weights, start=1):
        encoder.get_layer(f"convolution_{index}").set_weights(weights)
    encoder.get_layer("recurrence").set_weights(recurrence_weights)
    encoder.get_layer("embedding").set_weights(embedding_weights)
    return encoder


def _convolutions(
    network: TorchModule,
) -> tuple[tuple[int, ...], bool, list[list[np.ndarray]]]:
    """Returns numbers of filters, whether the third is pooled, and weights."""
    modules = network.modules()
    third_pool = len(modules) == 9
    kinds = 3 * ["TemporalConvolution", "Threshold", "TemporalMaxPooling"]
    check_kinds(modules, kinds if third_pool else kinds[:8], network.where)
    filters: tuple[int, ...] = ()
    weights = []
    inputs = len(ALPHABET)
    for module in modules[::3]:
        outputs = module.size("weight", 0)
        kernel, bias = _linear(module, (outputs, _KERNEL_SIZE * inputs))
        weights.append([kernel.reshape(_KERNEL_SIZE, inputs, outputs), bias])
        filters += (outputs,)
        inputs = outputs
    return filters, third_pool, weights


def _recurrence(
    network: TorchModule, units: int, num_steps: int
) -> tuple[str, list[np.ndarray]]:
    """Returns which recurrence it is, and the weights of its layer."""
    modules = network.modules()
    gated = any(module.kind == "Sigmoid" for module in modules)
    kind = "gated" if gated else "relu"
    names = [
        *_FIRST_STEPS[kind],
        *(num_steps - 1) * _LATER_STEPS[kind],
        "MulConstant",
    ]
    check_kinds(
        modules,
        ["Sequential" if name.islower() else name for name in names],
        network.where,
    )
    linears: dict[str, list[np.ndarray]] = {}
    for name, module in zip(names, modules):
        if not name.islower():
            continue
        check_kinds(module.modules(), ["Linear"], module.where)
        weights = _linear(module.modules()[0], (units, units))
        first = linears.setdefault(name, weights)
        if not all(map(np.array_equal, weights, first)):
            raise ValueError(
                "Expected each step to have the weights of the first. "
                f"Received: others at {module.where}."
            )
    inputs = _INPUTS[kind]
    hiddens = [name.replace("input", "hidden") for name in inputs]
    kernel, bias = _joined(linears, inputs)
    recurrent_kernel, recurrent_bias = _joined(linears, hiddens)
    return kind, [kernel, recurrent_kernel, bias, recurrent_bias]


def _joined(
    linears: dict[str, list[np.ndarray]], names: list[str]
) -> list[np.ndarray]:
    weights = [linears[name] for name in names]
    return [np.concatenate(arrays, axis=-1) for arrays in zip(*weights)]


def _linear(module: TorchModule, shape: tuple[int, int]) -> list[np.ndarray]:
    """Returns kernel and bias, from a weight of shape (outputs, inputs)."""
    weight = module.array("weight", shape)
    return [weight.T, module.array("bias", shape[:1])]
