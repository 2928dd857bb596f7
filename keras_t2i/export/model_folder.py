"""The folder of a served model: its versions, and the files beside them."""

import importlib.resources
import pathlib
import re
import string
from collections.abc import Mapping
from typing import Any

from keras_t2i.checks import check_whole_number
from keras_t2i.types import StrPath

SAVED_MODEL_FILE = "saved_model.pb"
MODELS_CONFIG_FILE = "models.config"
BATCHING_PARAMETERS_FILE = "batching_parameters.txt"
IMAGE = "tensorflow/serving:2.20.0"
_FLOOR = "2.20"
# The most rows that a request may have, and that a server batches together.
MAX_BATCH_SIZE = 64
# How long a client waits for an answer by default, and a server works at one.
# TensorFlow Serving's own limit for the REST API is 30.
REQUEST_SECONDS = 60.0
REST_TIMEOUT_FLAG = f"--rest_api_timeout_in_ms={1000 * REQUEST_SECONDS:.0f}"
# By default, a server tries a model that it cannot load six times, a minute
# apart, and does not listen meanwhile.
LOAD_RETRIES_FLAG = "--max_num_load_retries=0"
# An export replaces only READMEs that hold this.
MADE_BY = "Made by `keras-t2i export`"
EXAMPLE_TEXT = "a red flower with a yellow center"
# A part of URLs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST_VERSION = 2**63 - 1

# Of names to functions of TensorFlow, which this module does without: `serve`
# starts at once.
Signatures = Mapping[str, Any]


def check_name(name: str) -> None:
    """Raises `ValueError` for a folder name that no model can be served by."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "A model is served by the name of its folder, which must begin "
            "with a letter or digit and consist of letters, digits, '.', '_' "
            f"and '-'. Received: {name!r}. Give the folder another name."
        )


def versions(path: StrPath) -> list[int]:
    """Returns the versions in a model's folder, in rising order.

    The folder need not exist.
    """
    return sorted(
        int(entry.name)
        for entry in _numbered(path)
        if (entry / SAVED_MODEL_FILE).is_file()
    )


def newest_entry(path: StrPath) -> pathlib.Path | None:
    """Returns what a server takes for a model's newest version.

    It is the entry with the highest number, and need not be a whole SavedModel.
    """
    return max(_numbered(path), key=lambda entry: int(entry.name), default=None)


def next_version(path: StrPath) -> int:
    """Returns the version after all that are there, 1 where there is none."""
    newest = newest_entry(path)
    return 1 if newest is None else int(newest.name) + 1


def version_folder(path: StrPath, version: int) -> pathlib.Path:
    """Returns the folder of a version.

    Raises:
        ValueError: `version` is not a whole number from 1 to `2**63 - 1`.
    """
    check_whole_number(version, "version", at_least=1)
    if version > _LARGEST_VERSION:
        raise ValueError(
            "`version` must be a whole number of at least 1, of 64 bits. "
            f"Received: {version!r}"
        )
    return pathlib.Path(path) / str(version)


def _numbered(path: StrPath) -> list[pathlib.Path]:
    path = pathlib.Path(path)
    if not path.is_dir():
        return []
    # TensorFlow Serving ignores other names too.
    return [
        entry
        for entry in path.iterdir()
        if entry.name.isascii() and entry.name.isdigit()
    ]


def models_config(base_paths: dict[str, str]) -> str:
    """Returns the text of a `models.config`.

    Args:
        base_paths: dict of model names to their folders, as the server sees
            them.

    Example:

    >>> from keras_t2i.export.model_folder import models_config
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


def _quoted(text: str) -> str:
    # Bytes as octal escapes, which text-format protobuf reads back as UTF-8.
    special = b'"\\'
    escaped = "".join(
        chr(byte)
        if 32 <= byte < 127 and byte not in special
        else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
    return f'"{escaped}"'


def batching_parameters() -> str:
    """Returns the text of a `batching_parameters.txt`.

    Requests that arrive within 2 ms are answered together.
    """
    return (
        "# Without allowed_batch_sizes: to pad a batch, a server repeats the\n"
        "# first row of a request, and crashes where it has none.\n"
        f"# Not below {MAX_BATCH_SIZE}, which warm-up requests and clients\n"
        "# send; for smaller batches, add\n"
        "# enable_large_batch_splitting { value: true }\n"
        "# max_execution_batch_size { value: 8 }\n"
        f"max_batch_size {{ value: {MAX_BATCH_SIZE} }}\n"
        "batch_timeout_micros { value: 2000 }\n"
        "# Requests beyond these are refused with UNAVAILABLE; the client\n"
        "# waits and asks again.\n"
        "max_enqueued_batches { value: 100 }\n"
        "# Batches computed at the same time; TensorFlow spreads each of them\n"
        "# over all cores.\n"
        "num_batch_threads { value: 2 }\n"
    )


def check_batching_parameters(text: str, file: StrPath) -> None:
    """Raises `ValueError` where warm-up requests would not fit into a batch.

    Args:
        text: string, of a `batching_parameters.txt`.
        file: path. Where the text is from, for the error.
    """
    found = re.search(r"^\s*max_batch_size\s*\{\s*value:\s*(\d+)", text, re.M)
    if found and int(found[1]) < MAX_BATCH_SIZE:
        raise ValueError(
            f"{file} must have a max_batch_size of at least {MAX_BATCH_SIZE}, "
            "the number of rows in the requests that warm a model up. "
            f"Received: {found[1]}. For smaller batches, leave it and add "
            "enable_large_batch_splitting { value: true } and "
            f"max_execution_batch_size {{ value: {found[1]} }}."
        )


def readme(name: str, version: int | str, signatures: Signatures) -> str:
    """Returns the README of a model's folder, as Markdown.

    Args:
        name: string. The name that the model is served by.
        version: int or string. An existing version, for the examples.
        signatures: dict of names to functions, from `make_signatures`.
    """
    template = importlib.resources.files(__package__) / "model_readme.md"
    return string.Template(template.read_text("utf-8")).substitute(
        floor=_FLOOR,
        image=IMAGE,
        load_retries_flag=LOAD_RETRIES_FLAG,
        made_by=MADE_BY,
        max_batch_size=MAX_BATCH_SIZE,
        name=name,
        rest_timeout_flag=REST_TIMEOUT_FLAG,
        signatures=_table(signatures),
        text=EXAMPLE_TEXT,
        version=version,
    )


def _table(signatures: Signatures) -> str:
    lines = ["| signature | inputs | output |", "|---|---|---|"]
    for name, function in signatures.items():
        outputs = function.get_concrete_function().structured_outputs
        columns = [
            ", ".join(_column(*item) for item in rows)
            for rows in (input_specs(function).items(), outputs.items())
        ]
        lines.append(f"| `{name}` | {columns[0]} | {columns[1]} |")
    return "\n".join(lines)


def input_specs(function: Any) -> dict[str, Any]:
    """Returns the `tf.TensorSpec` of each input of a signature."""
    signature = function.get_concrete_function().structured_input_signature
    rows, named_rows = signature
    return {spec.name: spec for spec in (*rows, *named_rows.values())}


def _column(name: str, spec: Any) -> str:
    row = f" {tuple(spec.shape[1:])}" if spec.shape.rank > 1 else ""
    return f"`{name}` {spec.dtype.name}{row}"
