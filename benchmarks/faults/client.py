"""Servers answer a client by garbage, slowly, half, never or elsewhere."""

import base64
import contextlib
import json
import random
import socket
import socketserver
import threading
import time

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from keras_t2i.export import Client
from keras_t2i.export import ServerError
from tests.damaged_files import damaged
from tests.export.stand_in_servers import grpc_bytes
from tests.export.tiny_served import encode

_HEADERS = {"Authorization": "Bearer secret"}
_TIMEOUT = 0.4
# Five tries, and the waits between them.
_MAX_SECONDS = 5 * _TIMEOUT + 3 + 2
# How long a server goes on that never ends.
_SECONDS = _MAX_SECONDS + 2
_CAPTIONS = ["a red flower", "a blue flower"]
_PIXELS, _DIM = 32, 8
_MAX_MESSAGE = 2000


def run(counts, whole, folder, count, seed):
    """Asks `count` times; `seed` decides what is answered."""
    del whole, folder
    generator = random.Random(seed)
    behaviors = [*_REST, *_GRPC]
    for number in range(count):
        behavior = behaviors[number % len(behaviors)]
        grow = np.random.default_rng(generator.getrandbits(32))
        kind = "gRPC" if behavior in _GRPC else "REST"
        row = f"{kind}: {behavior.__name__.strip('_').replace('_', ' ')}"
        asked_for_images = bool(grow.integers(2))
        serve = _served_by_grpc if behavior in _GRPC else _served_by_rest
        with serve(behavior, asked_for_images, grow) as (address, leaks):
            outcome, reason = _ask(address, asked_for_images)
        if leaks:
            outcome, reason = "executed", f"sent elsewhere: {leaks}"
        if behavior is _half and outcome == "harmless":
            outcome = "silent"
        counts.add(row, outcome, reason)


def _ask(address, asked_for_images):
    """Returns what has become of it, and why."""
    started = time.monotonic()
    try:
        client = Client(address, timeout=_TIMEOUT, headers=_HEADERS)
        if asked_for_images:
            answer, shape = client.generate(_CAPTIONS), (_PIXELS, _PIXELS, 3)
        else:
            answer, shape = client.embed_text(_CAPTIONS), (_DIM,)
        # What is well-formed is the server's word: other numbers may be right.
        is_right = answer.shape == (len(_CAPTIONS), *shape)
        outcome, reason = "harmless" if is_right else "silent", answer.shape
    except ServerError as error:
        outcome, reason = "found", str(error)
        if len(reason) > _MAX_MESSAGE or not reason.isprintable():
            outcome = "traceback"
    except Exception as error:
        outcome, reason = "traceback", repr(error)
    seconds = time.monotonic() - started
    if seconds > _MAX_SECONDS:
        outcome, reason = "too much", f"{seconds:.1f} s"
    return outcome, reason


# === By REST: functions of a connection and of the right answer ===


def _garbage(connection, answer, generator):
    connection.sendall(generator.bytes(int(generator.integers(1, 5000))))


def _garbage_as_content(connection, answer, generator):
    content = generator.bytes(int(generator.integers(1, 5000)))
    connection.sendall(_with_head(content))


def _damaged_content(connection, answer, generator):
    connection.sendall(_with_head(damaged(answer, generator)))


def _damaged_answer(connection, answer, generator):
    connection.sendall(damaged(_with_head(answer), generator))


def _error_with_garbage(connection, answer, generator):
    codes = ("400 Bad", "404 No", "500 Broken", "418 \x1b[2J", "999 ?", "204 -")
    code = codes[generator.integers(len(codes))]
    connection.sendall(_with_head(generator.bytes(1000), code))


def _half(connection, answer, generator):
    content = _with_head(answer)
    connection.sendall(content[: int(generator.integers(len(content)))])


def _slow_answer(connection, answer, generator):
    head = _with_head(answer)[: -len(answer)]
    # Slow from the first line, within a header or within the content on.
    starts = (b"HTTP", head[:-2] + b"X-Slow: ", head)
    connection.sendall(starts[generator.integers(3)])
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        connection.sendall(b" ")
        time.sleep(0.05)


def _never(connection, answer, generator):
    connection.settimeout(_SECONDS)
    with contextlib.suppress(TimeoutError):
        connection.recv(1)


def _redirect(connection, answer, generator):
    code = (301, 302, 303, 307, 308)[generator.integers(5)]
    url = (_redirect.elsewhere, "/v1/models/a:predict")[generator.integers(2)]
    head = f"HTTP/1.1 {code} -\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head.encode())


_REST = (
    *(_garbage, _garbage_as_content, _damaged_content, _damaged_answer),
    *(_error_with_garbage, _half, _slow_answer, _never, _redirect),
)


def _with_head(content, code="200 OK"):
    head = f"HTTP/1.1 {code}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@contextlib.contextmanager
def _tcp_server(handle):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                self.request.recv(2**16)
                handle(self.request)
                self.request.shutdown(socket.SHUT_WR)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _served_by_rest(behavior, of_images, generator):
    """Yields an address, and what has come to another one."""
    images, embeddings = _answers(generator)
    outputs = embeddings.tolist()
    if of_images:
        outputs = [{"b64": base64.b64encode(i).decode()} for i in images]
    answer = json.dumps({"outputs": outputs}).encode()
    leaks = []
    with (
        _tcp_server(lambda _: leaks.append("a request")) as elsewhere,
        _tcp_server(lambda c: behavior(c, answer, generator)) as host,
    ):
        _redirect.elsewhere = f"http://{elsewhere}/v1/models/a:predict"
        yield f"http://{host}/v1/models/a", leaks


# === By gRPC: functions of the right answer ===


def _other_bytes(answer, generator):
    return generator.bytes(int(generator.integers(1, 5000)))


def _damaged_message(answer, generator):
    return damaged(answer, generator)


def _no_message(answer, generator):
    time.sleep(_TIMEOUT + 0.2)
    return b""


_GRPC = (_other_bytes, _damaged_message, _no_message)


@contextlib.contextmanager
def _served_by_grpc(behavior, of_images, generator):
    images, embeddings = _answers(generator)
    values = np.array(images, object) if of_images else embeddings
    message = predict_pb2.PredictResponse()
    message.outputs["output"].CopyFrom(tf.make_tensor_proto(values))
    answer = message.SerializeToString()
    with grpc_bytes(lambda: behavior(answer, generator)) as address:
        yield address, []


def _answers(generator):
    """Two PNG files, and two embeddings."""
    shape = (len(_CAPTIONS), _PIXELS, _PIXELS, 3)
    images = generator.integers(0, 256, shape, "uint8")
    embeddings = generator.normal(size=(len(_CAPTIONS), _DIM))
    return [encode(image) for image in images], embeddings.astype("float32")
