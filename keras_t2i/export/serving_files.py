"""What TensorFlow Serving is configured by."""

import re

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
