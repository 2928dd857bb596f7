"""The client, and servers that fail; they are no TensorFlow Serving."""

import contextlib
import socket
import threading
import time

import grpc
import numpy as np
import pytest

from keras_t2i.export import Client
from keras_t2i.export import ServerError
from keras_t2i.export import transports
from tests.export.stand_in_servers import grpc_stand_in
from tests.export.stand_in_servers import rest_stand_in

STAND_INS = {"http": rest_stand_in, "grpc": grpc_stand_in}

_UNAVAILABLE = {"http": 503, "grpc": grpc.StatusCode.UNAVAILABLE}
_OTHERS = [
    ("http", 400),
    ("http", 404),
    ("http", 429),
    ("http", 500),
    ("http", 502),
    ("http", 504),
    ("grpc", grpc.StatusCode.INVALID_ARGUMENT),
    ("grpc", grpc.StatusCode.INTERNAL),
    ("grpc", grpc.StatusCode.RESOURCE_EXHAUSTED),
]


@pytest.mark.parametrize("kind", STAND_INS)
def test_unavailable_is_asked_again_later(saved_model, gan, kind):
    failures = [_UNAVAILABLE[kind]] * 2
    with STAND_INS[kind](saved_model, failures) as (address, model):
        start = time.monotonic()
        found = Client(address).generate("a rose")
        assert time.monotonic() - start >= 0.2 + 0.4
        assert len(model.asked) == 3
    np.testing.assert_array_equal(found, gan.generate("a rose"))


@pytest.fixture
def short_waits(monkeypatch):
    """As many tries, without the waits between them."""
    monkeypatch.setattr(transports, "_WAITS", (0.01,) * len(transports._WAITS))


@pytest.mark.parametrize("kind", STAND_INS)
def test_unavailable_for_good(saved_model, kind, short_waits):
    failures = [_UNAVAILABLE[kind]] * 9
    with STAND_INS[kind](saved_model, failures) as (address, model):
        with pytest.raises(ServerError, match="in five tries.*failure"):
            Client(address).generate("a rose")
        assert len(model.asked) == 5


def test_a_server_without_a_free_thread_is_asked_again_later(saved_model, gan):
    """By the words of gRPC in C++."""
    failure = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Server Threadpool Exhausted",
    )
    with grpc_stand_in(saved_model, [failure] * 2) as (address, model):
        start = time.monotonic()
        found = Client(address).generate("a rose")
        assert time.monotonic() - start >= 0.2 + 0.4
        assert len(model.asked) == 3
    np.testing.assert_array_equal(found, gan.generate("a rose"))


_MIXED_CODES = {"http": 400, "grpc": grpc.StatusCode.FAILED_PRECONDITION}
_MIXED_BATCH = (
    "Tensors with name 'serving_default_text:0' from different tasks have "
    "different shapes and padding is turned off.Set pad_variable_length_inputs "
    "to true, or ensure that all tensors with the same name"
)


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_request_batched_with_one_of_other_shapes_is_sent_again_once(
    saved_model, gan, kind
):
    mixed = _MIXED_CODES[kind], _MIXED_BATCH
    with STAND_INS[kind](saved_model, [mixed]) as (address, model):
        found = Client(address).generate("a rose")
        assert len(model.asked) == 2
        np.testing.assert_array_equal(found, gan.generate("a rose"))
        model.failures = [mixed] * 2
        with pytest.raises(ServerError, match="answered .*turned off"):
            Client(address).generate("a rose")
        assert len(model.asked) == 4
        # Not where that is only what it speaks of.
        wrong = 500 if kind == "http" else grpc.StatusCode.INTERNAL
        model.failures = [(wrong, _MIXED_BATCH)]
        with pytest.raises(ServerError, match="answered .*turned off"):
            Client(address).generate("a rose")
        assert len(model.asked) == 5


@pytest.mark.parametrize(("kind", "failure"), _OTHERS)
def test_other_failures_are_not_asked_again(saved_model, kind, failure):
    with STAND_INS[kind](saved_model, [failure]) as (address, model):
        name = failure if kind == "http" else failure.name
        with pytest.raises(ServerError, match=f"answered {name}: failure"):
            Client(address).generate("a rose")
        assert len(model.asked) == 1


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_model_that_is_not_served(saved_model, kind):
    with STAND_INS[kind](saved_model) as (address, _):
        with pytest.raises(ServerError, match="Servable not found") as error:
            Client(address.replace("flowers", "bees")).generate("a rose")
        assert "/v1/models/bees" in str(error.value)


@pytest.mark.parametrize("kind", STAND_INS)
def test_time_out(saved_model, kind):
    with STAND_INS[kind](saved_model, delay=2.0) as (address, _):
        start = time.monotonic()
        with pytest.raises(ServerError, match="0.3 s|DEADLINE_EXCEEDED"):
            Client(address, timeout=0.3).generate("a rose")
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("kind", STAND_INS)
def test_nobody_there(kind, short_waits):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        address = f"{kind}://127.0.0.1:{port}/v1/models/flowers"
        with pytest.raises(ServerError, match="must be the address of") as e:
            Client(address).generate("a rose")
    assert address in str(e.value)


@contextlib.contextmanager
def _raw_server(answer):
    """Yields an address, which answers once, by these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                # Closed with something unread, the answer would be lost.
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/models/a"
        thread.join()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"a": 1}', b""])
def test_an_answer_of_another_server(answer):
    head = b"HTTP/1.0 200 OK\r\n\r\n" if answer else b""
    with _raw_server(head + answer) as address:
        with pytest.raises(ServerError, match="that TensorFlow Serving serves"):
            Client(address).embed_text("a rose")


def test_a_number_that_no_float_can_be():
    answer = b'{"outputs": [1%s]}' % (400 * b"0")
    with _raw_server(b"HTTP/1.0 200 OK\r\n\r\n" + answer) as address:
        with pytest.raises(ServerError, match="that TensorFlow Serving serves"):
            Client(address).embed_text("a rose")


def test_embeddings_that_are_not_finite():
    answer = b'HTTP/1.0 200 OK\r\n\r\n{"outputs": [[0.5, NaN]]}'
    with _raw_server(answer) as address:
        with pytest.raises(ServerError, match="all finite.*: NaN"):
            Client(address).embed_text("a rose")


def test_an_error_whose_words_are_cut_off():
    head = b"HTTP/1.0 500 Broken\r\nContent-Length: 99\r\n\r\n"
    with _raw_server(head + b'{"error": "no') as address:
        with pytest.raises(ServerError, match="has answered 500: .*error.*no"):
            Client(address).embed_text("a rose")


def test_an_error_whose_chunk_has_no_size():
    head = b"HTTP/1.1 500 Broken\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _raw_server(head + b"-5\r\nabc\r\n") as address:
        with pytest.raises(ServerError, match="has answered 500: Broken"):
            Client(address).embed_text("a rose")


# === Proxies ===


@pytest.fixture
def set_proxy(monkeypatch):
    def set_proxy(address):
        monkeypatch.setenv("http_proxy", address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

    return set_proxy


def test_no_proxy_is_asked_for_this_machine(saved_model, set_proxy):
    set_proxy("http://127.0.0.1:1")
    with rest_stand_in(saved_model) as (address, model):
        for host in ("127.0.0.1", "localhost"):
            Client(address.replace("127.0.0.1", host)).embed_text("a rose")
        assert len(model.asked) == 2


def test_no_proxy_is_asked_for_this_machine_by_grpc(saved_model, set_proxy):
    set_proxy("http://127.0.0.1:1")
    with grpc_stand_in(saved_model) as (address, model):
        Client(address).embed_text("a rose")
        assert len(model.asked) == 1


def test_a_proxy_is_asked_for_others(saved_model, set_proxy):
    with rest_stand_in(saved_model) as (address, _):
        set_proxy(address.partition("/v1/")[0])
        client = Client("http://models.invalid:8501/v1/models/flowers")
        # The stand-in is no proxy: to it, this is another path.
        with pytest.raises(ServerError, match="answered 404: Servable not"):
            client.embed_text("a rose")
