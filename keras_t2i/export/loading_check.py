"""Whether TensorFlow Serving will be able to load a SavedModel.

As a script, it loads the one that it is given, prints what is wrong with it and
ends with status 1; it ends with 0 if nothing is.
"""

import ctypes
import importlib.util
import os
import pathlib
import subprocess
import sys

# Loaded on the CPU alone, and by the exit status alone.
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def loading_error(path: pathlib.Path) -> str | None:
    """Returns why a SavedModel cannot be loaded, or `None` if it can.

    `path` is the folder of a version. The SavedModel is loaded in another
    process, which a damaged one may end, and whose memory is free again
    afterwards.
    """
    done = subprocess.run(
        # By its path: a script needs no package, and is there at once.
        [sys.executable, "-P", __file__, str(path)],
        env={**os.environ, **_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return None
    message = " ".join(done.stdout.decode("utf-8", "replace").split())
    return message or f"loading it ends with status {done.returncode}"


def _load(path: str) -> str:
    """Returns the error of TensorFlow's loader, empty if there is none.

    Through the C API: it is the loader that TensorFlow Serving links, and
    importing Python's TensorFlow would take ten times as long.
    """
    folder = _package("tensorflow")
    try:
        for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
            tf = ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)
    except OSError:
        return ""  # Nothing can be tried here. The server will.
    for name in ("TF_NewGraph", "TF_NewSessionOptions", "TF_NewStatus"):
        getattr(tf, name).restype = ctypes.c_void_p
    tf.TF_Message.restype = ctypes.c_char_p
    status = ctypes.c_void_p(tf.TF_NewStatus())
    # Of the operations on text, which the server also has.
    for library in _package("tensorflow_text").glob("**/ops/_*.so"):
        tf.TF_LoadLibrary(os.fsencode(library), status)
    tf.TF_LoadSessionFromSavedModel(
        ctypes.c_void_p(tf.TF_NewSessionOptions()),
        None,
        os.fsencode(path),
        (ctypes.c_char_p * 1)(b"serve"),
        1,
        ctypes.c_void_p(tf.TF_NewGraph()),
        None,
        status,
    )
    # A message is empty where the code is that of success.
    return bytes(tf.TF_Message(status)).decode("utf-8", "replace")


def _package(name: str) -> pathlib.Path:
    # Found, not imported.
    spec = importlib.util.find_spec(name)
    return pathlib.Path((spec and spec.origin) or "").parent


if __name__ == "__main__":
    error = _load(sys.argv[1])
    print(error)
    sys.exit(1 if error else 0)
