import os
import subprocess
import sys

import pytest

import keras_t2i  # noqa: F401  Which has passed the check.
from keras_t2i.registration import check_keras_backend


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.raises(ImportError, match="Received: 'jax'.*=tensorflow"):
        check_keras_backend()


def test_import_is_quiet_and_fails_in_one_line_with_another_backend():
    def run(backend):
        return subprocess.run(
            [sys.executable, "-c", "import keras_t2i"],
            env={**os.environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
        )

    good = run("tensorflow")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    bad = run("numpy")
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1].startswith(
        "ImportError: keras_t2i needs the TensorFlow backend"
    )
