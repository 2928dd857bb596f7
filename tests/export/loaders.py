"""Asks a SavedModel in a process of its own, without Keras."""

import json
import os
import pathlib
import subprocess
import sys

from tests.export.c_api_session import from_json
from tests.export.c_api_session import to_json

_FOLDER = pathlib.Path(__file__).parent
# As `import keras_t2i` does here: other kernels round otherwise.
_ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "1"}


def ask_by_c_api(saved_model, requests, folder, *options):
    """Answers pairs of a signature and inputs, by `c_api_session.py`.

    An answer is a dict of outputs, or an error's message.
    """
    return _ask("c_api_session.py", saved_model, requests, folder, options)


def ask_by_session(saved_model, requests, folder):
    """The same by `session.py`, which fails at the first error."""
    return _ask("session.py", saved_model, requests, folder, ())


def _ask(script, saved_model, requests, folder, options):
    content = [
        {
            "signature": signature,
            "inputs": {name: to_json(rows) for name, rows in inputs.items()},
        }
        for signature, inputs in requests
    ]
    (folder / "requests.json").write_text(json.dumps(content), "utf-8")
    result = subprocess.run(
        [
            *[sys.executable, _FOLDER / script, saved_model],
            *[folder / "requests.json", folder / "answers.json", *options],
        ],
        env={**_ENVIRONMENT, **os.environ},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    answers = json.loads((folder / "answers.json").read_text("utf-8"))
    return [
        answer["error"]
        if "error" in answer
        else {name: from_json(tensor) for name, tensor in answer.items()}
        for answer in answers
    ]
