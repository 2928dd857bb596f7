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
# A request holds a thread until its batch is computed: these are enough for
# two batches of single rows, which are computed at once, and a third that fills
# meanwhile. By default there are four per core; gRPC refuses requests beyond
# them, and in REST they wait, also the questions of whether the server lives.
_NUM_THREADS = 3 * MAX_BATCH_SIZE
SERVER_FLAGS = (
    f"--grpc_max_threads={_NUM_THREADS}",
    f"--rest_api_num_threads={_NUM_THREADS}",
    f"--rest_api_timeout_in_ms={1000 * REQUEST_SECONDS:.0f}",
    # By default, a server tries a model that it cannot load six times, a
    # minute apart, and does not listen meanwhile.
    "--max_num_load_retries=0",
)
# The most pixels of a style image, unless an export is told another number:
# what cameras call 16 megapixels.
MAX_STYLE_PIXELS = 2**24
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
    return [int(folder.name) for folder in version_folders(path)]


def version_folders(path: StrPath) -> list[pathlib.Path]:
    """Returns the folders of these versions, whose names may begin with 0."""
    return [
        entry
        for entry in version_entries(path)
        if (entry / SAVED_MODEL_FILE).is_file()
    ]


def version_entries(path: StrPath) -> list[pathlib.Path]:
    """Returns what a server takes for versions of a model, in rising order.

    They are the entries whose names are numbers, and need not be whole
    SavedModels. The folder need not exist.
    """
    path = pathlib.Path(path)
    # TensorFlow Serving ignores other names too.
    numbered = [
        entry
        for entry in (path.iterdir() if path.is_dir() else ())
        if entry.name.isascii() and entry.name.isdigit()
    ]
    return sorted(numbered, key=lambda entry: int(entry.name))


def next_version(path: StrPath) -> int:
    """Returns the version after all that are there, 1 where there is none."""
    entries = version_entries(path)
    return int(entries[-1].name) + 1 if entries else 1


def version_folder(path: StrPath, version: int) -> pathlib.Path:
    """Returns the folder of a version.

    Raises `ValueError` if `version` is not a whole number from 1 to
    `2**63 - 1`.
    """
    check_whole_number(version, "version", at_least=1)
    if version > _LARGEST_VERSION:
        raise ValueError(
            "`version` must be a whole number of at least 1, of 64 bits. By "
            "default it is one more than the highest version there. Received: "
            f"{version!r}"
        )
    return pathlib.Path(path) / str(version)


def models_config(
    base_paths: Mapping[str, str], pinned: Mapping[str, int] | None = None
) -> str:
    """Returns the text of a `models.config`.

    `base_paths` maps the names of models to their folders, as the server sees
    them. Of models that `pinned` names, only this version is served, and of
    others the newest.
    """
    policies = {
        name: "    model_version_policy { specific { versions: "
        f"{version} }} }}\n"
        for name, version in (pinned or {}).items()
    }
    configs = "".join(
        "  config {\n"
        f"    name: {_quoted(name)}\n"
        f"    base_path: {_quoted(path)}\n"
        '    model_platform: "tensorflow"\n'
        f"{policies.get(name, '')}"
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

    `text` is from a `batching_parameters.txt`. `file` is its path, for the
    error.
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


def readme(
    name: str,
    version: int | str,
    signatures: Signatures,
    max_style_pixels: int = MAX_STYLE_PIXELS,
) -> str:
    """Returns the README of a model's folder, as Markdown.

    The model is served under `name`. `version` is an existing version, for the
    examples. `signatures` are those of `make_signatures`. `max_style_pixels`
    are the most pixels of a style image.
    """
    style = weights = ""
    if "transfer_style" in signatures:
        style = (
            "A style image that is neither JPEG nor PNG, is damaged, or has "
            f"more than\n{max_style_pixels:,} pixels counts as plain gray.\n\n"
        )
    if "interpolate" in signatures:
        weights = " Weights: 0 is\n`from`, 1 is `to`."
    ask, row, dim = "ask_by_texts.md", "text", None
    if "serving_default" not in signatures:
        ask, row = "ask_by_embeddings.md", "text embedding"
        specs = input_specs(signatures["from_embedding"])
        dim = specs["embedding"].shape[-1]
    return _filled(
        "model_readme.md",
        ask=_filled(
            ask, name=name, text=EXAMPLE_TEXT, version=version, dim=dim
        ),
        floor=_FLOOR,
        image=IMAGE,
        made_by=MADE_BY,
        max_batch_size=MAX_BATCH_SIZE,
        name=name,
        row=row,
        server_flags=" \\\n    ".join(SERVER_FLAGS),
        signatures=_table(signatures),
        style_limit=style,
        weights=weights,
        what=f"{row}s",
    )


def _filled(template: str, **values: Any) -> str:
    file = importlib.resources.files(__package__) / template
    return string.Template(file.read_text("utf-8")).substitute(values)


def _table(signatures: Signatures) -> str:
    lines = ["| signature | inputs | output |", "|---|---|---|"]
    for name, function in signatures.items():
        outputs = function.structured_outputs
        columns = [
            ", ".join(_column(*item) for item in rows)
            for rows in (input_specs(function).items(), outputs.items())
        ]
        lines.append(f"| `{name}` | {columns[0]} | {columns[1]} |")
    return "\n".join(lines)


def input_specs(function: Any) -> dict[str, Any]:
    """Returns the `tf.TensorSpec` of each input of a signature."""
    rows, named_rows = function.structured_input_signature
    return {spec.name: spec for spec in (*rows, *named_rows.values())}


def _column(name: str, spec: Any) -> str:
    row = f" {tuple(spec.shape[1:])}" if spec.shape.rank > 1 else ""
    return f"`{name}` {spec.dtype.name}{row}"
