"""Requests that TensorFlow Serving replays before a version is available.

It reads them as a TFRecord file of `PredictionLog` messages. The few messages
around the tensors are encoded here, by hand: their own package is needed by
nothing else in an export.
"""

import os

import tensorflow as tf

_TEXT = b"a red flower with a yellow center"
# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto
# and model.proto.
_LOG_PREDICT = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
# Of a map's entries, in every message.
_KEY, _VALUE = 1, 2


def write_warm_up_requests(
    path: str | os.PathLike,
    model_name: str,
    signatures: dict[str, tf.types.experimental.GenericFunction],
    batch_sizes: tuple[int, ...],
) -> None:
    """Writes one request for each signature and batch size.

    Args:
        path: path of the file to write.
        model_name: string. The name that the model is served by.
        signatures: dict of signature names to functions, as of
            `make_signatures`.
        batch_sizes: ints. Rows of the requests.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, function in signatures.items():
            specs = function.get_concrete_function().structured_input_signature
            for num_rows in batch_sizes:
                inputs = {
                    spec.name: _rows(spec, num_rows)
                    for spec in tf.nest.flatten(specs)
                }
                writer.write(_prediction_log(model_name, name, inputs))


def _rows(spec, num_rows):
    """Any rows that a signature takes."""
    shape = [num_rows, *spec.shape[1:]]
    if spec.dtype != tf.string:
        return tf.zeros(shape, spec.dtype)
    if spec.name.endswith("_bytes"):
        pixels = tf.zeros([*shape, 8, 8, 3], tf.uint8)
        return tf.io.encode_png(pixels)
    return tf.fill(shape, _TEXT)


def _prediction_log(model_name, signature, inputs):
    model = _field(_MODEL_NAME, model_name.encode())
    model += _field(_MODEL_SIGNATURE, signature.encode())
    request = _field(_REQUEST_MODEL, model)
    for name, rows in inputs.items():
        tensor = tf.make_tensor_proto(rows).SerializeToString()
        entry = _field(_KEY, name.encode()) + _field(_VALUE, tensor)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_LOG_REQUEST, request))


def _field(number, content):
    """A field of bytes, a string or a message."""
    length_delimited = 2
    return (
        _varint(number << 3 | length_delimited)
        + _varint(len(content))
        + content
    )


def _varint(value):
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
