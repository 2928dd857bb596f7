"""Stand-ins for TensorFlow Serving, which they are not.

They answer from a SavedModel in the forms of its REST and gRPC APIs, so that
the client has something to talk to where no TensorFlow Serving is. What they
prove of TensorFlow Serving is nothing.
"""

import base64
import concurrent.futures
import contextlib
import functools
import http.server
import json
import re
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

_PATH = re.compile(
    r"(/team)?/v1/models/flowers(/versions/\d+|/labels/\w+)?:predict", re.ASCII
)


@functools.lru_cache(maxsize=4)
def _signatures(saved_model):
    """Loaded once for all stand-ins, which keep nothing in it."""
    return tf.saved_model.load(saved_model).signatures


class _Model:
    """Answers, after the failures that it was told to begin with."""

    def __init__(self, saved_model, failures, delay):
        self._signatures = _signatures(str(saved_model))
        self.failures = list(failures)
        self._delay = delay
        self.asked = []
        # Headers of the last request.
        self.metadata = []

    def answer(self, model, signature, inputs):
        """Returns a dict of outputs; raises the failure that is due."""
        self.asked.append((model, signature, inputs))
        time.sleep(self._delay)
        if self.failures:
            raise _Failure(self.failures.pop(0))
        function = self._signatures[signature]
        specs = function.structured_input_signature[1]
        rows = {
            name: tf.constant(values, specs[name].dtype)
            for name, values in inputs.items()
        }
        outputs = function(**rows)
        return {name: values.numpy() for name, values in outputs.items()}


class _Failure(Exception):
    def __init__(self, failure):
        has_message = isinstance(failure, tuple)
        self.code, self.message = failure if has_message else (failure, None)


@contextlib.contextmanager
def rest_stand_in(saved_model, failures=(), delay=0.0):
    """Yields an address and the model.

    `failures` are HTTP status codes, or pairs of one and a message.
    """
    model = _Model(saved_model, failures, delay)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            model.metadata = self.headers.items()
            content = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                code, answer = self._answer(json.loads(content))
            except _Failure as failure:
                code, message = failure.code, failure.message
                answer = {"error": message or f"failure {code}"}
            body = json.dumps(answer).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def _answer(self, request):
            if not _PATH.fullmatch(self.path):
                error = "Servable not found for request: Latest(bees)"
                return 404, {"error": error}
            inputs = {
                name: [_from_json(value) for value in values]
                for name, values in request["inputs"].items()
            }
            signature = request["signature_name"]
            outputs = model.answer(self.path, signature, inputs)
            answer = {n: _to_json(values) for n, values in outputs.items()}
            # A single one comes without its name.
            if len(answer) == 1:
                (answer,) = answer.values()
            return 200, {"outputs": answer}

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # It looks that often whether it shall end.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        port = server.server_address[1]
        yield f"http://127.0.0.1:{port}/v1/models/flowers", model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def grpc_bytes(answer):
    """Answers each request by gRPC with what a function returns: any bytes."""
    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, context: answer()
    )
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    service = "tensorflow.serving.PredictionService"
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {"Predict": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}/v1/models/flowers"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def grpc_stand_in(saved_model, failures=(), delay=0.0, credentials=None):
    """The same by gRPC; `failures` are `grpc.StatusCode`s.

    With `credentials`, those of a server, it speaks TLS.
    """
    model = _Model(saved_model, failures, delay)

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            model.metadata = context.invocation_metadata()
            inputs = {
                name: tf.make_ndarray(tensor)
                for name, tensor in request.inputs.items()
            }
            spec = request.model_spec
            if spec.name != "flowers":
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
            try:
                outputs = model.answer(spec, spec.signature_name, inputs)
            except _Failure as failure:
                context.abort(failure.code, failure.message or "failure")
            response = predict_pb2.PredictResponse()
            for name, values in outputs.items():
                tensor = tf.make_tensor_proto(values)
                response.outputs[name].CopyFrom(tensor)
            return response

    executor = concurrent.futures.ThreadPoolExecutor(2)
    server = grpc.server(executor)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Servicer(), server
    )
    if credentials is None:
        origin = "grpc://127.0.0.1"
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        origin = "grpcs://localhost"
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"{origin}:{port}/v1/models/flowers", model
    finally:
        server.stop(None).wait()
        executor.shutdown()


def _from_json(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _to_json(values):
    if values.dtype == object:
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return np.asarray(values).tolist()
