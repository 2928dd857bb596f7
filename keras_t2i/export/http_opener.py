"""Opens addresses of servers that are not trusted, by HTTP."""

import http.client
import io
import socket
import time
import urllib.parse
import urllib.request
from typing import Any


def http_opener(is_this_machine: bool) -> urllib.request.OpenerDirector:
    """Returns what opens an address, to be read within limits of time.

    No redirect to another host is followed, and no proxy is asked for a server
    on this machine. The time of a server that sends nothing is what `open` is
    told, and that of the whole answer, its headers included, is twice as much.
    """
    # No proxy for this machine itself, whatever is set.
    proxies: dict[str, str] | None = {} if is_this_machine else None
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies),
        _SameOrigin(),
        _HTTPHandler(),
        _HTTPSHandler(),
    )


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Sends a request on to the same host alone: it may hold credentials."""

    def redirect_request(
        self,
        request: urllib.request.Request,
        file: Any,
        code: int,
        message: str,
        headers: Any,
        url: str,
    ) -> urllib.request.Request | None:
        old = urllib.parse.urlsplit(request.full_url)
        new = urllib.parse.urlsplit(url)
        if (new.scheme, new.netloc) != (old.scheme, old.netloc):
            return None  # The answer itself is the error.
        return urllib.request.Request(url, request.data, dict(request.headers))


class _TimedSocket(io.RawIOBase):
    """What a server sends, until its time is over.

    The time-out of a socket is that of one byte: a server that sends one now
    and then would never end.
    """

    def __init__(self, connection: socket.socket):
        super().__init__()
        self._connection = connection
        self._file = connection.makefile("rb", buffering=0)
        self._silence = connection.gettimeout() or 0.0
        self._end = time.monotonic() + 2 * self._silence

    def makefile(self, mode: str) -> io.BufferedReader:
        """What `http.client` asks of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._connection.settimeout(min(left, self._silence))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *more: Any, **options: Any):
        timed: Any = _TimedSocket(sock)
        super().__init__(timed, *more, **options)


class _HTTPConnection(http.client.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(http.client.HTTPSConnection):
    response_class = _Response


class _HTTPHandler(urllib.request.HTTPHandler):
    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        return super().do_open(_HTTPConnection, req, **options)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        return super().do_open(_HTTPSConnection, req, **options)
