"""How a map of features and a text become one logit."""

from keras import layers

from keras_t2i.models.text_standardization import TextStandardization


def text_scores(
    features, text_embeddings, text_projection_dim, projection_dim, name, dtype
):
    """Scores a feature map with a text in two ways and adds up both.

    As in the paper, the projected text is tiled over the map and joined by a
    1x1 convolution; and the map, as a vector, is projected on the text.

    Args:
        features: symbolic tensor of shape `(batch, size, size, channels)`.
        text_embeddings: symbolic tensor of shape `(batch, dim)`, standardized.
        text_projection_dim: int. Size of the tiled text.
        projection_dim: int. Size of the vectors of the second term.
        name: string. Before the names of the layers.
        dtype: dtype policy.

    Returns:
        Symbolic float32 tensor of shape `(batch, 1)`.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
        - [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637).
    """

    def dense(units, layer, use_bias=True):
        return layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer="he_normal" if use_bias else "glorot_uniform",
            dtype=dtype,
            name=f"{name}_{layer}",
        )

    def named(layer):
        return {"dtype": dtype, "name": f"{name}_{layer}"}

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
    match = layers.Dot(1, dtype="float32", name=f"{name}_match")(
        [vector, direction]
    )
    # Of the order of 1, whatever the size.
    match = layers.Rescaling(
        projection_dim**-0.5, dtype="float32", name=f"{name}_scaled_match"
    )(match)
    return layers.Add(dtype="float32", name=f"{name}_score")([logit, match])


def standardized(text_embeddings, dtype):
    """Applies `TextStandardization`, under its usual name."""
    return TextStandardization(dtype=dtype, name="text_standardization")(
        text_embeddings
    )
