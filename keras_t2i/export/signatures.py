"""What a SavedModel answers: functions on rows, as graphs."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
from keras_t2i.models.image_generation import embed_text
from keras_t2i.models.image_generation import generate_from_embeddings
from keras_t2i.models.image_generation import generate_from_texts
from keras_t2i.models.image_generation import generate_in_style
from keras_t2i.models.image_generation import generate_interpolated
from keras_t2i.models.image_generation import graph
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.types import Tensor

# What `to_uint8` makes of 0.
_MID_GRAY = 128
_JPEG_START = b"\xff\xd8\xff"
# The header must be the first chunk: chunks that a decoder skips could hide
# the size.
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_TEXT = tf.TensorSpec([None], tf.string)
_SEED = tf.TensorSpec([None], tf.int64)
_WEIGHT = tf.TensorSpec([None], tf.float32)


def decode_style_images(
    files: Tensor, image_size: int, max_pixels: int = MAX_STYLE_PIXELS
) -> Tensor:
    """Decodes image files, cuts out their central square and resizes it.

    `files` is a string tensor of shape `(batch,)`, of JPEG or PNG files.
    Anything else becomes mid-gray, as do damaged files and images of more than
    `max_pixels` pixels, before they are decoded. Returns uint8 of shape
    `(batch, image_size, image_size, 3)`. A file of this size is returned pixel
    by pixel.
    """
    gray = tf.fill([image_size, image_size, 3], tf.constant(_MID_GRAY, "uint8"))
    default = tf.data.Dataset.from_tensors(gray)

    def decode(row: Tensor) -> Tensor:
        # An operation that fails would fail the whole batch; only a tf.data
        # stream can skip an error.
        stream = tf.data.Dataset.from_tensors(files[row])
        stream = stream.map(lambda file: _decode(file, image_size, max_pixels))
        stream = stream.ignore_errors().concatenate(default).take(1)
        return stream.get_single_element()

    # Decoders and strings live on the CPU. The loop is over row numbers, since
    # one over the strings fails on a server with a GPU; and one row at a time,
    # since several large images may not fit into memory.
    with tf.device("CPU:0"):
        return tf.map_fn(
            decode,
            tf.range(tf.shape(files)[0]),
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec(gray.shape, tf.uint8),
        )


def _decode(file: Tensor, image_size: int, max_pixels: int) -> Tensor:
    is_png = tf.strings.substr(file, 0, len(_PNG_START)) == _PNG_START
    is_jpeg = tf.strings.substr(file, 0, 3) == _JPEG_START
    tf.debugging.assert_equal(is_png | is_jpeg, True)
    pixels = tf.cond(
        is_png,
        lambda: _decode_png(file, image_size, max_pixels),
        lambda: _decode_jpeg(file, image_size, max_pixels),
    )
    # Lanczos overshoots at edges.
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
    return tf.ensure_shape(pixels, [image_size, image_size, 3])


def _decode_jpeg(file: Tensor, image_size: int, max_pixels: int) -> Tensor:
    size = tf.io.extract_jpeg_shape(file, tf.int64)[:2]
    with tf.control_dependencies([_check_size(size, max_pixels)]):
        pixels = decode_jpeg(file)
    return _central_square(pixels, image_size)


def decode_jpeg(file: Tensor | bytes) -> Tensor:
    """Decodes a JPEG file as exported models do: red, green and blue."""
    return tf.io.decode_jpeg(file, channels=3)


def decode_png(file: Tensor | bytes) -> Tensor:
    """Decodes a PNG file as exported models do: red, green, blue and alpha."""
    return tf.io.decode_png(file, channels=4)


def _decode_png(file: Tensor, image_size: int, max_pixels: int) -> Tensor:
    # Width and height, big-endian.
    size = tf.io.decode_raw(
        tf.strings.substr(file, len(_PNG_START), 8),
        tf.int32,
        little_endian=False,
    )
    size = tf.cast(size, tf.int64)
    with tf.control_dependencies([_check_size(size, max_pixels)]):
        pixels = tf.cast(decode_png(file), tf.uint16)
    # Transparent pixels are shown on white. They are mixed after the resizing,
    # which is linear: before it, floats would take four times the memory.
    color, alpha = pixels[..., :3], pixels[..., 3:]
    # Without transparency and with less than 8 bits per channel, the decoder
    # gives 1, 3 or 15 of 255 for opaque.
    depth = tf.io.decode_raw(tf.strings.substr(file, 24, 1), tf.uint8)[0]
    filler = 2 ** tf.minimum(tf.cast(depth, tf.int32), 8) - 1
    filler = tf.cast(filler, tf.uint16)
    is_filled = tf.reduce_all(alpha == filler)
    alpha += tf.where(is_filled, 255 - filler, tf.zeros_like(filler))
    color = _central_square(color * alpha, image_size)
    return color / 255.0 + 255.0 - _central_square(alpha, image_size)


def _check_size(size: Tensor, max_pixels: int) -> tf.Operation:
    # Before the decoder, which would take the memory.
    max_pixels = min(max_pixels, tf.int64.max)
    is_good = tf.logical_and(
        tf.reduce_min(size) > 0, tf.reduce_prod(size) <= max_pixels
    )
    return tf.debugging.Assert(is_good, [size])


def _central_square(pixels: Tensor, image_size: int) -> Tensor:
    size = tf.shape(pixels)[:2]
    side = tf.reduce_min(size)
    top, left = tf.unstack((size - side) // 2)
    square = pixels[top : top + side, left : left + side]
    return tf.image.resize(
        square, [image_size, image_size], "lanczos3", antialias=True
    )


def make_signatures(
    gan: TextToImageGAN,
    style_encoder: keras.Model | None = None,
    max_style_pixels: int = MAX_STYLE_PIXELS,
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> dict[str, Any]:
    """Makes the graphs that a SavedModel answers with, by their names.

    Each has been traced already: saving a `tf.function` would trace it again.
    It takes tensors of shape `(batch, ...)` and returns a dict of one such
    tensor. A row of it depends only on the same row of the inputs. No content
    of a row makes a function fail, since a server batches the rows of several
    requests.

    A GAN that reads no texts has `from_embedding` alone. `transfer_style` needs
    a `style_encoder`, and takes larger style images than `max_style_pixels` for
    gray. The networks compute within the context that `scope` returns.
    """
    dim = gan.text_encoder.output_shape[-1]
    embedding = tf.TensorSpec([None, dim], tf.float32)
    model = gan, gan.truncation

    def serving_default(text: Tensor, seed: Tensor) -> dict[str, Tensor]:
        return _png(generate_from_texts(*model, *_checked(text, seed)))

    def pixels(text: Tensor, seed: Tensor) -> dict[str, Tensor]:
        return {"image": generate_from_texts(*model, *_checked(text, seed))}

    def embed(text: Tensor) -> dict[str, Tensor]:
        return {"embedding": embed_text(gan, *_checked(text))}

    def from_embedding(embedding: Tensor, seed: Tensor) -> dict[str, Tensor]:
        rows = _checked(embedding, seed)
        return _png(generate_from_embeddings(*model, *rows))

    def interpolate(
        text_from: Tensor,
        text_to: Tensor,
        text_weight: Tensor,
        seed_from: Tensor,
        seed_to: Tensor,
        noise_weight: Tensor,
    ) -> dict[str, Tensor]:
        rows = _checked(
            text_from, text_to, text_weight, seed_from, seed_to, noise_weight
        )
        return _png(generate_interpolated(*model, *rows))

    def transfer_style(
        text: Tensor, style_image_bytes: Tensor
    ) -> dict[str, Tensor]:
        text, files = _checked(text, style_image_bytes)
        images = decode_style_images(files, gan.image_size, max_style_pixels)
        return _png(generate_in_style(gan, style_encoder, text, images))

    signatures: dict[str, tuple[Any, list[tf.TensorSpec]]] = {
        "serving_default": (serving_default, [_TEXT, _SEED]),
        "pixels": (pixels, [_TEXT, _SEED]),
        "embed_text": (embed, [_TEXT]),
        "from_embedding": (from_embedding, [embedding, _SEED]),
        "interpolate": (
            interpolate,
            [_TEXT, _TEXT, _WEIGHT, _SEED, _SEED, _WEIGHT],
        ),
    }
    if isinstance(gan.text_encoder, PrecomputedEmbeddings):
        signatures = {"from_embedding": signatures["from_embedding"]}
    elif style_encoder is not None:
        signatures["transfer_style"] = (transfer_style, [_TEXT, _TEXT])
    return {
        # Servers without XLA refuse compiled functions, which these are not.
        name: graph(
            _within(scope, function), input_signature=inputs
        ).get_concrete_function()
        for name, (function, inputs) in signatures.items()
    }


def _within(
    scope: Callable[[], AbstractContextManager[Any]],
    function: Callable[..., dict[str, Tensor]],
) -> Callable[..., dict[str, Tensor]]:
    # The arguments' names become those of a signature's inputs.
    @functools.wraps(function)
    def run(*rows: Tensor) -> dict[str, Tensor]:
        with scope():
            return function(*rows)

    return run


def _checked(*inputs: Tensor) -> list[Tensor]:
    """Returns the inputs of a request, which fails if they do not fit.

    There must be rows, the same number in each input, and of the shape that
    the signature names: texts of two dimensions, or embeddings of one number,
    would be taken without a word. A server that batches refuses different
    numbers of rows before the graph, but not a request without rows, which
    `Client` never sends.
    """
    num_rows = [tf.shape(rows)[0] for rows in inputs]
    checks = [
        tf.debugging.assert_positive(
            num_rows[0], "A request must have at least one row."
        )
    ]
    # A single row would silently be combined with all rows of another input.
    checks += [
        tf.debugging.assert_equal(
            other, num_rows[0], "All inputs must have the same number of rows."
        )
        for other in num_rows[1:]
    ]
    # Nothing else is computed, and fails with its own message, before them.
    with tf.control_dependencies(checks):
        return [tf.ensure_shape(rows, rows.shape) for rows in inputs]


def _png(images: Tensor) -> dict[str, Tensor]:
    # The REST API sends only outputs named `*_bytes` as base64.
    return {"image_bytes": tf.io.encode_png(images)}
