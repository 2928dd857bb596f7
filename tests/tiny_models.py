"""The smallest real networks, and batches for them."""

import keras
import numpy as np

from keras_t2i import CharCNNRNN
from keras_t2i import Discriminator
from keras_t2i import DiscriminatorEnsemble
from keras_t2i import FeatureDiscriminator
from keras_t2i import Generator
from keras_t2i import ModulatedGenerator
from keras_t2i import PixelDiscriminator
from keras_t2i import Recipe
from keras_t2i import StyleEncoder
from keras_t2i import TextToImageGAN
from keras_t2i.models.from_recipe import gan_options
from keras_t2i.text.image_encoders import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding

IMAGE_SIZE = 32
EMBEDDING_DIM = 16
NOISE_DIM = 8
VARIANTS = {
    "gan": {"matching_aware": False, "interpolate": False},
    "gan_cls": {"matching_aware": True, "interpolate": False},
    "gan_int": {"matching_aware": False, "interpolate": True},
    "gan_int_cls": {"matching_aware": True, "interpolate": True},
}


def tiny_text_encoder(**options):
    return CharCNNRNN((8, 8, 8), embedding_dim=EMBEDDING_DIM, **options)


def tiny_generator(**options):
    return Generator(
        IMAGE_SIZE,
        width=2,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        noise_dim=NOISE_DIM,
        **options,
    )


def tiny_discriminator(**options):
    return Discriminator(
        IMAGE_SIZE,
        width=2,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        **options,
    )


def tiny_gan(**options):
    return TextToImageGAN(
        tiny_generator(), tiny_discriminator(), tiny_text_encoder(), **options
    )


def tiny_released_gan(**options):
    """Like that of the preset `reed2016`."""
    return TextToImageGAN(
        tiny_generator(residual_blocks=True),
        tiny_discriminator(fusion_size=4, as_released=True),
        tiny_text_encoder(),
        **{"scores_jointly": False, **options},
    )


def tiny_modulated_generator(**options):
    return ModulatedGenerator(
        IMAGE_SIZE,
        width=4,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        noise_dim=NOISE_DIM,
        **options,
    )


def tiny_pixel_discriminator(**options):
    return PixelDiscriminator(
        IMAGE_SIZE,
        width=4,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        projection_dim=8,
        **options,
    )


def tiny_feature_discriminator(**options):
    """Looks at images at their own size, which is the fastest."""
    return FeatureDiscriminator(
        IMAGE_SIZE,
        width=4,
        network_size=IMAGE_SIZE,
        text_embedding_dim=EMBEDDING_DIM,
        text_projection_dim=4,
        projection_dim=8,
        **options,
    )


def tiny_plus_gan(**options):
    """Like that of the preset `gan_int_cls_plus`."""
    recipe = Recipe.from_preset("gan_int_cls_plus")
    return TextToImageGAN(
        tiny_modulated_generator(),
        DiscriminatorEnsemble(
            [tiny_pixel_discriminator(), tiny_feature_discriminator()]
        ),
        tiny_text_encoder(),
        **{
            **gan_options(TextToImageGAN, recipe),
            **options,
        },
    )


def tiny_style_encoder(**options):
    return StyleEncoder(IMAGE_SIZE, width=2, noise_dim=NOISE_DIM, **options)


def vivid_gan():
    """An untrained GAN whose pictures still depend on noise and text."""
    keras.utils.set_random_seed(0)
    gan = tiny_gan()
    kernel = gan.text_encoder.get_layer("embedding").kernel
    kernel.assign(500 * kernel)
    for size in (4, 8, 16, 32):
        kernel = gan.ema_generator.get_layer(f"convolution_{size}").kernel
        kernel.assign(20 * kernel)
    return gan


def tiny_joint_embedding():
    return JointEmbedding(
        tiny_text_encoder(),
        image_encoder(IMAGE_SIZE, embedding_dim=EMBEDDING_DIM, width=4),
    )


def random_images(num_images, seed=0):
    generator = np.random.default_rng([seed, 0])
    shape = (num_images, IMAGE_SIZE, IMAGE_SIZE, 3)
    return generator.uniform(-1, 1, shape).astype("float32")


def embeddings_batch(num_rows=4, seed=0):
    generator = np.random.default_rng([seed, 1])
    return {
        "images": random_images(num_rows, seed),
        **{
            name: generator.normal(size=(num_rows, EMBEDDING_DIM)).astype(
                "float32"
            )
            for name in ("text_embeddings", "mismatched_text_embeddings")
        },
    }


def token_ids_batch(num_rows=4, seed=0):
    generator = np.random.default_rng([seed, 2])
    return {
        "images": random_images(num_rows, seed),
        **{
            name: generator.integers(0, 71, (num_rows, 201), dtype="int32")
            for name in ("token_ids", "mismatched_token_ids")
        },
    }


def randomize(model, seed=0):
    """Moves all weights, so that none is zero or one by initialization."""
    generator = np.random.default_rng([seed, 3])
    for weight in model.weights:
        shift = generator.uniform(0.05, 0.15, weight.shape)
        weight.assign_add(shift.astype("float32"))


def weights_of(model):
    """Copies of the weights by path, which a network's own are unique in."""
    return {
        weight.path: keras.ops.convert_to_numpy(weight)
        for weight in model.weights
    }
