"""Asks TensorFlow Serving by its REST API."""

import base64
import http.client
import json
import urllib.error
import urllib.request

import numpy as np

from keras_t2i.errors import ServerError
from keras_t2i.export.model_address import ModelAddress
from keras_t2i.export.retries import Unavailable
from keras_t2i.export.retries import with_retries

_UNAVAILABLE = 503


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
