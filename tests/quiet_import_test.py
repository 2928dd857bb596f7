import subprocess
import sys

from keras_t2i.quiet_import import import_tensorflow_quietly


def _run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_happens_once_tensorflow_is_there():
    before = set(sys.modules)
    import_tensorflow_quietly()
    assert set(sys.modules) == before


def test_a_failure_shows_all_messages():
    # A module that speaks on the C level and then fails stands for TensorFlow.
    code = """
import importlib.abc, os, sys
class Loud(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "tensorflow":
            os.write(2, b"why it fails\\n")
            raise ImportError("broken")
sys.meta_path.insert(0, Loud())
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("quiet", %r)
quiet = module_from_spec(spec)
spec.loader.exec_module(quiet)
quiet.import_tensorflow_quietly()
"""
    path = import_tensorflow_quietly.__code__.co_filename
    result = _run(code % path)
    assert result.returncode == 1
    assert "why it fails" in result.stderr
    assert "ImportError: broken" in result.stderr
