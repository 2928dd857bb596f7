"""The page by HTTP, without a browser."""

import concurrent.futures
import http.client
import json
import logging.handlers
import queue
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from keras_t2i.play.page_model import PageModel
from keras_t2i.play.web_server import listening_socket
from tests.play.conftest import served
from tests.programs import a_free_port

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _status(address, path, method="GET", body=None, headers=()):
    host = urllib.parse.urlsplit(address).netloc
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def _join(address, visitor, caption, seed=0, count=1, **others):
    """Puts a request of the page's first button into the queue."""
    asked = {
        "data": [caption, seed, count],
        "fn_index": 0,
        "session_hash": visitor,
        **others,
    }
    request = urllib.request.Request(
        f"{address}/gradio_api/queue/join",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with _OPENER.open(request, timeout=60) as answer:
        json.load(answer)


def _answers(address, visitor):
    url = f"{address}/gradio_api/queue/data?session_hash={visitor}"
    return _OPENER.open(url, timeout=60)


def _generate(address, visitor, caption, seed=0, count=1):
    _join(address, visitor, caption, seed, count)
    with _answers(address, visitor) as lines:
        for line in lines:
            message = json.loads(line.strip().removeprefix(b"data: ") or "{}")
            if message.get("msg") == "process_completed":
                return message["output"]["data"][0]
    return None


def test_the_page_names_no_other_host(address):
    with _OPENER.open(address, timeout=60) as answer:
        page = answer.read().decode()
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    # What it loads; it also names some for search engines.
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*"(https?:)?//', page)
    assert loaded == []
    assert '"stylesheets":[]' in page
    assert '"analytics_enabled":false' in page
    # The name of the model is no HTML.
    assert "by runs/<b>gan" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={__file__}",
        "/gradio_api/file=setup.cfg",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file/setup.cfg",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link",
        "/gradio_api/runs",
        "/monitoring",
        "/docs",
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2f..%2fsetup.cfg",
        "/static/%2e%2e/%2e%2e/setup.cfg",
        "/static//etc/passwd",
    ],
)
def test_no_file_can_be_read(address, path):
    assert _status(address, path) in (403, 404)


def test_nothing_can_be_uploaded(address):
    assert _status(address, "/gradio_api/upload", "POST", b"a") == 404
    assert _status(address, "/gradio_api/call/show", "POST", b"{}") == 404


@pytest.mark.parametrize("path", ["secret.txt", "/dev/zero", "http://a.org/b"])
@pytest.mark.parametrize("wrap", [lambda file: file, lambda file: [[file]]])
def test_no_file_is_taken_for_an_input(address, tmp_path, path, wrap):
    (tmp_path / "secret.txt").write_text("secret")
    if "//" not in path:
        path = str(tmp_path / path)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for name, value in (
        ("data", [wrap(file), 0, 1]),
        ("data", wrap(file)),
        ("event_data", wrap(file)),
    ):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            _join(address, "thief", "a rose", **{name: value})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"{", b"\xff", b'{"data": 1}', b"[" * 10**6]
)
def test_what_is_no_press_of_a_button(address, body):
    assert _status(address, "/gradio_api/queue/join", "POST", body) == 400
    assert _status(address, "/") == 200


def test_requests_have_a_size(address):
    join = "/gradio_api/queue/join"
    much = [("Content-Length", str(2**40))]
    assert _status(address, join, "POST", None, much) == 413
    # Without a length it is read until it is too much.
    parts = (bytes(2**20) for _ in range(17))
    with pytest.raises((OSError, http.client.HTTPException)):
        assert _status(address, join, "POST", parts) >= 400
        raise ConnectionError
    assert _status(address, "/") == 200


def test_an_error_is_shown_in_the_page(address):
    shown = _generate(address, "empty", " ")
    assert shown.startswith('<p class="problem" role="alert">')
    assert "A caption must hold some text" in shown
    shown = _generate(address, "megabyte", "a" * 2**20)
    assert "has 1,048,576 characters, more than the 10,000" in shown


def test_twenty_visitors_at_once(address):
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        shown = threads.map(
            lambda number: _generate(
                address, f"visitor{number}", f"rose {number}", number, 4
            ),
            range(20),
        )
        for number, text in enumerate(shown):
            assert f"rose {number}, seeds {number} to {number + 3}" in text


def test_a_visitor_who_leaves_harms_nothing(address):
    for number in range(5):
        _join(address, f"leaves{number}", "a rose", 0, 16)
        _answers(address, f"leaves{number}").close()
    assert "a tulip, seed 3" in _generate(address, "stays", "a tulip", 3)


def test_the_server_ends_while_it_answers(gan, monkeypatch):
    pytest.importorskip("gradio", reason='not installed: "keras-t2i[play]"')
    page_model = PageModel(gan)
    generate, begun = gan.generate, threading.Event()
    logged = logging.handlers.QueueHandler(queue.SimpleQueue())

    def slowly(*arguments):
        begun.set()
        time.sleep(2.0)
        return generate(*arguments)

    monkeypatch.setattr(gan, "generate", slowly)
    with served(page_model) as address:
        logging.getLogger("uvicorn.error").addHandler(logged)
        _join(address, "waits", "a rose")
        answers = _answers(address, "waits")
        assert begun.wait(30)
    answers.close()
    logging.getLogger("uvicorn.error").removeHandler(logged)
    messages = []
    while not logged.queue.empty():
        messages.append(logged.queue.get().getMessage())
    assert messages[0].startswith("Cancel 1 running task")
    assert "Traceback" not in "".join(messages)


def test_a_port_in_use():
    port = a_free_port()
    with listening_socket("127.0.0.1", port):
        with pytest.raises(ValueError, match=f"{port}.*Address already in"):
            listening_socket("127.0.0.1", port)


def test_addresses_that_are_not_of_this_machine():
    with pytest.raises(ValueError, match=r"--host.*Received: 192\.0\.2\.1"):
        listening_socket("192.0.2.1", a_free_port())
    with pytest.raises(ValueError, match="--port.*65535"):
        listening_socket("127.0.0.1", 70000)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_ipv6():
    try:
        listening_socket("::1", a_free_port()).close()
    except ValueError as error:
        assert "::1" in str(error)
