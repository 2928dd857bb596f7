"""What a GAN draws from rows of texts, seeds and weights, as graphs.

`TextToImageGAN` and the SavedModel trace these same functions, so both draw the
same pictures. A row of the output depends on that row of the inputs alone.
"""

from keras import ops

from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.noise import between_noises
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.tokenizers import tokenize_for


def embed_text(gan, text):
    """Embeds texts.

    Args:
        gan: `TextToImageGAN`.
        text: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        float32 tensor of shape `(batch, text_embedding_dim)`.
    """
    token_ids = tokenize_for(gan.text_encoder, text)
    embeddings = gan.text_encoder(token_ids, training=False)
    return ops.cast(embeddings, "float32")


def draw_from_embeddings(gan, text_embeddings, seeds):
    """Draws one picture for each embedding.

    Args:
        gan: `TextToImageGAN`.
        text_embeddings: float32 tensor of shape `(batch, text_embedding_dim)`.
        seeds: int64 tensor of shape `(batch,)`.

    Returns:
        uint8 tensor of shape `(batch, image_size, image_size, 3)`.
    """
    return _pictures(
        gan, text_embeddings, noise_from_seeds(seeds, gan.noise_dim)
    )


def draw(gan, text, seeds):
    """Draws one picture for each text.

    Args:
        gan: `TextToImageGAN`.
        text: string tensor of shape `(batch,)`. UTF-8.
        seeds: int64 tensor of shape `(batch,)`.

    Returns:
        uint8 tensor of shape `(batch, image_size, image_size, 3)`.
    """
    return draw_from_embeddings(gan, embed_text(gan, text), seeds)


def draw_between(
    gan, text_from, text_to, text_weight, seed_from, seed_to, noise_weight
):
    """Draws pictures that lie between two texts and between two noises.

    Texts are interpolated linearly in their embedding, noises spherically.

    Args:
        gan: `TextToImageGAN`.
        text_from: string tensor of shape `(batch,)`. UTF-8.
        text_to: string tensor of shape `(batch,)`. UTF-8.
        text_weight: float32 tensor of shape `(batch,)`. 0 is `text_from`, 1 is
            `text_to`.
        seed_from: int64 tensor of shape `(batch,)`.
        seed_to: int64 tensor of shape `(batch,)`.
        noise_weight: float32 tensor of shape `(batch,)`. 0 is `seed_from`, 1
            is `seed_to`.

    Returns:
        uint8 tensor of shape `(batch, image_size, image_size, 3)`.
    """
    weight = text_weight[:, None]
    text_embeddings = (1.0 - weight) * embed_text(
        gan, text_from
    ) + weight * embed_text(gan, text_to)
    noise = between_noises(
        noise_from_seeds(seed_from, gan.noise_dim),
        noise_from_seeds(seed_to, gan.noise_dim),
        noise_weight,
    )
    return _pictures(gan, text_embeddings, noise)


def draw_in_style(gan, style_encoder, text, style_images):
    """Draws one picture for each text, in the style of another picture.

    Args:
        gan: `TextToImageGAN`.
        style_encoder: `keras.Model` from images to noise.
        text: string tensor of shape `(batch,)`. UTF-8.
        style_images: uint8 tensor of shape `(batch, image_size, image_size,
            3)`.

    Returns:
        uint8 tensor of shape `(batch, image_size, image_size, 3)`.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.4.
    """
    noise = style_encoder(to_model_range(style_images), training=False)
    return _pictures(gan, embed_text(gan, text), ops.cast(noise, "float32"))


def _pictures(gan, text_embeddings, noise):
    return to_uint8(gan({"text_embeddings": text_embeddings, "noise": noise}))
