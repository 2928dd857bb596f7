"""Networks as tables of their layers, and their numbers of parameters."""

import keras

# Channels of the generator's maps, from 4x4 on, as multiples of its width.
GENERATOR_CHANNELS = {
    32: (4, 2, 1),
    64: (8, 4, 2, 1),
    128: (8, 8, 4, 2, 1),
    256: (8, 8, 8, 4, 2, 1),
}
# Channels of the trunk's maps down to 4x4; one of 2x2 may follow.
TRUNK_CHANNELS = {
    32: (1, 2, 4),
    64: (1, 2, 4, 8),
    128: (1, 2, 4, 8, 8),
    256: (1, 2, 4, 8, 8, 8),
}
# With `falling_channels`.
FALLING_GENERATOR_CHANNELS = {
    32: (4, 2, 1),
    64: (8, 4, 2, 1),
    128: (8, 4, 2, 1, 0.5),
    256: (8, 4, 2, 1, 0.5, 0.25),
}


def describe(layer):
    """One line on all that a layer's config and weights say of its kind."""
    kind = type(layer).__name__
    if kind in ("Conv2D", "Conv2DTranspose"):
        height, width, inputs, outputs = layer.kernel.shape
        if kind == "Conv2DTranspose":
            inputs, outputs = outputs, inputs
        bias = " bias" if layer.use_bias else ""
        return (
            f"{kind} {height}x{width}/{layer.strides[0]} {layer.padding} "
            f"{inputs}->{outputs}{bias}"
        )
    if kind == "Dense":
        bias = " bias" if layer.use_bias else ""
        return f"Dense {'->'.join(map(str, layer.kernel.shape))}{bias}"
    if kind == "FusedBatchNormalization":
        return f"BatchNorm {layer.gamma.shape[0]}"
    if kind == "LeakyReLU":
        return f"LeakyReLU {layer.negative_slope}"
    if kind == "Activation":
        return layer.activation.__name__
    return f"{kind} {'x'.join(map(str, layer.output.shape[1:]))}"


def table(model):
    return [
        describe(layer)
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def _convolution(kernel_size, inputs, outputs):
    return kernel_size**2 * inputs * outputs


def _batch_norm(channels):
    # Scale, offset, moving mean and moving variance.
    return 4 * channels


def _residual_block(channels, inner):
    return (
        _convolution(1, channels, inner)
        + _convolution(3, inner, inner)
        + _convolution(3, inner, channels)
        + 2 * _batch_norm(inner)
        + _batch_norm(channels)
    )


def generator_parameters(image_size, width, residual_blocks, text_dim=1024):
    total = text_dim * 128 + 128
    inputs = 100 + 128
    for place, multiple in enumerate(GENERATOR_CHANNELS[image_size]):
        channels = multiple * width
        total += _convolution(4, inputs, channels) + _batch_norm(channels)
        if residual_blocks and place < 2:
            total += _residual_block(channels, channels // 4)
        inputs = channels
    return total + _convolution(4, inputs, 3)


def discriminator_parameters(
    image_size, width, fusion_size, as_released, text_dim=1024
):
    total = text_dim * 128 + 128
    inputs = 3
    multiples = TRUNK_CHANNELS[image_size]
    if fusion_size == 2:
        multiples += (8,)
    for place, multiple in enumerate(multiples):
        channels = multiple * width
        total += _convolution(4, inputs, channels)
        if place > 0 or not as_released:
            total += _batch_norm(channels)
        inputs = channels
    if as_released:
        total += _residual_block(inputs, inputs // 4) + _batch_norm(128)
    total += _convolution(1, inputs + 128, inputs) + _batch_norm(inputs)
    return total + _convolution(fusion_size, inputs, 1)
