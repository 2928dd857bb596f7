"""Keras finds the classes of this library before their modules are loaded.

`import keras_t2i` loads neither Keras nor TensorFlow, which takes seconds. And
yet `keras.saving.load_model` has to find all classes that a file may name,
wherever they lie now. So as soon as Keras is there, each name is registered for
a stand-in that loads the class when it is needed.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import platform
import sys
import tempfile
import threading
import types
from collections.abc import Iterator
from typing import Any

_PACKAGE = "keras_t2i"
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# What defines such classes. A test holds the names to what is registered.
_MODULES = ("applications", "linear_decay", "losses", "models", "text")
_NAMES = (
    "BoxedConv2D",
    "BoxedConv2DTranspose",
    "CharCNNRNN",
    "Conv2DTranspose",
    "Discriminator",
    "DiscriminatorEnsemble",
    "EfficientNetLite0",
    "EfficientNetLite2",
    "FeatureDiscriminator",
    "FusedBatchNormalization",
    "GatedRecurrence",
    "Generator",
    "ImageNoise",
    "JointEmbedding",
    "LinearDecay",
    "MinibatchDeviation",
    "ModulatedGenerator",
    "Modulation",
    "OneHotCharacters",
    "PixelDiscriminator",
    "PrecomputedEmbeddings",
    "ReLURecurrence",
    "RelativeDiversity",
    "RelativisticPairing",
    "ReplicaLoss",
    "SoftmaxJointEmbedding",
    "SpectralConv2D",
    "StagedMatching",
    "StructuredJointEmbedding",
    "StyleEncoder",
    "StyleInversion",
    "TextStandardization",
    "TextToImageGAN",
    "WordVectors",
)


def register_with_keras() -> None:
    """Registers the classes with Keras, now or as soon as it is imported.

    Raises `ImportError` if Keras is set to another backend than TensorFlow.
    """
    check_keras_backend()
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _BeforeKeras())


def check_keras_backend() -> None:
    """Raises `ImportError` if Keras is set to another backend."""
    if "keras" in sys.modules:
        _check_is_tensorflow(sys.modules["keras"].backend.backend())
    else:
        # Before TensorFlow is imported, which imports Keras and fails if that
        # backend is not installed.
        _check_is_tensorflow(os.environ.get("KERAS_BACKEND", "tensorflow"))


def _check_is_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise ImportError(
            "keras_t2i needs the TensorFlow backend of Keras. Received: "
            f"{backend!r}. Set the environment variable "
            "KERAS_BACKEND=tensorflow before Python starts."
        )


def _register() -> None:
    # The real classes take the place of the stand-ins when they are defined.
    registry = importlib.import_module("keras").saving.get_custom_objects()
    for name in _NAMES:
        key = f"{_PACKAGE}>{name}"
        registry.setdefault(key, _stand_in(name, key, registry))


def _stand_in(name: str, key: str, registry: dict[str, Any]) -> type:
    def from_config(config: dict[str, Any], **more: Any) -> object:
        for module in _MODULES:
            importlib.import_module(f"{_PACKAGE}.{module}")
        # From the registry itself: while Keras reads a file, it looks in a copy
        # that still has the stand-ins.
        return registry[key].from_config(config, **more)

    return type(name, (), {"from_config": staticmethod(from_config)})


class _BeforeKeras(importlib.abc.MetaPathFinder):
    """Waits for the import of Keras or TensorFlow, which imports Keras too."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the spec that others find, with the registration added.

        It may be called without an import, by those who only ask whether a
        package is there. So it waits on until a module is executed.
        """
        asks_others = getattr(self._thread, "asks_others", False)
        if name not in ("keras", "tensorflow") or asks_others:
            return None
        self._thread.asks_others = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._thread.asks_others = False
        if spec is not None:
            self._surround(spec.loader)
        return spec

    def _surround(self, loader: Any) -> None:
        exec_module = loader.exec_module

        def exec_and_register(module: types.ModuleType) -> None:
            del loader.exec_module
            # TensorFlow imports Keras, which is then surrounded already.
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            try:
                _check_is_tensorflow(
                    os.environ.get("KERAS_BACKEND", "tensorflow")
                )
                with _quiet_stderr(), _onednn_enabled():
                    exec_module(module)
                    # It has messages of its own.
                    importlib.import_module("tensorflow_text")
                check_keras_backend()
                _register()
            except BaseException:
                sys.meta_path.insert(0, self)
                raise

        # An attribute of this loader alone, in front of its method.
        loader.exec_module = exec_and_register


@contextlib.contextmanager
def _onednn_enabled() -> Iterator[None]:
    """Lets TensorFlow use oneDNN on every x86 processor.

    By itself it does so only where it finds instructions for neural networks,
    such as AVX512-VNNI. With AVX2 alone a step of training takes twice as long
    without oneDNN. TensorFlow reads the variable once, when it is imported.
    """
    if platform.machine() not in ("x86_64", "AMD64") or _ONEDNN in os.environ:
        yield
        return
    os.environ[_ONEDNN] = "1"
    try:
        yield
    finally:
        os.environ.pop(_ONEDNN, None)


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hides what is written to standard error, unless the block fails.

    TensorFlow's C++ side writes to the process' standard error before its own
    log level is in force, so `TF_CPP_MIN_LOG_LEVEL` alone does not silence it.
    """
    wants_all = os.environ.get(_LOG_LEVEL) == "0"
    is_debugged = wants_all or "TF_CPP_MAX_VLOG_LEVEL" in os.environ
    if is_debugged or sys.stderr is None:
        # Somebody wants TensorFlow's messages, or standard error is closed.
        yield
        return
    # Read once, when TensorFlow is first imported. A user's own value stays;
    # this one goes again, so that no program that is started later inherits it.
    is_own = _LOG_LEVEL not in os.environ
    os.environ.setdefault(_LOG_LEVEL, "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        # Not at Ctrl-C, which has nothing to do with them.
        except Exception:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if is_own:
                os.environ.pop(_LOG_LEVEL, None)
