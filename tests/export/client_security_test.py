"""What the client tells strangers, and what it repeats of their words."""

import base64
import contextlib
import functools
import http.server
import io
import json
import pathlib
import threading
import time

import grpc
import numpy as np
import PIL.Image
import pytest
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from keras_t2i.export import Client
from keras_t2i.export import ServerError
from tests.export.stand_in_servers import grpc_bytes
from tests.export.stand_in_servers import grpc_stand_in
from tests.export.stand_in_servers import rest_stand_in

_HEADERS = {"Authorization": "Bearer secret"}
_TLS = pathlib.Path(__file__).parent


@contextlib.contextmanager
def _server(answer):
    """A server that answers each request by `answer(handler)`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # It looks that often whether it shall end.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/models/flowers"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _redirect(handler, code, url):
    handler.send_response(code)
    handler.send_header("Location", url)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_to_another_host_is_followed(code):
    asked = []

    def record(handler):
        asked.append(handler.headers)
        handler.send_error(400)

    with _server(record) as elsewhere:
        redirect = functools.partial(_redirect, code=code, url=elsewhere)
        with _server(redirect) as address:
            with pytest.raises(ServerError, match="redirect to another host"):
                Client(address, headers=_HEADERS).generate("a rose")
    assert not asked


def test_a_redirect_on_the_same_host_is_followed():
    received = []

    def answer(handler):
        received.append(handler.headers)
        if handler.path.startswith("/v1"):
            _redirect(handler, 307, handler.path.replace("/v1", "/proxy"))
        else:
            handler.send_response(400)
            handler.send_header("Content-Length", "7")
            handler.end_headers()
            handler.wfile.write(b"arrived")

    with _server(answer) as address:
        with pytest.raises(ServerError, match="has answered 400: arrived"):
            Client(address, headers=_HEADERS).generate("a rose")
    assert [headers["Authorization"] for headers in received] == [
        "Bearer secret"
    ] * 2


def test_errors_are_cut_and_shown_on_one_line():
    def answer(handler):
        handler.send_response(500)
        handler.end_headers()
        handler.wfile.write(b"\x1b[2J line\nline " + b"x" * 10**6)

    with _server(answer) as address:
        with pytest.raises(ServerError) as error:
            Client(address).generate("a rose")
    message = str(error.value)
    assert message.isprintable() and len(message) < 700
    assert "line line xxx" in message and message.endswith(" ...")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_credentials_in_an_address_are_refused_and_not_repeated(scheme):
    for rest in ("/v1/models/flowers", "/nonsense"):
        with pytest.raises(ValueError, match="must not hold.*headers") as error:
            Client(f"{scheme}://me:secret@localhost:8501{rest}")
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "headers",
    [
        *({"A": "b\nC: d"}, {"": "b"}, {"A": 1}, {"A\r": "b"}),
        *({"A:": "b"}, {"A": "\u20ac"}, {"Key-bin": "b"}),
    ],
)
@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_headers_that_are_none(headers, kind):
    with pytest.raises(ValueError, match="`headers` must be names of letters"):
        Client(f"{kind}://localhost:1/v1/models/flowers", headers=headers)


def test_a_version_that_is_none():
    address = f"http://localhost:1/v1/models/flowers/versions/1{18 * '0'}"
    with pytest.raises(ValueError, match="must have the form"):
        Client(address)


def test_headers_for_a_folder(saved_model):
    with pytest.raises(ValueError, match="`headers` are for a server"):
        Client(saved_model, headers={"A": "b"})


def test_grpc_by_tls_with_headers(saved_model, gan, monkeypatch):
    # Made by openssl for localhost, for a hundred years. They protect nothing.
    certificate = (_TLS / "localhost.crt").read_bytes()
    server = grpc.ssl_server_credentials(
        [((_TLS / "localhost.key").read_bytes(), certificate)]
    )
    trusted = grpc.ssl_channel_credentials(certificate)
    with grpc_stand_in(saved_model, credentials=server) as (address, model):
        with monkeypatch.context() as patch:
            patch.setattr(grpc, "ssl_channel_credentials", lambda: trusted)
            client = Client(address, headers=_HEADERS)
        found = client.generate("a rose")
    np.testing.assert_array_equal(found, gan.generate("a rose"))
    assert ("authorization", "Bearer secret") in model.metadata


def test_headers_by_rest(saved_model):
    with rest_stand_in(saved_model) as (address, model):
        Client(address, headers=_HEADERS).generate("a rose")
    assert ("Authorization", "Bearer secret") in model.metadata


# === Answers that are not what they should be ===


def _answered(content):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(content)

    return answer


def _images(*sizes):
    files = []
    for size in sizes:
        file = io.BytesIO()
        PIL.Image.new("L", (size, size)).save(file, "PNG")
        files.append({"b64": base64.b64encode(file.getvalue()).decode()})
    return json.dumps({"outputs": files}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Within a few bytes, what takes gigabytes.
        (_images(2000, 2000), "PNG files"),
        (b'{"outputs": ["' + b"a" * 10**6 + b'"' + b', "a"' * 10**5, "answer"),
        (b'{"outputs": ' + b"[" * 10**6, "nested too deeply"),
        (b'{"outputs": [1' + b" " * 2**26 + b", 2]}", "more than 67,108,864 b"),
        (_images(3, 4), r"images of one size.*\(3, 3, 3\), \(4, 4, 3\)"),
        (b'{"outputs": [1, 2]}', "PNG files"),
        (b'{"outputs": [[1, 2], [3, 4]]}', r"an answer of shape \(2, 2\)"),
    ],
    ids=lambda value: "",
)
def test_answers_of_strangers(content, message):
    with _server(_answered(content)) as address:
        for as_png in (False, True):
            with pytest.raises(ServerError, match=message):
                Client(address).generate(["a rose"] * 2, as_png=as_png)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.0 ",
        b"HTTP/1.0 200 OK\r\nX-Slow: ",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 500 Broken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_an_answer_that_never_ends(start):
    is_over = threading.Event()

    def trickle(handler):
        handler.wfile.write(start)
        with contextlib.suppress(ConnectionError):
            while not is_over.wait(0.02):
                handler.wfile.write(b" ")

    with _server(trickle) as address:
        start = time.monotonic()
        with pytest.raises(ServerError):
            Client(address, timeout=0.2).generate("a rose")
        assert time.monotonic() - start < 2
        is_over.set()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        # One value stands for a trillion.
        ({"dtype": 1, "float_val": [1.0], "shape": [10**6, 10**6]}, "larger"),
        ({"dtype": 1, "float_val": [1, 2], "shape": [-1]}, "cannot be read"),
        ({"dtype": 7, "string_val": [b"a"], "shape": [1, 1]}, "are numbers"),
        ({"dtype": 1, "float_val": [1], "shape": [1]}, r"of shape \(1,\)"),
        ({"dtype": 20, "float_val": [], "shape": [1]}, "cannot be read"),
    ],
)
def test_arrays_of_strangers_by_grpc(tensor, message):
    tensor = tensor.copy()
    shape = [{"size": size} for size in tensor.pop("shape")]
    answer = predict_pb2.PredictResponse()
    output = tensor_pb2.TensorProto(tensor_shape={"dim": shape}, **tensor)
    answer.outputs["image_bytes"].CopyFrom(output)
    with grpc_bytes(answer.SerializeToString) as address:
        client = Client(address)
        with pytest.raises(ServerError, match=message):
            client.embed_text("a rose")
