"""Torch's modules in evaluation mode, in NumPy and in Torch's own layout."""

import numpy as np


def forward(module, x):
    """Runs a module that `torch_networks` made, on an array or a list."""
    name = module.class_name.rpartition(".")[2].removesuffix("MM")
    if name == "gModule":
        return module.run(x)
    return globals()[f"_{name}"](module.fields, x)


def array_of(tensor):
    """The array that a tensor of the test's files stands for."""
    strides = [
        stride * tensor.storage.array.itemsize for stride in tensor.strides
    ]
    start = tensor.storage.array[tensor.offset - 1 :]
    return np.lib.stride_tricks.as_strided(start, tensor.sizes, strides)


def _children(fields):
    modules = fields["modules"]
    return [modules[index] for index in range(1, len(modules) + 1)]


def _Sequential(fields, x):
    for module in _children(fields):
        x = forward(module, x)
    return x


def _ParallelTable(fields, inputs):
    return [
        forward(m, x) for m, x in zip(_children(fields), inputs, strict=True)
    ]


def _ConcatTable(fields, x):
    return [forward(module, x) for module in _children(fields)]


def _Identity(fields, x):
    return x


def _Dropout(fields, x):
    return x


def _JoinTable(fields, inputs):
    axis = int(fields["dimension"]) - 1
    rank = max(x.ndim for x in inputs)
    inputs = [x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in inputs]
    return np.concatenate(inputs, axis)


def _CAddTable(fields, inputs):
    return inputs[0] + inputs[1]


def _CMulTable(fields, inputs):
    return inputs[0] * inputs[1]


def _MulConstant(fields, x):
    return x * fields["constant_scalar"]


def _AddConstant(fields, x):
    return x + fields["constant_scalar"]


def _Replicate(fields, x):
    return np.repeat(
        np.expand_dims(x, int(fields["dim"]) - 1),
        int(fields["nfeatures"]),
        int(fields["dim"]) - 1,
    )


def _SplitTable(fields, x):
    axis = int(fields["dimension"]) - 1
    return [np.take(x, index, axis) for index in range(x.shape[axis])]


def _View(fields, x):
    return x.reshape(len(x), -1)


def _Linear(fields, x):
    return x @ array_of(fields["weight"]).T + array_of(fields["bias"])


def _LeakyReLU(fields, x):
    return np.where(x > 0, x, fields["negval"] * x)


def _ReLU(fields, x):
    return np.maximum(x, 0)


def _Threshold(fields, x):
    return np.where(x > fields["threshold"], x, fields["val"])


def _Tanh(fields, x):
    return np.tanh(x)


def _Sigmoid(fields, x):
    return 1 / (1 + np.exp(-x))


def _BatchNormalization(fields, x):
    mean, weight, bias = (
        array_of(fields[name]) for name in ("running_mean", "weight", "bias")
    )
    if "running_std" in fields:
        scale = array_of(fields["running_std"])
    else:
        scale = 1 / np.sqrt(array_of(fields["running_var"]) + fields["eps"])
    broadcast = (-1,) + (1,) * (x.ndim - 2)
    mean, scale, weight, bias = (
        values.reshape(broadcast) for values in (mean, scale, weight, bias)
    )
    return (x - mean) * scale * weight + bias


_SpatialBatchNormalization = _BatchNormalization


def _SpatialConvolution(fields, x):
    size, stride, pad = (int(fields[name]) for name in ("kH", "dH", "padH"))
    weight = array_of(fields["weight"])
    weight = weight.reshape(len(weight), x.shape[1], size, size)
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    side = (x.shape[2] - size) // stride + 1
    y = 0
    for row in range(size):
        for column in range(size):
            part = x[
                :,
                :,
                row : row + stride * side : stride,
                column : column + stride * side : stride,
            ]
            y = y + np.einsum("nihw,oi->nohw", part, weight[:, :, row, column])
    return y + array_of(fields["bias"])[:, None, None]


def _SpatialFullConvolution(fields, x):
    size, stride, pad = (int(fields[name]) for name in ("kH", "dH", "padH"))
    weight = array_of(fields["weight"])
    # The input of the first is a vector, which Torch has as a 1x1 map.
    x = x.reshape(x.shape + (1,) * (4 - x.ndim))
    side = (x.shape[2] - 1) * stride + size
    y = np.zeros((len(x), weight.shape[1], side, side))
    for row in range(size):
        for column in range(size):
            y[
                :,
                :,
                row : row + stride * x.shape[2] : stride,
                column : column + stride * x.shape[3] : stride,
            ] += np.einsum("nihw,io->nohw", x, weight[:, :, row, column])
    y = y[:, :, pad : side - pad, pad : side - pad]
    return y + array_of(fields["bias"])[:, None, None]


def _TemporalConvolution(fields, x):
    size = int(fields["kW"])
    windows = [
        x[:, start : start + size].reshape(len(x), -1)
        for start in range(x.shape[1] - size + 1)
    ]
    return _Linear(fields, np.stack(windows, 1))


def _TemporalMaxPooling(fields, x):
    size, stride = int(fields["kW"]), int(fields["dW"])
    starts = range(0, x.shape[1] - size + 1, stride)
    return np.stack([x[:, s : s + size].max(1) for s in starts], 1)
