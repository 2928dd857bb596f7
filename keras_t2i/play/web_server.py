"""Serves the page, and nothing else."""

import asyncio
import contextlib
import importlib.util
import json
import re
import socket
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any
from typing import TypeAlias

from keras_t2i.reading import parse_json

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]

# What the page asks for. Gradio has other routes, such as those that read and
# write files, fetch from other hosts, and describe an API.
_PATHS = re.compile(
    r"/|/config|/favicon\.ico|/theme\.css|/assets/.+|/static/.+"
    r"|/gradio_api/(queue/(join|data)|heartbeat/\w+|app_id|cancel|reset)"
)
_JOIN = "/gradio_api/queue/join"
# A style image in base 64, and what is around it.
_MAX_BODY_BYTES = 15 * 2**20
_LARGEST_PORT = 65535
_SECONDS_TO_STOP = 1
_HEADERS = {
    # The browser itself refuses whatever would leave this machine. Gradio
    # makes functions of texts.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "font-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src "
    "'self' 'unsafe-inline' 'unsafe-eval'; object-src 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An ASGI application in front of another, which gets less to answer."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(
        self, scope: _Message, receive: _Receive, send: _Send
    ) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http" or not _PATHS.fullmatch(scope["path"]):
            if scope["type"] == "http":
                await _refuse(send, 404)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > _MAX_BODY_BYTES:
            await _refuse(send, 413)
            return
        body = await _read_body(receive)
        if body is None:
            await _refuse(send, 413)
            return
        if scope["path"] == _JOIN:
            body = _inputs_alone(body)
            if body is None:
                await _refuse(send, 400)
                return

        async def receive_body() -> _Message:
            nonlocal body
            if body is None:
                return await receive()
            message = {"type": "http.request", "body": body}
            body = None
            return message

        async def send_with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                more = [
                    (name.lower().encode(), value.encode())
                    for name, value in _HEADERS.items()
                ]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        # The server cancels what it still answers when it ends, and would print
        # that as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await self._application(scope, receive_body, send_with_headers)


async def _read_body(receive: _Receive) -> bytes | None:
    """Returns the body of a request, `None` if it is too large or breaks off.

    It may not have said its length.
    """
    # Not bytes, which each piece would copy.
    body, is_more = bytearray(), True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            return None
        is_more = message.get("more_body", False)
    return bytes(body)


def _inputs_alone(body: bytes) -> bytes | None:
    """Returns the body of a press of a button, `None` if it is something else.

    All inputs of the page are texts and numbers. Gradio takes other values for
    files, wherever they are: it would read each that it is told of, and fetch
    those of other hosts.
    """
    try:
        asked = parse_json(body.decode())
    except ValueError:
        return None
    if not isinstance(asked, dict) or not isinstance(asked.get("data"), list):
        return None
    others = [value for name, value in asked.items() if name != "data"]
    if any(isinstance(value, list | dict) for value in asked["data"] + others):
        return None
    # As it was understood here.
    return json.dumps(asked).encode()


async def _refuse(send: _Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def check_installed() -> None:
    """Raises `ValueError` if Gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise ValueError(
            "`keras-t2i play` needs the package gradio. Received: an "
            'environment without it. Run `pip install "keras-t2i[play]"`.'
        )


def listening_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises `ValueError` if the port is taken, or the host is not this machine.
    """
    if port > _LARGEST_PORT:
        raise ValueError(
            f"--port must be at most {_LARGEST_PORT}. Received: {port}"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ValueError(
            "--host and --port must name an address of this machine that is "
            f"free. Received: {host} and {port}, where a page cannot be served "
            f"({error.strerror})."
        ) from None


def server_of(page: Any) -> Any:
    """Returns a `uvicorn.Server` of a page: `await serve(sockets=[...])`.

    `page` is `gradio.Blocks`, from `make_page`.
    """
    import fastapi
    import gradio
    import uvicorn

    from keras_t2i.play.page_layout import CSS
    from keras_t2i.play.page_layout import make_theme

    application = gradio.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        theme=make_theme(),
        css=CSS,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
    )
    return uvicorn.Server(
        uvicorn.Config(
            Guard(application),
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=_SECONDS_TO_STOP,
        )
    )
