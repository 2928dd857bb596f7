"""What a SavedModel answers: functions on rows, as graphs."""

import tensorflow as tf

from keras_t2i.export.style_pictures import decode_style_pictures
from keras_t2i.models.drawing import draw
from keras_t2i.models.drawing import draw_between
from keras_t2i.models.drawing import draw_from_embeddings
from keras_t2i.models.drawing import draw_in_style
from keras_t2i.models.drawing import embed_text

_TEXT = tf.TensorSpec([None], tf.string)
_SEED = tf.TensorSpec([None], tf.int64)
_WEIGHT = tf.TensorSpec([None], tf.float32)


def make_signatures(gan, style_encoder=None):
    """Makes the functions that a SavedModel of a GAN answers with.

    Each takes tensors of shape `(batch, ...)` and returns a dict of one such
    tensor. A row of it depends on that row of the inputs alone, and no content
    of a row makes the function fail: it would fail the rows that a server has
    batched with it.

    Args:
        gan: `TextToImageGAN`.
        style_encoder: `keras.Model` from images to noise. Defaults to `None`:
            there is no `transfer_style`.

    Returns:
        Dict of signature names to `tf.function`s.
    """
    embedding = tf.TensorSpec(
        [None, gan.text_encoder.output_shape[-1]], tf.float32
    )

    def serving_default(text, seed):
        return _png(draw(gan, *_checked(text, seed)))

    def pixels(text, seed):
        return {"image": draw(gan, *_checked(text, seed))}

    def embed(text):
        return {"embedding": embed_text(gan, *_checked(text))}

    def from_embedding(embedding, seed):
        rows = _checked(embedding, seed)
        return _png(draw_from_embeddings(gan, *rows))

    def interpolate(
        text_from, text_to, text_weight, seed_from, seed_to, noise_weight
    ):
        rows = _checked(
            text_from, text_to, text_weight, seed_from, seed_to, noise_weight
        )
        return _png(draw_between(gan, *rows))

    def transfer_style(text, style_image_bytes):
        text, files = _checked(text, style_image_bytes)
        pictures = decode_style_pictures(files, gan.image_size)
        return _png(draw_in_style(gan, style_encoder, text, pictures))

    signatures = {
        "serving_default": (serving_default, [_TEXT, _SEED]),
        "pixels": (pixels, [_TEXT, _SEED]),
        "embed_text": (embed, [_TEXT]),
        "from_embedding": (from_embedding, [embedding, _SEED]),
        "interpolate": (
            interpolate,
            [_TEXT, _TEXT, _WEIGHT, _SEED, _SEED, _WEIGHT],
        ),
    }
    if style_encoder is not None:
        signatures["transfer_style"] = (transfer_style, [_TEXT, _TEXT])
    return {
        # Servers refuse compiled functions, unless they are started with XLA.
        name: tf.function(function, input_signature=inputs, jit_compile=False)
        for name, (function, inputs) in signatures.items()
    }


def _checked(*inputs):
    """Makes a request fail that is no batch.

    Where a server batches, it does so before the graph. It then refuses inputs
    with different numbers of rows itself, but not a request without rows:
    that must not be sent, and `Client` does not.
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
            other, num_rows[0], "All inputs must have as many rows."
        )
        for other in num_rows[1:]
    ]
    # Nothing is computed, and so fails in its own words, before them.
    with tf.control_dependencies(checks):
        return [tf.identity(rows) for rows in inputs]


def _png(pictures):
    # Only outputs named `*_bytes` are sent as base64 by the REST API.
    return {"image_bytes": tf.io.encode_png(pictures)}
