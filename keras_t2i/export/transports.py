"""The ways to ask an exported model: REST, gRPC, or in this process."""

import base64
import http.client
import json
import os
import pathlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_t2i.errors import ServerError
from keras_t2i.export.model_address import ModelAddress
from keras_t2i.export.model_folder import SAVED_MODEL_FILE
from keras_t2i.export.model_folder import version_folder
from keras_t2i.export.model_folder import versions

# Seconds before the second, third, ... try.
_WAITS = (0.2, 0.4, 0.8, 1.6)
_UNAVAILABLE = 503
# A client accepts 4 MB by default, which is fewer than 64 large pictures.
_OPTIONS = [("grpc.max_receive_message_length", -1)]


class Unavailable(Exception):
    """The server says that it can not answer now."""


def with_retries(ask: Callable):
    """Calls a function again after each `Unavailable`, later and later.

    Any other error passes at once: asking again would not help, or would do
    the same work twice.

    Args:
        ask: function without arguments.

    Returns:
        What it returns.

    Raises:
        Unavailable: the last one, after five tries.
    """
    for wait in _WAITS:
        try:
            return ask()
        except Unavailable:
            time.sleep(wait)
    return ask()


class RestTransport:
    """Sends requests as JSON, one column an input.

    Args:
        address: `ModelAddress`.
        timeout: float. Seconds for one try.
    """

    def __init__(self, address: ModelAddress, timeout: float):
        self._url = address.url + ":predict"
        self._timeout = timeout
        # To this machine itself, whatever proxy is set.
        proxies = {} if address.is_this_machine else None
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies)
        )

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature.

        Args:
            signature: string.
            inputs: dict of arrays; strings as arrays of bytes objects.

        Returns:
            array; of strings, an array of bytes objects.

        Raises:
            ServerError: there is no answer.
        """
        columns = {name: _to_json(values) for name, values in inputs.items()}
        content = {"signature_name": signature, "inputs": columns}
        request = urllib.request.Request(
            self._url,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            answer = with_retries(lambda: self._send(request))
        except Unavailable as error:
            raise ServerError(
                f"{self._url} has been unavailable in five tries: {error}"
            ) from None
        return answer

    def _send(self, request):
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return _from_json(json.load(response)["outputs"])
        except urllib.error.HTTPError as error:
            message = _error_message(error)
            if error.code == _UNAVAILABLE:
                raise Unavailable(message) from None
            raise ServerError(
                f"{self._url} has answered {error.code}: {message}"
            ) from None
        except (
            # No connection, or no answer in time.
            OSError,
            http.client.HTTPException,
            # An answer that is none of TensorFlow Serving.
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"{self._url} must be the address of a model that TensorFlow "
                f"Serving serves, and answer within {self._timeout:g} s. "
                f"Received: {reason!r}. `keras-t2i serve` starts a server."
            ) from None


def _error_message(error):
    try:
        content = error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return error.reason
    try:
        return json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return content.strip() or error.reason


def _to_json(values):
    if values.dtype == object:
        # The one form that any bytes have; a JSON string must be UTF-8.
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return values.tolist()


def _from_json(values):
    if values and isinstance(values[0], dict):
        decoded = np.empty(len(values), object)
        decoded[:] = [base64.b64decode(value["b64"]) for value in values]
        return decoded
    return np.asarray(values)


class GrpcTransport:
    """Sends requests as protocol buffers.

    Args:
        address: `ModelAddress`.
        timeout: float. Seconds for one try.

    Raises:
        ValueError: tensorflow-serving-api is not installed.
    """

    def __init__(self, address: ModelAddress, timeout: float):
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
        options = list(_OPTIONS)
        if address.is_this_machine:
            # Whatever proxy is set.
            options.append(("grpc.enable_http_proxy", 0))
        channel = grpc.insecure_channel(address.host, options)
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
        try:
            answer = with_retries(lambda: self._send(request))
        except Unavailable as error:
            raise ServerError(
                f"{self._address.url} must be the address of a model that "
                "TensorFlow Serving serves. Received, in five tries: "
                f"unavailable, {error}"
            ) from None
        if len(answer.outputs) != 1:
            raise ServerError(
                f"{self._address.url} must be the address of a model that "
                "`keras-t2i export` has written. Received: an answer with the "
                f"outputs {sorted(answer.outputs)}"
            )
        (output,) = answer.outputs.values()
        return tf.make_ndarray(output)

    def _send(self, request):
        try:
            return self._stub.Predict(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(error.details()) from None
            raise ServerError(
                f"{self._address.url} has answered {error.code().name}: "
                f"{error.details()}"
            ) from None


class SavedModelTransport:
    """Answers from a SavedModel, without a server.

    Args:
        path: path of a model's folder, whose newest version is loaded, or of
            the folder of one version.

    Raises:
        ValueError: there is no SavedModel.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path)
        if not (path / SAVED_MODEL_FILE).is_file():
            found = versions(path)
            if not found:
                raise ValueError(
                    "A model must be the address of a served one, such as "
                    "http://localhost:8501/v1/models/NAME, or a folder that "
                    "`keras-t2i export` has written. Received: "
                    f"{str(path)!r}, which holds no SavedModel."
                )
            path = version_folder(path, found[-1])
        self._path = path
        try:
            self._signatures = tf.saved_model.load(str(path)).signatures
        except Exception as error:
            # TensorFlow raises errors of many kinds for damaged files.
            raise ValueError(
                "A model's folder must hold a SavedModel. Received: "
                f"{str(path)!r}, which can not be loaded: {error}"
            ) from error

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature, as `RestTransport` does."""
        if signature not in self._signatures:
            raise ServerError(
                f"The model must have the signature {signature!r}. Received: "
                f"one with {sorted(self._signatures)}"
            )
        rows = {name: tf.constant(values) for name, values in inputs.items()}
        try:
            (output,) = self._signatures[signature](**rows).values()
        except Exception as error:
            # Of many kinds again, where another program has written the model
            # or, for example, memory has run out.
            raise ServerError(
                f"{str(self._path)!r}, which must be a model that `keras-t2i "
                f"export` has written, has failed at {signature!r}: {error}"
            ) from error
        return output.numpy()
