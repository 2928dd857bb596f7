"""The discriminator: from an image and a text embedding to one logit."""

from typing import Any

import keras
from keras import layers

from keras_t2i.checks import check_image_size
from keras_t2i.models.blocks import batch_normalization
from keras_t2i.models.blocks import convolution
from keras_t2i.models.blocks import downsampled
from keras_t2i.models.blocks import leaky_relu
from keras_t2i.models.blocks import linear
from keras_t2i.models.blocks import residual_block
from keras_t2i.models.text_discriminator import TextDiscriminator


@keras.saving.register_keras_serializable("keras_t2i")
class Discriminator(TextDiscriminator):
    """Judges whether an image is real and shows what a text says.

    The trunk's stride-2 convolutions reduce the image to a small map; the
    head tiles the projected text over that map, joins both with a 1x1
    convolution, and a convolution over the whole map gives the logit. As the
    text joins in the head only, one pass of `trunk` serves several texts.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the first convolution; each next one has twice
            as many, up to `8 * width`. Defaults to `64`.
        fusion_size: int. Side of the map where the text joins, 2 or 4.
            Defaults to `2`; the paper has 4.
        as_released: bool. Whether the layers are those of the released code:
            no batch norm after the first convolution, no activation after the
            last but one, a residual bottleneck after the last, batch norm on
            the projected text. Defaults to `False`: batch norm and LeakyReLU
            after every convolution.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Defaults to `128`.
        falling_channels: bool. Whether, in images larger than 64 pixels,
            `width` is that of the map of 32x32 and each larger map has half as
            many, which takes less time and memory. Defaults to `False`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of shape `(batch, 1)`.

    Example:

    >>> discriminator = keras_t2i.Discriminator(
    ...     32, width=4, text_embedding_dim=16
    ... )
    >>> images = keras.ops.zeros((2, 32, 32, 3))
    >>> text = keras.ops.zeros((2, 16))
    >>> discriminator({"images": images, "text_embeddings": text}).shape
    TensorShape([2, 1])
    >>> features = discriminator.trunk(images)
    >>> pairs = {"features": features, "text_embeddings": text}
    >>> discriminator.head(pairs).shape
    TensorShape([2, 1])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 64,
        fusion_size: int = 2,
        as_released: bool = False,
        text_embedding_dim: int = 1024,
        text_projection_dim: int = 128,
        falling_channels: bool = False,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        if fusion_size not in (2, 4):
            raise ValueError(
                f"`fusion_size` must be 2 or 4. Received: {fusion_size!r}"
            )
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        trunk = _trunk(
            image_size,
            width,
            fusion_size,
            as_released,
            falling_channels,
            policy,
        )
        head = _head(
            trunk.output_shape[1:],
            as_released,
            text_embedding_dim,
            text_projection_dim,
            policy,
        )

        super().__init__(trunk, head, image_size, text_embedding_dim, **kwargs)

        # === Config ===
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            fusion_size=fusion_size,
            as_released=as_released,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            falling_channels=falling_channels,
        )


def _trunk(
    image_size: int,
    width: int,
    fusion_size: int,
    as_released: bool,
    falling_channels: bool,
    policy: Any,
) -> keras.Model:
    images = keras.Input((image_size, image_size, 3), name="images")
    x = downsampled(
        images, width, fusion_size, policy, as_released, falling_channels
    )
    if as_released:
        x = residual_block(
            x,
            x.shape[-1] // 4,
            leaky_relu(policy),
            f"residual_{fusion_size}",
            policy,
        )
    return keras.Model(images, x, name="trunk")


def _head(
    map_shape: tuple[int, ...],
    as_released: bool,
    text_embedding_dim: int,
    text_projection_dim: int,
    policy: Any,
) -> keras.Model:
    features = keras.Input(map_shape, name="features")
    text_embeddings = keras.Input((text_embedding_dim,), name="text_embeddings")
    activation = leaky_relu(policy)
    text = linear(
        text_projection_dim,
        text_embedding_dim,
        dtype=policy,
        name="text_projection",
    )(text_embeddings)
    if as_released:
        text = batch_normalization(
            dtype=policy, name="text_batch_normalization"
        )(text)
    text = activation("text_activation")(text)
    size = map_shape[0]
    text = layers.RepeatVector(size * size, dtype=policy, name="tile")(text)
    text = layers.Reshape(
        (size, size, text_projection_dim), dtype=policy, name="text_map"
    )(text)
    x = layers.Concatenate(dtype=policy, name="image_and_text")(
        [features, text]
    )
    x = convolution(map_shape[-1], 1, dtype=policy, name="convolution_joint")(x)
    x = batch_normalization(dtype=policy, name="batch_normalization_joint")(x)
    x = activation("activation_joint")(x)
    x = convolution(
        1, size, padding="valid", dtype=policy, name="convolution_logit"
    )(x)
    # float32: the loss of a rounded logit would be rounded once more.
    logits = layers.Flatten(dtype="float32", name="logits")(x)
    return keras.Model(
        {"features": features, "text_embeddings": text_embeddings},
        logits,
        name="head",
    )
