"""Asks TensorFlow Serving by gRPC."""

import numpy as np
import tensorflow as tf

from keras_t2i.errors import ServerError
from keras_t2i.export.model_address import ModelAddress
from keras_t2i.export.retries import Unavailable
from keras_t2i.export.retries import with_retries

# A client accepts 4 MB by default, which is fewer than 64 large pictures.
_OPTIONS = [("grpc.max_receive_message_length", -1)]


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
