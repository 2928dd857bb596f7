"""Small networks to serve, requests to them, and what they must answer."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import tensorflow as tf

from keras_t2i import StyleEncoder
from keras_t2i.models import image_generation
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_gan

# The last one is not UTF-8.
TEXTS = [b"a red flower", "Straße 花".encode(), b"", b"a \xff rose"]
SEEDS = [0, -1, 2**63 - 1, 7]


def tiny_served_gan(**options):
    """A GAN whose images depend on noise and text without training."""
    gan = tiny_gan(**{"truncation": 0.75, **options})
    kernel = gan.text_encoder.get_layer("embedding").kernel
    kernel.assign(500 * kernel)
    for size in (4, 8, 16, 32):
        kernel = gan.ema_generator.get_layer(f"convolution_{size}").kernel
        kernel.assign(20 * kernel)
    return gan


def tiny_style_encoder():
    """Leads from images to noise that differs between images."""
    style_encoder = StyleEncoder(IMAGE_SIZE, width=2, noise_dim=NOISE_DIM)
    kernel = style_encoder.get_layer("noise").kernel
    kernel.assign(20 * kernel)
    return style_encoder


def strings(*values):
    """A row for each value, as an array of objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def encode(image, file_format="PNG", **options):
    """A Pillow image or an array as the bytes of a file."""
    if isinstance(image, np.ndarray):
        image = PIL.Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def decode(files):
    """PNG files of one size as an array."""
    return np.stack([np.asarray(PIL.Image.open(io.BytesIO(f))) for f in files])


def claiming_png(width, height, pixels=b""):
    """A PNG of RGB pixels that claims to be this large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(pixels))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind, content):
    """A part of a PNG file."""
    checked = kind + content
    checksum = struct.pack(">I", zlib.crc32(checked))
    return struct.pack(">I", len(content)) + checked + checksum


def style_images(num_rows):
    """Pictures of the size that the networks work in."""
    generator = np.random.default_rng(0)
    shape = (num_rows, IMAGE_SIZE, IMAGE_SIZE, 3)
    return generator.integers(0, 256, shape, "uint8")


def embeddings(num_rows):
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(num_rows, EMBEDDING_DIM))
    return (10 * rows).astype("float32")


def inputs_of_signatures():
    """A request of four rows for each signature."""
    texts, seeds = strings(*TEXTS), np.array(SEEDS)
    weights = np.array([0.0, 1.0, 0.25, 0.5], "float32")
    return {
        "serving_default": {"text": texts, "seed": seeds},
        "pixels": {"text": texts, "seed": seeds},
        "embed_text": {"text": texts},
        "from_embedding": {"embedding": embeddings(4), "seed": seeds},
        "interpolate": {
            "text_from": texts,
            "text_to": texts[::-1],
            "text_weight": weights,
            "seed_from": seeds,
            "seed_to": seeds[::-1],
            "noise_weight": weights[::-1],
        },
        "transfer_style": {
            "text": texts,
            "style_image_bytes": strings(*map(encode, style_images(4))),
        },
    }


def expected_answer(gan, style_encoder, signature, inputs):
    """What Python generates for a request, without the SavedModel."""
    functions = {
        "serving_default": image_generation.generate_from_texts,
        "pixels": image_generation.generate_from_texts,
        "embed_text": image_generation.embed_text,
        "from_embedding": image_generation.generate_from_embeddings,
        "interpolate": image_generation.generate_interpolated,
    }
    if signature == "transfer_style":
        text = tf.constant(inputs["text"])
        images = tf.constant(decode(inputs["style_image_bytes"]))

        def function(gan):
            return image_generation.generate_in_style(
                gan, style_encoder, text, images
            )

        rows = []
    else:
        function = functions[signature]
        rows = [tf.constant(np.ascontiguousarray(v)) for v in inputs.values()]
    # As a graph, as `generate` does.
    model = (gan,)
    if signature not in ("embed_text", "transfer_style"):
        model += (gan.truncation,)
    return tf.function(lambda *rows: function(*model, *rows))(*rows).numpy()


def answer_values(answer):
    """The one output of an answer; images as pixels."""
    ((name, values),) = answer.items()
    return decode(values) if name == "image_bytes" else np.asarray(values)
