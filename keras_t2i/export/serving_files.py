"""The files beside a SavedModel, for TensorFlow Serving and for readers."""

import os
import re

import tensorflow as tf

IMAGE = "tensorflow/serving:2.20.0"
# The most rows that a request may have, and that a server batches together.
MAX_BATCH_SIZE = 64
# How long a client waits for a request, unless told otherwise, and a server
# works at one. By itself, a server ends those of the REST API after 30.
REQUEST_SECONDS = 60.0
REST_TIMEOUT_FLAG = f"--rest_api_timeout_in_ms={1000 * REQUEST_SECONDS:.0f}"
# A server would try a model that it can not load six times, a minute apart, and
# listen to nobody meanwhile.
LOAD_RETRIES_FLAG = "--max_num_load_retries=0"
MODELS_CONFIG_FILE = "models.config"
BATCHING_PARAMETERS_FILE = "batching_parameters.txt"
_README = """\
# {name}

A SavedModel for each version, each in a folder of its number: sentences in,
PNG pictures out. {made_by}, for TensorFlow Serving {floor} or
later.

## Signatures

{signatures}

Every row of a request gives one row of the answer, which depends on nothing
else. The same text and seed give the same picture. A request may have 1 to
{max_batch_size} rows. Weights: 0 is `from`, 1 is `to`.

## Serve

```sh
docker run --rm --init -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 \\
    --mount type=bind,source="$PWD",target=/models/{name},readonly \\
    --entrypoint tensorflow_model_server {image} \\
    --port=8500 --rest_api_port=8501 \\
    --model_config_file=/models/{name}/models.config \\
    --enable_batching \\
    --batching_parameters_file=/models/{name}/batching_parameters.txt \\
    {rest_timeout_flag} {load_retries_flag}
```

in this folder, or `keras-t2i serve --models FOLDER` for all models in a folder.

## Ask

One row an object:

```sh
curl --silent http://localhost:8501/v1/models/{name}:predict --data '{{
  "signature_name": "serving_default",
  "instances": [{{"text": "{text}", "seed": 7}}]
}}' | python3 -c "import base64, json, sys
answer = json.load(sys.stdin)['predictions'][0]['b64']
sys.stdout.buffer.write(base64.b64decode(answer))" > picture.png
```

One column an input:

```sh
curl --silent http://localhost:8501/v1/models/{name}:predict --data '{{
  "signature_name": "serving_default",
  "inputs": {{"text": ["{text}", "a rose"], "seed": [7, 8]}}
}}' | python3 -c "import base64, json, sys
for number, output in enumerate(json.load(sys.stdin)['outputs']):
    with open(f'picture{{number}}.png', 'wb') as file:
        file.write(base64.b64decode(output['b64']))"
```

From Python:

```python
import keras_t2i

client = keras_t2i.export.Client("http://localhost:8501/v1/models/{name}")
pictures = client.generate(["{text}"], seed=7)  # uint8, as of `gan.generate`
```

By gRPC, without this library (`pip install tensorflow-serving-api`):

```python
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

channel = grpc.insecure_channel("localhost:8500")
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "serving_default"
request.inputs["text"].CopyFrom(tf.make_tensor_proto(["{text}"]))
request.inputs["seed"].CopyFrom(tf.make_tensor_proto([7], tf.int64))
answer = stub.Predict(request, timeout=60)
with open("picture.png", "wb") as file:
    file.write(answer.outputs["image_bytes"].string_val[0])
```

Without a server, in this folder; `saved_model_cli` itself does not load
tensorflow-text, so Python has to:

```sh
python3 -c "import sys, tensorflow_text
from tensorflow.python.tools import saved_model_cli
sys.exit(saved_model_cli.main())" run --dir {version} --tag_set serve \\
    --signature_def pixels --input_exprs 'text=["{text}"];seed=[7]' \\
    --outdir pictures
```
"""
_FLOOR = "2.20"
# By which an export knows a README that it may replace.
MADE_BY = "Made by `keras-t2i export`"
_EXAMPLE_TEXT = "a red flower with a yellow center"
_WARM_UP_TEXT = b"a red flower with a yellow center"
# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto
# and model.proto.
_LOG_PREDICT = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
# Of a map's entries, in every message.
_KEY, _VALUE = 1, 2


def models_config(base_paths: dict[str, str]) -> str:
    """Returns the text of a `models.config`.

    Args:
        base_paths: dict of model names to the folders of their versions, as
            the server sees them.

    Returns:
        string. A `ModelServerConfig` as text.

    Example:

    >>> from keras_t2i.export.serving_files import models_config
    >>> print(models_config({"flowers": "/models/flowers"}), end="")
    model_config_list {
      config {
        name: "flowers"
        base_path: "/models/flowers"
        model_platform: "tensorflow"
      }
    }
    """
    configs = "".join(
        "  config {\n"
        f"    name: {_quoted(name)}\n"
        f"    base_path: {_quoted(path)}\n"
        '    model_platform: "tensorflow"\n'
        "  }\n"
        for name, path in base_paths.items()
    )
    return f"model_config_list {{\n{configs}}}\n"


def batching_parameters() -> str:
    """Returns the text of a `batching_parameters.txt`.

    Requests that arrive within 2 ms are answered together.

    Returns:
        string. A `BatchingParameters` as text.
    """
    return (
        "# Without allowed_batch_sizes: to pad a batch, a server repeats the\n"
        "# first row of a request, and ends where there is none.\n"
        f"# Not below {MAX_BATCH_SIZE}, which warm-up requests and clients\n"
        "# send; for smaller batches, add\n"
        "# enable_large_batch_splitting { value: true }\n"
        "# max_execution_batch_size { value: 8 }\n"
        f"max_batch_size {{ value: {MAX_BATCH_SIZE} }}\n"
        "batch_timeout_micros { value: 2000 }\n"
        "# Requests beyond these are refused with UNAVAILABLE, for which the\n"
        "# client waits and asks again.\n"
        "max_enqueued_batches { value: 100 }\n"
        "# Batches computed at the same time; TensorFlow spreads each of them\n"
        "# over all cores.\n"
        "num_batch_threads { value: 2 }\n"
    )


def check_batching_parameters(text: str, file: str) -> None:
    """Raises `ValueError` where warm-up requests would not fit into a batch.

    Args:
        text: string. A `BatchingParameters` as text.
        file: string. Where it is from, for the error.
    """
    found = re.search(r"^\s*max_batch_size\s*\{\s*value:\s*(\d+)", text, re.M)
    if found and int(found[1]) < MAX_BATCH_SIZE:
        raise ValueError(
            f"{file} must have a max_batch_size of at least {MAX_BATCH_SIZE}: "
            "the requests that a model is warmed up with have as many rows. "
            f"Received: {found[1]}. For smaller batches, leave it and add "
            "enable_large_batch_splitting { value: true } and "
            f"max_execution_batch_size {{ value: {found[1]} }}."
        )


def _quoted(text):
    # Bytes as octal escapes, which text-format protobuf reads back as UTF-8.
    special = b'"\\'
    escaped = "".join(
        chr(byte)
        if 32 <= byte < 127 and byte not in special
        else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
    return f'"{escaped}"'


def readme(name, version, max_batch_size, signatures):
    """Returns the README of a model's folder.

    Args:
        name: string. The name that the model is served by.
        version: int or string. A version that is there, for the examples.
        max_batch_size: int. The most rows that a request may have.
        signatures: dict of signature names to functions, as of
            `make_signatures`.

    Returns:
        string. Markdown.
    """
    return _README.format(
        floor=_FLOOR,
        image=IMAGE,
        max_batch_size=max_batch_size,
        name=name,
        made_by=MADE_BY,
        load_retries_flag=LOAD_RETRIES_FLAG,
        rest_timeout_flag=REST_TIMEOUT_FLAG,
        signatures=_table(signatures),
        text=_EXAMPLE_TEXT,
        version=version,
    )


def _table(signatures):
    lines = ["| signature | inputs | output |", "|---|---|---|"]
    for name, function in signatures.items():
        graph = function.get_concrete_function()
        inputs = {
            spec.name: spec
            for spec in tf.nest.flatten(graph.structured_input_signature)
        }
        columns = [
            ", ".join(_column(*item) for item in rows.items())
            for rows in (inputs, graph.structured_outputs)
        ]
        lines.append(f"| `{name}` | {columns[0]} | {columns[1]} |")
    return "\n".join(lines)


def _column(name, spec):
    row = f" {tuple(spec.shape[1:])}" if spec.shape.rank > 1 else ""
    return f"`{name}` {spec.dtype.name}{row}"


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
    return tf.fill(shape, _WARM_UP_TEXT)


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
