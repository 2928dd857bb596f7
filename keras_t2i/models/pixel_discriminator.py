"""A discriminator without batch norm, held in check by a gradient penalty."""

import keras
from keras import layers

from keras_t2i.checks import check_image_size
from keras_t2i.models.boxed_convolutions import BoxedConv2D
from keras_t2i.models.gradient_penalty import gradient_penalty
from keras_t2i.models.minibatch_deviation import MinibatchDeviation
from keras_t2i.models.text_discriminator import TextDiscriminator
from keras_t2i.models.text_scores import standardized
from keras_t2i.models.text_scores import text_scores


@keras.saving.register_keras_serializable("keras_t2i")
class PixelDiscriminator(TextDiscriminator):
    """Judges images and texts from the pixels, as `Discriminator` does.

    Unlike `Discriminator` it has no batch norm, stride-2 convolutions that
    cannot send checkerboards to the generator, a channel for the deviation
    within the batch, and it joins the text twice: as in the paper, and by a
    projection. In training, the gradient of its logit with respect to real
    images is penalized every few steps (lazy R1).

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the map of 32x32; each smaller map has twice as
            many, each larger one half as many. Defaults to `32`.
        penalty_weight: float. Weight gamma of the gradient penalty; 0 leaves
            it out. Defaults to `1.0`.
        penalty_interval: int. Steps from one penalty to the next, which weighs
            as much more. Defaults to `16`.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Size of the text that is tiled. Defaults to
            `128`.
        projection_dim: int. Size of the vectors of image and text that are
            multiplied. Defaults to `256`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of shape `(batch, 1)`.

    Example:

    >>> discriminator = keras_t2i.PixelDiscriminator(
    ...     32, width=4, text_embedding_dim=16
    ... )
    >>> pairs = {"images": np.zeros((2, 32, 32, 3))}
    >>> pairs["text_embeddings"] = np.zeros((2, 16))
    >>> discriminator(pairs).shape
    TensorShape([2, 1])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
        - [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), R1.
        - [Karras et al., 2020](https://arxiv.org/abs/1912.04958), lazy
          regularization.
    """

    def __init__(
        self,
        image_size=64,
        width=32,
        penalty_weight=1.0,
        penalty_interval=16,
        text_embedding_dim=1024,
        text_projection_dim=128,
        projection_dim=256,
        **kwargs,
    ):
        check_image_size(image_size)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        trunk = _trunk(image_size, width, policy)
        head = _head(
            trunk.output_shape[1:],
            text_embedding_dim,
            text_projection_dim,
            projection_dim,
            policy,
        )

        super().__init__(trunk, head, image_size, text_embedding_dim, **kwargs)

        # === Config ===
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            penalty_weight=penalty_weight,
            penalty_interval=penalty_interval,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            projection_dim=projection_dim,
        )

    def regularization(self, views, text_embeddings, step):
        """Returns what is added to the loss: the gradient penalty.

        Args:
            views: float tensor of shape `(batch, image_size, image_size, 3)`.
                Real images.
            text_embeddings: float tensor of shape
                `(batch, text_embedding_dim)`.
            step: int tensor.

        Returns:
            Scalar tensor; 0 between the steps that have a penalty.
        """
        if not self.penalty_weight:
            return 0.0

        def logits(images):
            features = self.trunk(images, training=True)
            return self.head(
                {"features": features, "text_embeddings": text_embeddings},
                training=True,
            )

        return gradient_penalty(
            logits, views, self.penalty_weight, self.penalty_interval, step
        )


def _trunk(image_size, width, policy):
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    size = image_size
    while size > 4:
        size //= 2
        x = BoxedConv2D(
            max(1, 32 * width // size), dtype=policy, name=f"convolution_{size}"
        )(x)
        x = layers.LeakyReLU(0.2, dtype=policy, name=f"activation_{size}")(x)
    filters = x.shape[-1]
    x = MinibatchDeviation(dtype=policy, name="minibatch_deviation")(x)
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer="he_normal",
        dtype=policy,
        name="convolution",
    )(x)
    x = layers.LeakyReLU(0.2, dtype=policy, name="activation")(x)
    return keras.Model(images, x, name="trunk")


def _head(
    map_shape, text_embedding_dim, text_projection_dim, projection_dim, policy
):
    features = keras.Input(map_shape, name="features")
    text_embeddings = keras.Input((text_embedding_dim,), name="text_embeddings")
    logits = text_scores(
        features,
        standardized(text_embeddings, policy),
        text_projection_dim,
        projection_dim,
        "map",
        policy,
    )
    return keras.Model(
        {"features": features, "text_embeddings": text_embeddings},
        logits,
        name="head",
    )
