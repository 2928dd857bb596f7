"""The published text encoders of Reed et al. (2016)."""

import numpy as np

from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.tokenizers import ALPHABET
from keras_t2i.torch_files.torch_module import TorchModule
from keras_t2i.torch_files.torch_module import check_kinds
from keras_t2i.torch_files.torch_module import read_network
from keras_t2i.types import StrPath

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
