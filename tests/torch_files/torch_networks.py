"""Networks as the published Torch code makes and saves them."""

import numpy as np

from tests.formats.t7_writer import Function
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import Object
from tests.formats.t7_writer import Storage
from tests.formats.t7_writer import Tensor
from tests.formats.t7_writer import lua_list
from tests.torch_files.torch_graphs import Node
from tests.torch_files.torch_graphs import graph_module


class Builder:
    """Makes modules with random weights, in one storage as when training.

    Args:
        seed: int.
        package: string. Where the classes are that cudnn has too.
        matrices: bool. Whether convolutions have matrices as weights.
        old_batch_norm: bool. Whether batch norms have `running_std`.
    """

    def __init__(
        self, seed=0, package="nn", matrices=False, old_batch_norm=False
    ):
        self._generator = np.random.default_rng(seed)
        self._package = package
        self._matrices = matrices
        self._old_batch_norm = old_batch_norm
        prefix = "Cuda" if package == "cudnn" else "Float"
        self._storage_class = f"torch.{prefix}Storage".replace("CudaF", "Cuda")
        self.tensor_class = self._storage_class.replace("Storage", "Tensor")
        self.parameters = Storage(np.zeros(0, "f4"), self._storage_class)

    def parameter(self, values):
        """A tensor within the storage that all parameters share."""
        values = np.asarray(values, "f4")
        offset = len(self.parameters.array) + 1
        self.parameters.array = np.append(self.parameters.array, values)
        return self._tensor(self.parameters, values.shape, offset)

    def buffer(self, values):
        values = np.asarray(values, "f4")
        storage = Storage(values.ravel(), self._storage_class)
        return self._tensor(storage, values.shape)

    def normal(self, shape, scale):
        return self.parameter(self._generator.normal(0, scale, shape))

    def module(self, name, package="nn", **fields):
        """A module, with the leftovers of training that Torch saves too."""
        return Object(
            f"{package}.{name}",
            LuaTable(
                {
                    "_type": self.tensor_class,
                    "train": False,
                    "output": self._tensor(None, ()),
                    "gradInput": self._tensor(None, ()),
                    **fields,
                }
            ),
        )

    def container(self, name, *modules):
        return self.module(name, modules=lua_list(*modules))

    def sequential(self, *modules):
        return self.container("Sequential", *modules)

    def activation(self, name):
        if name == "LeakyReLU":
            return self.module(name, negval=0.2, inplace=True)
        return self.module(name, self._package, inplace=True)

    def linear(self, inputs, outputs):
        return self.module(
            "Linear",
            weight=self.normal((outputs, inputs), inputs**-0.5),
            bias=self.normal((outputs,), 0.5),
        )

    def shared_linear(self, units):
        """Returns what makes linear layers, all with the same weights.

        Sharing puts a function into each, which Torch saves with it.
        """
        first = self.linear(units, units).fields
        function = Function(upvalues=LuaTable())

        def make():
            shared = {
                name: self._tensor(
                    first[name].storage, first[name].sizes, first[name].offset
                )
                for name in ("weight", "bias")
            }
            module = self.sequential(self.module("Linear", **shared))
            linear = module.fields["modules"][1]
            linear.fields["accUpdateGradParameters"] = function
            return module

        return make

    def temporal_convolution(self, inputs, outputs):
        return self.module(
            "TemporalConvolution",
            weight=self.normal((outputs, 4 * inputs), 0.5),
            bias=self.normal((outputs,), 0.2),
            **{"kW": 4, "dW": 1},
            inputFrameSize=inputs,
            outputFrameSize=outputs,
        )

    def convolution(self, inputs, outputs, size, stride=1, pad=0):
        shape = (outputs, inputs, size, size)
        name = "SpatialConvolution"
        if self._matrices:
            shape = (outputs, inputs * size * size)
            name = "SpatialConvolutionMM"
        return self._convolution(
            name, shape, inputs, outputs, size, stride, pad
        )

    def full_convolution(self, inputs, outputs, stride=1, pad=0):
        shape = (inputs, outputs, 4, 4)
        name = "SpatialFullConvolution"
        return self._convolution(name, shape, inputs, outputs, 4, stride, pad)

    def batch_norm(self, channels, name="SpatialBatchNormalization"):
        variance = self._generator.uniform(0.5, 2, channels)
        if self._old_batch_norm:
            statistics = {"running_std": self.buffer((variance + 1e-5) ** -0.5)}
        else:
            statistics = {"running_var": self.buffer(variance)}
        return self.module(
            name,
            self._package,
            eps=1e-5,
            momentum=0.1,
            affine=True,
            weight=self.parameter(self._generator.uniform(0.5, 1.5, channels)),
            bias=self.normal((channels,), 0.3),
            running_mean=self.buffer(self._generator.normal(0, 0.3, channels)),
            **statistics,
        )

    def residual(self, channels, activation):
        inner = channels // 4
        branch = self.sequential(
            self.convolution(channels, inner, 1),
            self.batch_norm(inner),
            self.activation(activation),
            self.convolution(inner, inner, 3, pad=1),
            self.batch_norm(inner),
            self.activation(activation),
            self.convolution(inner, channels, 3, pad=1),
            self.batch_norm(channels),
        )
        identity = self.module("Identity")
        return [
            self.container("ConcatTable", identity, branch),
            self.module("CAddTable", inplace=False),
            self.activation(activation),
        ]

    def _convolution(self, name, shape, inputs, outputs, size, stride, pad):
        return self.module(
            name,
            self._package,
            weight=self.normal(shape, (inputs * size) ** -0.5),
            bias=self.parameter(np.zeros(outputs)),
            nInputPlane=inputs,
            nOutputPlane=outputs,
            **{"kW": size, "kH": size, "dW": stride, "dH": stride},
            **{"padW": pad, "padH": pad},
        )

    def _tensor(self, storage, shape, offset=1):
        strides = [
            int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))
        ]
        return Tensor(storage, shape, strides, offset, self.tensor_class)


def generator(build, width=2, noise=5, projection=6, text=7, large=False):
    def up(inputs, outputs):
        return [build.full_convolution(inputs, outputs, 2, 1)]

    def blocks(channels):
        block = build.residual(channels, "ReLU")
        return (
            [*build.residual(channels, "ReLU")[:2], *block] if large else block
        )

    return build.sequential(
        build.container(
            "ParallelTable",
            build.module("Identity"),
            build.sequential(
                build.linear(text, projection), build.activation("LeakyReLU")
            ),
        ),
        build.module("JoinTable", dimension=2),
        build.full_convolution(noise + projection, 8 * width),
        build.batch_norm(8 * width),
        *blocks(8 * width),
        *up(8 * width, 4 * width),
        build.batch_norm(4 * width),
        *blocks(4 * width),
        *up(4 * width, 2 * width),
        build.batch_norm(2 * width),
        build.activation("ReLU"),
        *up(2 * width, width),
        build.batch_norm(width),
        build.activation("ReLU"),
        *up(width, 3),
        build.activation("Tanh"),
    )


def discriminator(build, width=2, projection=6, text=7, coco=False, skip=True):
    def down(inputs, outputs):
        return build.convolution(inputs, outputs, 4, 2, 1)

    leaky = [build.activation("LeakyReLU")]
    images = build.sequential(
        down(3, width),
        *leaky,
        down(width, 2 * width),
        build.batch_norm(2 * width),
        *leaky,
        down(2 * width, 4 * width),
        build.batch_norm(4 * width),
        *(leaky if coco else []),
        down(4 * width, 8 * width),
        build.batch_norm(8 * width),
        *(build.residual(8 * width, "LeakyReLU") if skip else leaky),
    )
    text_norm = [build.batch_norm(projection, "BatchNormalization")]
    texts = build.sequential(
        build.linear(text, projection),
        *([] if coco else text_norm),
        *leaky,
        # What training leaves here: an expanded view of a smaller storage.
        build.module(
            "Replicate",
            nfeatures=4,
            dim=3,
            output=Tensor(
                Storage(np.ones(6, "f4"), build.tensor_class[:-6] + "Storage"),
                (64, 6, 4),
                (0, 1, 0),
                class_name=build.tensor_class,
            ),
        ),
        build.module("Replicate", nfeatures=4, dim=4),
    )
    return build.sequential(
        build.container("ParallelTable", images, texts),
        build.module("JoinTable", dimension=2),
        build.convolution(8 * width + projection, 8 * width, 1),
        build.batch_norm(8 * width),
        *leaky,
        build.convolution(8 * width, 1, 4),
        build.activation("Sigmoid"),
        build.module("View", size=1),
    )


def text_encoder(
    build,
    filters=(5, 6, 8),
    embedding_dim=7,
    third_pool=True,
    gated=False,
    alphabet=70,
    mean=True,
):
    """HybridCNN with FixedRNN, or HybridCNNLong with FixedGRU."""
    units = filters[-1]
    convolutions, inputs = [], alphabet
    for index, outputs in enumerate(filters):
        convolutions += [
            build.temporal_convolution(inputs, outputs),
            build.module("Threshold", threshold=1e-6, val=0, inplace=False),
        ]
        if index < 2 or third_pool:
            stride = 3 if index < 2 else 2
            convolutions.append(
                build.module("TemporalMaxPooling", kW=3, dW=stride)
            )
        inputs = outputs
    recurrence = (_gated_recurrence if gated else _relu_recurrence)(
        build, units, 8 if third_pool else 18, mean
    )
    characters = Node(build.module("Identity"))
    maps = Node(build.sequential(*convolutions), characters)
    steps = Node(build.module("SplitTable", dimension=2), maps)
    states = Node(recurrence, steps)
    dropout = Node(build.module("Dropout", p=0), states)
    embedding = Node(build.linear(units, embedding_dim), dropout)
    return graph_module(build, [characters], embedding)


def _relu_recurrence(build, units, num_steps, mean):
    inputs = [Node(build.module("Identity")) for _ in range(num_steps)]
    input_layer = build.shared_linear(units)
    hidden_layer = build.shared_linear(units)
    state = total = None
    for node in inputs:
        value = Node(input_layer(), node)
        if state is not None:
            hidden = Node(hidden_layer(), state)
            value = Node(build.module("CAddTable"), value, hidden)
        state = Node(build.module("ReLU"), value)
        total = _add(build, total, state)
    return graph_module(build, inputs, _mean(build, total, num_steps))


def _gated_recurrence(build, units, num_steps, mean):
    inputs = [Node(build.module("Identity")) for _ in range(num_steps)]
    names = ["input", "hidden"]
    names += [f"{a}_{b}" for a in names for b in ("update", "reset")]
    layers = {name: build.shared_linear(units) for name in names}
    states = []
    for node in inputs:
        if not states:
            candidate = Node(layers["input"](), node)
            states.append(Node(build.module("Tanh"), candidate))
            continue

        def gate(name, node=node):
            values = [
                Node(layers[f"input_{name}"](), node),
                Node(layers[f"hidden_{name}"](), states[-1]),
            ]
            added = Node(build.module("CAddTable"), *values)
            return Node(build.module("Sigmoid"), added)

        update, reset = gate("update"), gate("reset")
        gated = Node(build.module("CMulTable"), reset, states[-1])
        values = [
            Node(layers["input"](), node),
            Node(layers["hidden"](), gated),
        ]
        candidate = Node(build.module("CAddTable"), *values)
        candidate = Node(build.module("Tanh"), candidate)
        new = Node(build.module("CMulTable"), update, candidate)
        rest = Node(build.module("MulConstant", constant_scalar=-1), update)
        rest = Node(build.module("AddConstant", constant_scalar=1), rest)
        old = Node(build.module("CMulTable"), rest, states[-1])
        states.append(Node(build.module("CAddTable"), new, old))
    if not mean:
        return graph_module(build, inputs, states[-1])
    total = None
    for state in states:
        total = _add(build, total, state)
    return graph_module(build, inputs, _mean(build, total, num_steps))


def _add(build, total, state):
    if total is None:
        return state
    return Node(build.module("CAddTable"), total, state)


def _mean(build, total, num_steps):
    module = build.module("MulConstant", constant_scalar=1 / num_steps)
    return Node(module, total)
