import gc
import json
import pathlib
import signal
import sys

import pytest

from tests.export import stand_in_program
from tests.programs import a_free_port
from tests.programs import script


def pytest_addoption(parser):
    parser.addoption(
        "--run-large", action="store_true", help="also run the slow tests"
    )


def pytest_configure(config):
    # Where pytest was started in the background, Ctrl-C may be ignored, also by
    # the programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Likewise the closing of a terminal, which pytest itself is to survive.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    # With -n, this process only starts those that test: it does not take the
    # seconds to import TensorFlow.
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.getoption("numprocesses", None):
        _make_two_devices()


def _make_two_devices():
    """For a strategy with two replicas, before TensorFlow is first used."""
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )


def _collect_garbage_and_freeze():
    # What remains, stays. The garbage collector, which each command runs at
    # its end, need not look at it hundreds of times.
    gc.collect()
    gc.freeze()


def pytest_collection_finish():
    _collect_garbage_and_freeze()
    # Nor need it look at young objects after each 700 of them: tracing makes
    # millions, which stay.
    gc.set_threshold(10_000)


_FILE = pytest.StashKey[pathlib.Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # Not at the end of a file, where its last test still has its fixtures.
    if item.session.stash.get(_FILE, item.path) != item.path:
        _collect_garbage_and_freeze()
    item.session.stash[_FILE] = item.path


def pytest_collection_modifyitems(config, items):
    # Some of the longest, which would come last by name.
    items.sort(key=lambda item: "training" not in item.path.parts)
    if config.getoption("--run-large"):
        return
    skip = pytest.mark.skip(reason="slow: needs --run-large")
    for item in items:
        if "large" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def repeatable_and_float32():
    """Gives each test the same random numbers, and leaves no policy behind."""
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def two_replicas():
    """The session's one strategy: two in a process can block each other."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def eagerly():
    """For trainings of few steps, where graphs are not what is tested."""
    from tests.eager import without_graphs

    with without_graphs():
        yield


@pytest.fixture
def model_folders(tmp_path):
    """Two models that can be loaded, and things that are no models."""
    folder = tmp_path / "models"
    for name in ("flowers/3", "flowers/12", "birds/1", "birds/.tmp-2-5"):
        (folder / name).mkdir(parents=True)
        (folder / name / "saved_model.pb").write_bytes(
            stand_in_program.SAVED_MODEL
        )
    (folder / "notes").mkdir()
    (folder / "README.md").touch()
    return folder


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that stands for tensorflow_model_server."""
    path = script(
        tmp_path / "bin" / "tensorflow_model_server",
        f'exec {sys.executable} {stand_in_program.__file__} "$@"',
    )
    monkeypatch.setenv("TF_SERVING_BINARY", str(path))
    monkeypatch.setenv("STAND_IN_NOTE", str(tmp_path / "note.json"))
    return path


@pytest.fixture
def stand_in_note(tmp_path):
    """A function that returns what the stand-in was started with."""
    return lambda: json.loads((tmp_path / "note.json").read_text("utf-8"))


@pytest.fixture
def empty_path(tmp_path, monkeypatch):
    """The one folder of the PATH, with no program in it."""
    monkeypatch.delenv("TF_SERVING_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


@pytest.fixture
def free_port():
    return a_free_port()
