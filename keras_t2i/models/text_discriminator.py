"""What all discriminators of images with texts have in common."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.types import Tensor


class TextDiscriminator(ConfiguredModel):
    """A discriminator whose text joins in the second of two parts.

    A subclass makes `trunk`, from what `views` returns to features, and `head`,
    from features and a text to logits, and calls `super().__init__` with them.
    One pass of the trunk then serves several texts.
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
