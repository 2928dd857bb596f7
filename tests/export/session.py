"""Answers requests from a SavedModel by TensorFlow's session loader.

    python session.py SAVED_MODEL REQUESTS.json ANSWERS.json

Keras cannot be imported here. The files are those of `c_api_session.py`.
"""

import json
import pathlib
import sys

# Before TensorFlow, which would import it.
sys.modules["keras"] = None

# isort: split
import tensorflow as tf  # noqa: E402
from c_api_session import from_json  # noqa: E402
from c_api_session import to_json  # noqa: E402


def main(saved_model, requests, answers):
    # tensorflow_text itself is a package of Keras layers.
    package = pathlib.Path(tf.__file__).parents[1] / "tensorflow_text"
    for library in sorted(package.rglob("ops/_*.so")):
        tf.load_op_library(str(library))
    found = []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(
            session, ["serve"], saved_model
        )
        for request in json.loads(pathlib.Path(requests).read_text("utf-8")):
            signature = meta_graph.signature_def[request["signature"]]
            inputs = {
                signature.inputs[name].name: from_json(tensor)
                for name, tensor in request["inputs"].items()
            }
            outputs = {n: o.name for n, o in signature.outputs.items()}
            values = session.run(outputs, inputs)
            found.append({n: to_json(value) for n, value in values.items()})
    pathlib.Path(answers).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
