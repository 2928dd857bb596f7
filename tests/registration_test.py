import os
import pathlib
import platform
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


# Modules that speak on the C level stand for TensorFlow.
_LOUD = 'import os\nos.write(2, b"start-up message\\n")\n'


def _import(folder, code, **environment):
    return subprocess.run(
        [sys.executable, "-c", f"import keras_t2i\n{code}"],
        env={"PATH": "", "PYTHONPATH": ":".join([str(folder), *sys.path])}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _stand_in(folder, ending=""):
    for name, code in {
        "tensorflow": f"import keras\n{_LOUD}{ending}",
        "tensorflow_text": _LOUD,
        "keras": "from types import SimpleNamespace\n"
        'backend = SimpleNamespace(backend=lambda: "tensorflow")\n'
        "saving = SimpleNamespace(get_custom_objects=dict)\n",
    }.items():
        (folder / f"{name}.py").write_text(code)
    return folder


def test_start_up_messages_are_kept_back(tmp_path):
    result = _import(_stand_in(tmp_path), "import tensorflow, keras")
    assert (result.returncode, result.stderr) == (0, "")


def test_what_comes_later_is_heard(tmp_path):
    code = 'import os, tensorflow\nos.write(2, b"later")'
    assert _import(_stand_in(tmp_path), code).stderr == "later"


def test_programs_that_are_started_later_inherit_no_log_level(tmp_path):
    code = (
        "import os, tensorflow\nprint(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    )
    folder = _stand_in(
        tmp_path, "import os\nos.environ['TF_CPP_MIN_LOG_LEVEL']"
    )
    assert _import(folder, code).stdout == "None\n"
    own = _import(folder, code, TF_CPP_MIN_LOG_LEVEL="1")
    assert own.stdout == "1\n"


def _uses_onednn(code, **environment):
    asked = (
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "import os; print(port.IsMklEnabled(), os.environ.get(NAME))"
    )
    variable = "TF_ENABLE_ONEDNN_OPTS"
    result = subprocess.run(
        [sys.executable, "-c", f"NAME = {variable!r}\n{code}\n{asked}"],
        env={k: v for k, v in os.environ.items() if k != variable}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="not an x86 processor"
)
def test_onednn_is_on_also_where_tensorflow_would_leave_it_off():
    # And programs that are started later do not inherit it.
    assert _uses_onednn("import keras_t2i, tensorflow") == ["True", "None"]


def test_whoever_turns_onednn_off_keeps_it_off():
    answer = _uses_onednn(
        "import keras_t2i, tensorflow", TF_ENABLE_ONEDNN_OPTS="0"
    )
    assert answer == ["False", "0"]


def test_a_failure_shows_all_messages(tmp_path):
    folder = _stand_in(tmp_path, 'raise ImportError("broken")')
    result = _import(folder, "import tensorflow")
    assert result.returncode == 1
    assert "start-up message" in result.stderr
    assert "ImportError: broken" in result.stderr


def test_whoever_debugs_tensorflow_sees_its_messages(tmp_path):
    result = _import(
        _stand_in(tmp_path), "import tensorflow", TF_CPP_MAX_VLOG_LEVEL="1"
    )
    assert "start-up message" in result.stderr


@pytest.mark.parametrize("name", ["keras", "tensorflow"])
def test_whoever_asks_whether_a_package_is_there_changes_nothing(
    tmp_path, name
):
    code = (
        "import importlib.util, sys\n"
        f"for _ in range(2): assert importlib.util.find_spec({name!r})\n"
        "assert 'keras' not in sys.modules\n"
        "import tensorflow, keras\n"
        "from keras_t2i import registration\n"
        "print([type(f).__name__ for f in sys.meta_path])"
    )
    result = _import(_stand_in(tmp_path), code)
    assert (result.returncode, result.stderr) == (0, "")
    # It has done its work.
    assert "_BeforeKeras" not in result.stdout


def test_a_model_loads_after_such_a_question():
    code = (
        "import importlib.util, keras_t2i\n"
        "importlib.util.find_spec('keras')\n"
        "import keras\n"
        "keras.saving.load_model('tests/golden/text_to_image_gan.keras')"
    )
    root = pathlib.Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_an_import_that_failed_may_be_tried_again(tmp_path):
    ending = 'import os\nif "BROKEN" in os.environ: raise ImportError("broken")'
    code = (
        "import os, sys\n"
        "try:\n"
        "    import tensorflow\n"
        "except ImportError:\n"
        "    sys.modules.pop('tensorflow', None)\n"
        "os.write(2, b'|')\n"
        "del os.environ['BROKEN']\n"
        "import tensorflow\n"
        "print('_BeforeKeras' in [type(f).__name__ for f in sys.meta_path])"
    )
    result = _import(_stand_in(tmp_path, ending), code, BROKEN="1")
    assert result.stderr.endswith("|")
    assert result.stdout == "False\n"


@pytest.mark.parametrize(("level", "is_shown"), [("0", True), ("3", False)])
def test_whoever_asks_for_all_messages_sees_them(tmp_path, level, is_shown):
    result = _import(
        _stand_in(tmp_path), "import tensorflow", TF_CPP_MIN_LOG_LEVEL=level
    )
    assert ("start-up message" in result.stderr) == is_shown
