"""The paper's discriminator, what all have in common, and several as one."""

import copy
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers
from keras import ops

from keras_t2i.checks import check_image_size
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.models.layers import batch_normalization
from keras_t2i.models.layers import convolution
from keras_t2i.models.layers import downsampled
from keras_t2i.models.layers import leaky_relu
from keras_t2i.models.layers import linear
from keras_t2i.models.layers import residual_block
from keras_t2i.models.normalization import standardized
from keras_t2i.types import Tensor


class TextDiscriminator(ConfiguredModel):
    """A discriminator whose text joins in the second of two parts.

    A subclass makes `trunk`, from what `views` returns to features, and `head`,
    from features and a text to logits, and calls `super().__init__` with them.
    One pass of the trunk then serves several texts. `views` is an argument as
    well, since a method cannot use the layers of a model that is not made yet.
    """

    def __init__(
        self,
        trunk: keras.Model,
        head: keras.Model,
        image_size: int,
        text_embedding_dim: int,
        views: Callable[[Tensor], Tensor] = lambda images: images,
        **kwargs: Any,
    ) -> None:
        # === Functional Model ===
        images = keras.Input((image_size, image_size, 3), name="images")
        text_embeddings = keras.Input(
            (text_embedding_dim,), name="text_embeddings"
        )
        features = trunk(views(images))
        logits = head(
            {"features": features, "text_embeddings": text_embeddings}
        )
        super().__init__(
            inputs={"images": images, "text_embeddings": text_embeddings},
            outputs=logits,
            **kwargs,
        )
        self.trunk = trunk
        self.head = head

    def views(self, images: Tensor) -> Tensor:
        """Returns what the trunk reads of images: the images."""
        return images

    def regularization(
        self, views: Tensor, text_embeddings: Tensor, step: Tensor
    ) -> Tensor:
        """Returns what is added to the loss: nothing."""
        return 0.0


def text_scores(
    features: Tensor,
    text_embeddings: Tensor,
    text_projection_dim: int,
    projection_dim: int,
    name: str,
    dtype: Any,
) -> Tensor:
    """Scores a feature map with a text in two ways, and adds up both.

    As in the paper, the projected text is tiled over the map and joined by a
    1x1 convolution; and the map, as a vector, is projected on the text.

    Args:
        features: tensor of shape `(batch, size, size, channels)`.
        text_embeddings: tensor of shape `(batch, dim)`, standardized.
        text_projection_dim: int. Size of the tiled text.
        projection_dim: int. Size of the vectors of the second term.
        name: string. What the names of the layers begin with.
        dtype: dtype policy. The scores are float32 in any case.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
        - [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637).
    """

    def named(layer: str, dtype: Any = dtype) -> dict[str, Any]:
        return {"dtype": dtype, "name": f"{name}_{layer}"}

    def dense(units: int, layer: str, use_bias: bool = True) -> layers.Layer:
        return layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer="he_normal" if use_bias else "glorot_uniform",
            **named(layer),
        )

    channels = features.shape[-1]
    text = dense(text_projection_dim, "text_projection")(text_embeddings)
    text = layers.LeakyReLU(0.2, **named("text_activation"))(text)
    # A 1x1 convolution of the tiled text and the map, without tiling.
    text = dense(channels, "text_convolution", use_bias=False)(text)
    text = layers.Reshape((1, 1, channels), **named("text_point"))(text)
    joined = layers.Conv2D(
        channels, 1, kernel_initializer="he_normal", **named("map_convolution")
    )(features)
    joined = layers.Add(**named("joined"))([joined, text])
    joined = layers.LeakyReLU(0.2, **named("joined_activation"))(joined)
    joined = layers.Flatten(**named("joined_vector"))(joined)
    logit = layers.Dense(1, **named("logit"))(joined)

    vector = layers.Flatten(**named("map_vector"))(features)
    vector = dense(projection_dim, "map_projection", use_bias=False)(vector)
    direction = dense(projection_dim, "text_direction", use_bias=False)(
        text_embeddings
    )
    match = layers.Dot(1, **named("match", "float32"))([vector, direction])
    # Of the order of 1, whatever the size.
    match = layers.Rescaling(
        projection_dim**-0.5, **named("scaled_match", "float32")
    )(match)
    return layers.Add(**named("score", "float32"))([logit, match])


def scoring_head(
    features: Tensor | list[Tensor],
    text_embedding_dim: int,
    text_projection_dim: int,
    projection_dim: int,
    dtype: Any,
) -> keras.Model:
    """Makes a head whose logits are the `text_scores` of one map or several.

    `features` is a `keras.Input`, or a list of them. The head standardizes the
    texts.
    """
    text_embeddings = keras.Input((text_embedding_dim,), name="text_embeddings")
    text = standardized(text_embeddings, dtype)

    def scored(x: Tensor, name: str) -> Tensor:
        return text_scores(
            x, text, text_projection_dim, projection_dim, name, dtype
        )

    if isinstance(features, list):
        scores = [scored(x, f"map_{i}") for i, x in enumerate(features)]
        logits = layers.Concatenate(dtype="float32", name="logits")(scores)
    else:
        logits = scored(features, "map")
    return keras.Model(
        {"features": features, "text_embeddings": text_embeddings},
        logits,
        name="head",
    )


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
        trunk = keras.Model(images, x, name="trunk")
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


@keras.saving.register_keras_serializable("keras_t2i")
class DiscriminatorEnsemble(keras.Model):
    """Judges images and texts by several discriminators.

    A GAN's loss is the sum of those of its members, each of which averages its
    own logits.

    Args:
        members: list of discriminators of one `image_size` and
            `text_embedding_dim`, such as `PixelDiscriminator` and
            `FeatureDiscriminator`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of all members, side by side.

    Example:

    >>> shared = {"image_size": 32, "width": 4, "text_embedding_dim": 16}
    >>> discriminator = keras_t2i.DiscriminatorEnsemble(
    ...     [
    ...         keras_t2i.PixelDiscriminator(**shared),
    ...         keras_t2i.FeatureDiscriminator(**shared),
    ...     ]
    ... )
    >>> pairs = {"images": np.zeros((2, 32, 32, 3))}
    >>> pairs["text_embeddings"] = np.zeros((2, 16))
    >>> discriminator(pairs).shape
    TensorShape([2, 5])

    Raises:
        ValueError: there are no members, or they do not fit each other.
    """

    def __init__(self, members: Sequence[keras.Model], **kwargs: Any) -> None:
        # float32: each member rounds its own inputs, and no logit is rounded.
        super().__init__(**{"dtype": "float32", **kwargs})
        shapes = {
            (member.image_size, member.text_embedding_dim) for member in members
        }
        if len(shapes) != 1:
            raise ValueError(
                "`members` must be discriminators of one `image_size` and one "
                f"`text_embedding_dim`. Received: {sorted(shapes)}"
            )
        self.members = list(members)
        ((self.image_size, self.text_embedding_dim),) = shapes
        self.built = True

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False
    ) -> Tensor:
        logits = [member(inputs, training=training) for member in self.members]
        return ops.concatenate(logits, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "members": keras.saving.serialize_keras_object(self.members),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "DiscriminatorEnsemble":
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        members = keras.saving.deserialize_keras_object(config["members"])
        return cls(**{**config, "members": members})


def members_of(discriminator: keras.Model) -> list[keras.Model]:
    """Returns the members of an ensemble, or the one discriminator."""
    return getattr(discriminator, "members", [discriminator])
