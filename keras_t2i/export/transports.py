"""The ways to ask an exported model: REST, gRPC, or in this process."""

import base64
import dataclasses
import http.client
import ipaddress
import json
import math
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_t2i.errors import ServerError
from keras_t2i.export.http_opener import http_opener
from keras_t2i.export.model_folder import SAVED_MODEL_FILE
from keras_t2i.export.model_folder import version_folders
from keras_t2i.files import check_checksums
from keras_t2i.reading import parse_json
from keras_t2i.terminal import visible
from keras_t2i.types import StrPath

_ADDRESS = re.compile(
    r"(?P<scheme>https?|grpcs?)://(?P<host>[^/?#]+)(?P<prefix>/[^?#]+)?"
    r"/v1/models/(?P<name>[^/:?#]+)"
    r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:?#]+))?/?"
)
# Seconds before the second, third, ... try.
_WAITS = (0.2, 0.4, 0.8, 1.6)
_BAD_REQUEST, _UNAVAILABLE = 400, 503
# What servers say, of a request whose batch held one of other shapes, and where
# all threads of gRPC are taken.
_MIXED_BATCH = "padding is turned off"
_NO_THREAD = "Server Threadpool Exhausted"
# As much of a server's error as is read, and shown.
_MAX_ERROR_BYTES = 2000
_MAX_ERROR_CHARACTERS = 500
# Four times 64 images of 256 pixels in base64, however badly they compress. By
# gRPC a client accepts 4 MB by default, which would be too few.
_MAX_ANSWER_BYTES = 2**26
_GRPC_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES)
]
_CHUNK_BYTES = 2**16


class Unavailable(Exception):
    """The server says that it cannot answer now."""


class MixedBatch(ServerError):
    """The server has batched the request with one of other shapes."""


@dataclasses.dataclass(frozen=True)
class ModelAddress:
    """Where a model is served, and which version of it is asked.

    `host` has the port too. Without `version` and `label`, the server chooses.
    """

    url: str
    scheme: str
    host: str
    name: str
    version: int | None
    label: str | None

    @classmethod
    def parse(cls, url: str) -> "ModelAddress":
        """Reads an address.

        Raises `ValueError` if it has another form, or holds credentials.
        """
        match = _ADDRESS.fullmatch(url)
        if match and match["prefix"] and match["scheme"].startswith("grpc"):
            match = None
        try:
            host = urllib.parse.urlsplit(url).netloc
        except ValueError:
            match, host = None, url
        if "@" in host:
            raise ValueError(
                "The address of a served model must not hold a name or a "
                "password, which error messages would show. Received: one "
                "with an @. Give them as headers: "
                "`Client(address, headers={'Authorization': ...})`."
            )
        if match is None:
            raise ValueError(
                "The address of a served model must have the form "
                "http://HOST:PORT/v1/models/NAME (or https, grpc, grpcs). For "
                "another version than the newest, /versions/N or "
                "/labels/LABEL follows. By http and https, the path of a proxy "
                f"may stand before /v1. Received: {url!r}"
            )
        scheme, host, _, name, version, label = match.groups()
        number = None if version is None else int(version)
        return cls(url.rstrip("/"), scheme, host, name, number, label)

    @property
    def is_this_machine(self) -> bool:
        """Whether the host is this machine, which no proxy is asked for."""
        try:
            host = urllib.parse.urlsplit(f"//{self.host}").hostname or ""
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def with_retries(ask: Callable[[], Any], url: str) -> Any:
    """Calls `ask` until it raises no `Unavailable`, at most five times.

    After a `MixedBatch`, for which another client is to blame, it starts again,
    once. Any other error passes at once: asking again would not help, or would
    do the same work twice.
    """
    try:
        return _while_unavailable(ask, url)
    except MixedBatch:
        return _while_unavailable(ask, url)


def _while_unavailable(ask: Callable[[], Any], url: str) -> Any:
    for wait in (*_WAITS, None):
        try:
            return ask()
        except Unavailable as error:
            if wait is None:
                raise ServerError(
                    f"{url} must be the address of a model that TensorFlow "
                    "Serving serves. Received, in five tries: unavailable, "
                    f"{error}"
                ) from None
            time.sleep(wait)


class RestTransport:
    """Sends requests as JSON, one column per input.

    `timeout` is in seconds, for one try. `headers` are sent with each request.
    """

    def __init__(
        self, address: ModelAddress, timeout: float, headers: dict[str, str]
    ):
        self._url = address.url + ":predict"
        self._timeout = timeout
        self._opener = http_opener(address.is_this_machine)
        self._headers = {**headers, "Content-Type": "application/json"}

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature.

        Strings are arrays of bytes objects, in the inputs and in the output.
        Raises `ServerError` if the server gives no answer.
        """
        columns = {name: _to_json(values) for name, values in inputs.items()}
        content = {"signature_name": signature, "inputs": columns}
        request = urllib.request.Request(
            self._url,
            json.dumps(content).encode(),
            self._headers,
        )
        return with_retries(lambda: self._send(request), self._url)

    def _send(self, request: urllib.request.Request) -> np.ndarray:
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                content = _received(response, _MAX_ANSWER_BYTES + 1)
            if len(content) > _MAX_ANSWER_BYTES:
                raise ValueError(f"more than {_MAX_ANSWER_BYTES:,} bytes")
            return _from_json(parse_json(content.decode())["outputs"])
        except urllib.error.HTTPError as error:
            message = _error_message(error)
            if error.code == _UNAVAILABLE:
                raise Unavailable(message) from None
            is_mixed = error.code == _BAD_REQUEST and _MIXED_BATCH in message
            raise (MixedBatch if is_mixed else ServerError)(
                f"{self._url} has answered {error.code}: {message}"
            ) from None
        except (
            # No connection, or no answer in time.
            OSError,
            http.client.HTTPException,
            # An answer that is not TensorFlow Serving's.
            ValueError,
            LookupError,
            TypeError,
            OverflowError,
        ) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"{self._url} must be the address of a model that TensorFlow "
                f"Serving serves, and answer within {self._timeout:g} s. "
                f"Received: {reason!r}. `keras-t2i serve` starts a server."
            ) from None


def _received(response: Any, max_bytes: int) -> bytes:
    """Returns what a server sends, but only so much."""
    content = bytearray()
    while len(content) < max_bytes:
        # At once, the memory for all of it would be taken beforehand.
        chunk = response.read(min(_CHUNK_BYTES, max_bytes - len(content)))
        if not chunk:
            break
        content += chunk
    return bytes(content)


def _error_message(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        error.close()
        return "a redirect to another host or in a circle, not followed"
    try:
        with error:  # Closes it, since it is not read to its end.
            received = _received(error, _MAX_ERROR_BYTES)
    except (OSError, http.client.HTTPException, ValueError):
        return _shown(error.reason)
    content = received.decode("utf-8", "replace")
    try:
        return _shown(str(parse_json(content)["error"]))
    except (ValueError, KeyError, TypeError):
        return _shown(content) or _shown(error.reason)


def _shown(message: str) -> str:
    """Returns as much of a server's words as an error of one line can hold."""
    message = " ".join(message.split())
    if len(message) > _MAX_ERROR_CHARACTERS:
        message = message[:_MAX_ERROR_CHARACTERS] + " ..."
    return visible(message)


def _to_json(values: np.ndarray) -> list[Any]:
    if values.dtype == object:
        # Any bytes have this form; a JSON string must be UTF-8.
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return values.tolist()


def _from_json(values: list[Any]) -> np.ndarray:
    if values and isinstance(values[0], dict):
        decoded = np.empty(len(values), object)
        decoded[:] = [base64.b64decode(value["b64"]) for value in values]
        return decoded
    # Strings would take as much memory each as the longest of them.
    return np.asarray(values, np.float64)


class GrpcTransport:
    """Sends requests as protocol buffers.

    `timeout` is in seconds, for one try. `headers` are sent with each request
    as metadata. Raises `ValueError` if tensorflow-serving-api is not installed.
    """

    def __init__(
        self, address: ModelAddress, timeout: float, headers: dict[str, str]
    ):
        try:
            import grpc
            from tensorflow_serving.apis import predict_pb2
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise ValueError(
                "gRPC needs the package tensorflow-serving-api. Received: an "
                "environment without it. Run `pip install "
                "tensorflow-serving-api`, or use the address of the REST API, "
                "http://..."
            ) from None
        self._grpc = grpc
        self._address = address
        self._timeout = timeout
        self._new_request = predict_pb2.PredictRequest
        options = list(_GRPC_OPTIONS)
        if address.is_this_machine:
            options.append(("grpc.enable_http_proxy", 0))
        if address.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            channel = grpc.secure_channel(address.host, credentials, options)
        else:
            channel = grpc.insecure_channel(address.host, options)
        # The names of metadata are in lower case.
        self._metadata = [(name.lower(), headers[name]) for name in headers]
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature, as `RestTransport` does."""
        request = self._new_request()
        model = request.model_spec
        model.name = self._address.name
        model.signature_name = signature
        if self._address.version is not None:
            model.version.value = self._address.version
        if self._address.label is not None:
            model.version_label = self._address.label
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        answer = with_retries(lambda: self._send(request), self._address.url)
        if len(answer.outputs) != 1:
            raise ServerError(
                f"{self._address.url} must be the address of a model that "
                "`keras-t2i export` has written. Received: an answer with the "
                f"outputs {sorted(answer.outputs)}"
            )
        (output,) = answer.outputs.values()
        return self._array(output)

    def _array(self, output: Any) -> np.ndarray:
        shape = [dimension.size for dimension in output.tensor_shape.dim]
        try:
            # One value may stand for all.
            if math.prod(shape) * 8 > _MAX_ANSWER_BYTES:
                raise ValueError("larger than any answer")
            return tf.make_ndarray(output)
        except (LookupError, TypeError, ValueError) as error:
            raise ServerError(
                f"{self._address.url} must answer with an array. Received: "
                f"one of shape {shape} that cannot be read ({error!r})"
            ) from None

    def _send(self, request: Any) -> Any:
        try:
            return self._stub.Predict(
                request, timeout=self._timeout, metadata=self._metadata
            )
        except self._grpc.RpcError as error:
            code, message = error.code().name, _shown(error.details() or "")
            if code == "UNAVAILABLE" or (
                code == "RESOURCE_EXHAUSTED" and _NO_THREAD in message
            ):
                raise Unavailable(message) from None
            is_mixed = code == "FAILED_PRECONDITION" and _MIXED_BATCH in message
            raise (MixedBatch if is_mixed else ServerError)(
                f"{self._address.url} has answered {code}: {message}"
            ) from None


class SavedModelTransport:
    """Answers from a SavedModel, without a server.

    `path` is a model's folder, whose newest version is loaded, or one version's
    folder. Raises `ValueError` if there is no SavedModel, or it is damaged.
    """

    def __init__(self, path: StrPath):
        path = pathlib.Path(path)
        if not (path / SAVED_MODEL_FILE).is_file():
            found = version_folders(path)
            if not found:
                raise ValueError(
                    "A model must be the address of a served model, such as "
                    "http://localhost:8501/v1/models/NAME, or a folder that "
                    "`keras-t2i export` has written. Received: "
                    f"{str(path)!r}, which holds no SavedModel."
                )
            path = found[-1]
        self._path = path
        check_checksums(path, [SAVED_MODEL_FILE])
        try:
            self._signatures = tf.saved_model.load(str(path)).signatures
        except Exception as error:
            # TensorFlow raises errors of many kinds for damaged files.
            raise ValueError(
                "A model's folder must hold a SavedModel. Received: "
                f"{str(path)!r}, which cannot be loaded: {error}"
            ) from error

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature, as `RestTransport` does."""
        if signature not in self._signatures:
            remedy = ""
            if sorted(self._signatures) == ["from_embedding"]:
                remedy = (
                    ". It reads no texts: use `generate --embeddings FILE` or "
                    "`generate_from_embeddings`"
                )
            raise ServerError(
                f"The model must have the signature {signature!r}. Received: "
                f"one with {sorted(self._signatures)}{remedy}"
            )
        function = self._signatures[signature]
        specs = function.structured_input_signature[1]
        for name, values in inputs.items():
            shape = specs[name].shape if name in specs else None
            if shape is not None and not shape.is_compatible_with(values.shape):
                raise ServerError(
                    f"The model takes `{name}` of shape {tuple(shape)}. "
                    f"Received: shape {values.shape}"
                )
        rows = {name: tf.constant(values) for name, values in inputs.items()}
        try:
            (output,) = function(**rows).values()
        except Exception as error:
            # Of many kinds again: another program may have written the model,
            # or memory has run out.
            raise ServerError(
                f"{str(self._path)!r}, which must be a model that `keras-t2i "
                f"export` has written, has failed at {signature!r}: {error}"
            ) from error
        return output.numpy()
