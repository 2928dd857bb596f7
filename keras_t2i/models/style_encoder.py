"""The style encoder S: an image to the noise that would draw its style."""

import keras
from keras import layers

from keras_t2i.checks import check_image_size
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.models.blocks import batch_normalization
from keras_t2i.models.blocks import convolution
from keras_t2i.models.blocks import linear


def check_style_encoder(style_encoder, gan):
    """Raises `ValueError` for what can not lead from images to noise of a GAN.

    Args:
        style_encoder: `StyleEncoder`, or another `keras.Model`.
        gan: `TextToImageGAN`.
    """
    expected = (None, gan.image_size, gan.image_size, 3), (None, gan.noise_dim)
    received = tuple(
        getattr(style_encoder, name, None)
        for name in ("input_shape", "output_shape")
    )
    if received != expected:
        raise ValueError(
            "`style_encoder` must lead from images of shape "
            f"{expected[0]} to noise of shape {expected[1]}, as this GAN has "
            f"them. Received: a {type(style_encoder).__name__} from "
            f"{received[0]} to {received[1]}. Take `.style_encoder` of a "
            "`StyleInversion`, and one that was trained on this GAN."
        )


@keras.saving.register_keras_serializable("keras_t2i")
class StyleEncoder(ConfiguredModel):
    """Finds the noise from which a generator would draw an image.

    What a text leaves open, a generator takes from its noise: an image's noise
    is its style. Stride-2 convolutions with batch norm and LeakyReLU lead to a
    4x4 map, and a linear layer from there to the noise. `StyleInversion` trains
    it.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the first convolution; each next one has twice
            as many, up to `8 * width`. Defaults to `64`.
        noise_dim: int. That of the generator. Defaults to `100`.

    Call input: images in [-1, 1] of shape `(batch, image_size, image_size,
    3)`. Output: float32 noise of shape `(batch, noise_dim)`.

    Example:

    >>> style_encoder = keras_t2i.StyleEncoder(32, width=4, noise_dim=8)
    >>> style_encoder(np.zeros((2, 32, 32, 3))).shape
    TensorShape([2, 8])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.4.
    """

    def __init__(self, image_size=64, width=64, noise_dim=100, **kwargs):
        check_image_size(image_size)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))

        # === Functional Model ===
        images = keras.Input((image_size, image_size, 3), name="images")
        x = images
        size = image_size
        # The paper gives no layers: these are the discriminator's.
        while size > 4:
            size //= 2
            x = convolution(
                width * min(8, image_size // (2 * size)),
                4,
                strides=2,
                dtype=policy,
                name=f"convolution_{size}",
            )(x)
            x = batch_normalization(
                dtype=policy, name=f"batch_normalization_{size}"
            )(x)
            x = layers.LeakyReLU(0.2, dtype=policy, name=f"activation_{size}")(
                x
            )
        x = layers.Flatten(dtype=policy, name="flatten")(x)
        # float32: noise of a few digits would draw other pictures.
        noise = linear(noise_dim, x.shape[-1], dtype="float32", name="noise")(x)
        super().__init__(inputs=images, outputs=noise, **kwargs)

        # === Config ===
        self.set_arguments(
            policy, image_size=image_size, width=width, noise_dim=noise_dim
        )
