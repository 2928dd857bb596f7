"""The only two places where images change their range."""

import keras

# What a pixel without a value becomes: mid-gray.
_MID_GRAY = 0.0


def to_model_range(images):
    """Brings 8-bit images into the range that models work in.

    Args:
        images: uint8 tensor or array of any shape, in [0, 255].

    Returns:
        float32 tensor of the same shape, in [-1, 1].

    Example:

    >>> from keras_t2i.datasets.image_range import to_model_range
    >>> to_model_range(np.array([0, 255], "uint8")).numpy()
    array([-1.,  1.], dtype=float32)
    """
    # Not a division: TensorFlow makes it this product, which can round
    # differently, in a graph but not outside of one.
    return keras.ops.cast(images, "float32") * (1 / 127.5) - 1.0


def to_uint8(images):
    """Brings images from the range of models back to 8 bits.

    Args:
        images: float tensor or array of any shape, in [-1, 1]. Values outside
            are clipped; NaN becomes mid-gray.

    Returns:
        uint8 tensor of the same shape, in [0, 255].

    Example:

    >>> from keras_t2i.datasets.image_range import to_uint8
    >>> to_uint8(np.array([-1.0, 1.0, 1.5])).numpy()
    array([  0, 255, 255], dtype=uint8)
    """
    # Half-precision floats have too few digits for 256 levels and rounding.
    images = keras.ops.cast(images, "float32")
    images = keras.ops.nan_to_num(
        images, nan=_MID_GRAY, posinf=1.0, neginf=-1.0
    )
    images = keras.ops.clip(images, -1.0, 1.0)
    return keras.ops.cast(keras.ops.round((images + 1.0) * 127.5), "uint8")
