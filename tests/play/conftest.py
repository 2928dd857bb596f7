"""A page around a tiny GAN, served to the tests of a module."""

import asyncio
import contextlib
import threading
import time

import pytest

from keras_t2i.play.page_layout import make_page
from keras_t2i.play.page_model import PageModel
from keras_t2i.play.web_server import listening_socket
from keras_t2i.play.web_server import server_of
from tests.export.tiny_served import tiny_style_encoder
from tests.tiny_models import vivid_gan


@pytest.fixture(scope="package")
def gan():
    return vivid_gan()


@pytest.fixture(scope="package")
def style_encoder():
    return tiny_style_encoder()


@contextlib.contextmanager
def served(page_model):
    """Serves a page in this process, and yields its address."""
    with listening_socket("127.0.0.1", 0) as socket:
        servers = []

        async def serve():
            servers.append(server_of(make_page(page_model, "runs/<b>gan")))
            await servers[0].serve(sockets=[socket])

        thread = threading.Thread(target=asyncio.run, args=[serve()])
        thread.start()
        try:
            while thread.is_alive() and not (servers and servers[0].started):
                time.sleep(0.05)
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            for server in servers:
                server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(gan, style_encoder, tmp_path_factory):
    pytest.importorskip("gradio", reason='not installed: "keras-t2i[play]"')
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("files")
    patch.setenv("GRADIO_TEMP_DIR", str(folder))
    with served(PageModel(gan, style_encoder)) as address:
        yield address
    patch.undo()
    # Neither style images nor generated ones have become files.
    assert list(folder.rglob("*.*")) == []
