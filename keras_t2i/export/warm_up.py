"""Requests that a server answers when it loads a model, so that it is warm."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from keras_t2i.export.model_folder import EXAMPLE_TEXT
from keras_t2i.export.model_folder import Signatures
from keras_t2i.export.model_folder import input_specs
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto
# and model.proto.
_LOG_PREDICT = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
# Of the entries of a map, in every message.
_KEY, _VALUE = 1, 2


def write_warm_up_requests(
    path: StrPath,
    model_name: str,
    signatures: Signatures,
    batch_sizes: Iterable[int],
) -> None:
    """Writes one request for each signature and batch size.

    `path` is the file to write. The model is served under `model_name`.
    `signatures` are those of `make_signatures`. `batch_sizes` are the numbers
    of rows of the requests.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, function in signatures.items():
            specs = input_specs(function)
            for num_rows in batch_sizes:
                inputs = {key: _rows(specs[key], num_rows) for key in specs}
                writer.write(_prediction_log(model_name, name, inputs))


def _rows(spec: Any, num_rows: int) -> Tensor:
    """Any rows that a signature takes."""
    shape = [num_rows, *spec.shape[1:]]
    if spec.dtype != tf.string:
        return tf.zeros(shape, spec.dtype)
    if spec.name.endswith("_bytes"):
        return tf.io.encode_png(tf.zeros([*shape, 8, 8, 3], tf.uint8))
    return tf.fill(shape, EXAMPLE_TEXT)


def _prediction_log(
    model_name: str, signature: str, inputs: dict[str, Tensor]
) -> bytes:
    # By hand: an export needs these four small messages, and nothing else of
    # the package that has their classes.
    model = _field(_MODEL_NAME, model_name.encode())
    model += _field(_MODEL_SIGNATURE, signature.encode())
    request = _field(_REQUEST_MODEL, model)
    for name, rows in inputs.items():
        tensor = tf.make_tensor_proto(rows).SerializeToString()
        entry = _field(_KEY, name.encode()) + _field(_VALUE, tensor)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    length_delimited = 2
    tag = _varint(number << 3 | length_delimited)
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the eighth says: more follow."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
