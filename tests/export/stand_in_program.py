"""Stands for the program `tensorflow_model_server`, which it is not.

It notes how it was started and says of all models that they become available,
for the tests of what surrounds the server. It answers no request.
"""

import http.server
import json
import os
import pathlib
import re
import sys
import threading
import time

# A file of TensorFlow's `SavedModel`, which it loads: a graph of nothing with
# the tag "serve".
SAVED_MODEL = b"\x08\x01\x12\x09\x0a\x07\x22\x05serve"


def main():
    flags = dict(
        argument.removeprefix("--").partition("=")[::2]
        for argument in sys.argv[1:]
    )
    note = pathlib.Path(os.environ["STAND_IN_NOTE"])
    behavior = os.environ.get("STAND_IN_BEHAVIOR", "")
    note.write_text(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:]}))
    if behavior == "ends at once":
        sys.exit(3)
    config = pathlib.Path(flags["model_config_file"]).read_text("utf-8")
    names = re.findall(r'name: "(.*?)"', config)
    started = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            has_loaded = time.monotonic() - started > 0.5
            if behavior == "speaks no HTTP at first" and not has_loaded:
                self.wfile.write(b"not yet\r\n")
                return
            match = re.fullmatch(r"/v1/models/(\w+)", self.path)
            if not match or match[1] not in names:
                self.send_error(404)
                return
            statuses = _statuses(behavior, has_loaded)
            body = json.dumps({"model_version_status": statuses}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    address = ("127.0.0.1", int(flags["rest_api_port"]))
    server = http.server.ThreadingHTTPServer(address, Handler)
    if behavior == "ends later":
        threading.Timer(1.0, lambda: os._exit(4)).start()
    server.serve_forever()


def _statuses(behavior, has_loaded):
    """What the real server would say of the versions of a model."""
    if behavior == "cannot load":
        return [_status("1", "END", "DATA_LOSS", "damaged")]
    state = "AVAILABLE" if has_loaded else "LOADING"
    if behavior == "loads another version":
        return [_status("1", "END"), _status("2", state)]
    return [_status("1", state)]


def _status(version, state, error_code="OK", error_message=""):
    return {
        "version": version,
        "state": state,
        "status": {"error_code": error_code, "error_message": error_message},
    }


if __name__ == "__main__":
    main()
