"""The README beside a model's versions: requests to copy."""

import tensorflow as tf

from keras_t2i.export.server_programs import IMAGE
from keras_t2i.export.serving_files import LOAD_RETRIES_FLAG
from keras_t2i.export.serving_files import REST_TIMEOUT_FLAG

_TEMPLATE = """\
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
_TEXT = "a red flower with a yellow center"


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
    return _TEMPLATE.format(
        floor=_FLOOR,
        image=IMAGE,
        max_batch_size=max_batch_size,
        name=name,
        made_by=MADE_BY,
        load_retries_flag=LOAD_RETRIES_FLAG,
        rest_timeout_flag=REST_TIMEOUT_FLAG,
        signatures=_table(signatures),
        text=_TEXT,
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
