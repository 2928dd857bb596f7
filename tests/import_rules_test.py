"""Holds the imports to what `docs/architecture.md` says of them."""

import ast
import importlib
import pathlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import keras_t2i
from keras_t2i import registration

_ROOT = pathlib.Path(keras_t2i.__file__).parent

# Each imports from those before it, from those in its own line and from itself.
# `cli`, the last, and the package itself see everything.
ORDER = (
    {"captions", "checks", "errors", "files", "reading", "terminal", "types"}
    | {"version"},
    {"registration"},
    {"fit_checks", "configured_model", "linear_decay", "stream_trained_model"},
    {"keras_files", "pretrained", "progress"},
    {"recipes"},
    {"tokenizers"},
    {"formats"},
    {"blooms"},
    {"datasets"},
    {"losses"},
    {"plots"},
    {"metrics"},
    {"applications"},
    {"text"},
    # What makes the batches of a GAN's recipe, and the GAN that asks for them.
    {"models", "recipe_batches"},
    {"torch_files"},
    {"callbacks"},
    {"evaluation"},
    {"training"},
    {"export"},
    {"play"},
    {"cli"},
)
# Losses, metrics and networks never see a path: of what does, they take these.
ALLOWED_NAMES = {
    ("export", "datasets"): {"encode_png"},
    ("models", "datasets"): {"to_model_range", "to_uint8"},
}
# What importing a package, or asking for help, must not load.
NOT_LOADED = {
    "import keras_t2i": {"keras", "numpy", "tensorflow"},
    "import keras_t2i.blooms": {"keras", "tensorflow", "keras_t2i.datasets"},
    "import keras_t2i.formats.pickled_list": {"keras", "tensorflow"},
    "import keras_t2i.formats.t7": {"keras", "tensorflow"},
    "import keras_t2i.export.model_server": {"keras", "numpy", "tensorflow"},
    "import keras_t2i.play.web_server": {"gradio", "tensorflow", "uvicorn"},
}
# These import TensorFlow, which takes seconds: one after another in a process.
NOT_LOADED_AFTER = {
    "import keras_t2i.datasets": {
        f"keras_t2i.{package}"
        for package in (
            *("applications", "callbacks", "cli", "evaluation", "export"),
            *("losses", "metrics", "models", "plots", "text", "torch_files"),
            "training",
        )
    },
    "import keras_t2i.models": {
        f"keras_t2i.{package}"
        for package in (
            *("callbacks", "cli", "evaluation", "export", "metrics", "plots"),
            *("torch_files", "training"),
        )
    },
    "import keras_t2i.play.page_layout": {"gradio", "keras_t2i.export"},
    "import keras_t2i.export": {"keras_t2i.cli", "keras_t2i.training"},
}
COMMANDS = (
    *("demo", "prepare", "train-text", "evaluate-text", "embed", "train"),
    *("generate", "evaluate", "train-style", "interpolate", "transfer"),
    *("play", "export", "serve"),
)
# User and system time of `keras-t2i --help`, on a slow machine.
_SECONDS_OF_HELP = 1.2
# tf.data and TFRecord, a tape, a strategy, strings, a SavedModel, and what
# TensorFlow raises. Everything else is Keras.
IMPORTS_TENSORFLOW = {
    "fit_checks",
    "callbacks.recording",
    "datasets.batches",
    "datasets.examples",
    "datasets.images",
    "datasets.shards",
    "evaluation.full_evaluation",
    "export.saved_model",
    "export.signatures",
    "export.transports",
    "losses.adversarial",
    "models.adversarial_training",
    "models.augmentation",
    "models.batch_texts",
    "models.image_generation",
    "models.from_recipe",
    "models.noise",
    "models.normalization",
    "models.pixel_discriminator",
    "models.style_inversion",
    "models.text_to_image_gan",
    "models.weight_updates",
    "recipe_batches",
    "stream_trained_model",
    "text.char_cnn_rnn",
    "tokenizers",
    "training.run_folder",
    "training.runner",
    "training.text_training",
    "training.workers",
}
IMPORTS_TENSORFLOW_TEXT = {"tokenizers"}
# These never see a path.
PATHLESS = {"losses", "metrics", "models", "plots"}
READS_FILES = {"os", "pathlib", "io", "shutil", "tempfile", "glob"}
# Takes `io` for a file in memory.
IN_MEMORY = {"plots.grids"}


def _module_name(path):
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".")


def _imports(path):
    """Pairs of a module's dotted name and the name taken from it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if _is_module(whole):
                    yield whole, None
                else:
                    yield node.module, alias.name


def _is_module(name):
    path = _ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


MODULES = {
    _module_name(path): list(_imports(path))
    for path in sorted(_ROOT.rglob("*.py"))
}


def _package(name):
    return name.split(".")[0] if name else ""


def _importers_of(name):
    return {
        module
        for module, imports in MODULES.items()
        if any(
            imported == name or imported.startswith(name + ".")
            for imported, _ in imports
        )
    }


def test_all_modules_are_looked_at():
    assert {"", "losses.adversarial", "cli.main", "blooms.reader"} <= set(
        MODULES
    )
    assert ("keras", None) in MODULES["losses.compatibility"]
    assert ("keras_t2i.files", "atomic_write") in MODULES[
        "callbacks.checkpoints"
    ]


def test_everything_has_a_place_in_the_order():
    found = {_package(name) for name in MODULES} - {"", "__main__"}
    assert found == set().union(*ORDER)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"", "__main__"}))
def test_a_module_imports_only_what_comes_before(module):
    package = _package(module)
    place = next(i for i, packages in enumerate(ORDER) if package in packages)
    before = set().union(*ORDER[: place + 1])
    for imported, _ in MODULES[module]:
        root, _, name = imported.partition(".")
        if root == "keras_t2i":
            assert _package(name) in before, imported


@pytest.mark.parametrize(("importer", "imported"), ALLOWED_NAMES)
def test_of_what_sees_paths_few_names_are_taken(importer, imported):
    names = {
        name
        for module, imports in MODULES.items()
        if _package(module) == importer
        for whole, name in imports
        if whole.startswith(f"keras_t2i.{imported}.")
    }
    assert names == ALLOWED_NAMES[importer, imported]


def _run(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    "codes", [*((code,) for code in NOT_LOADED), (*NOT_LOADED_AFTER,)]
)
def test_what_an_import_loads(codes):
    lines = "\n".join(f"{code}\nprint(*sys.modules)" for code in codes)
    for code, loaded in zip(
        codes, _run(f"import sys\n{lines}").splitlines(), strict=True
    ):
        assert "keras_t2i" in loaded.split()
        assert not set(loaded.split()) & (NOT_LOADED | NOT_LOADED_AFTER)[code]


def _loaded_for_help(*command):
    code = f"""
import resource, sys
from keras_t2i.cli.main import main
try:
    main({[*command, "--help"]!r})
except SystemExit:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("@", usage.ru_utime + usage.ru_stime, *sys.modules)
"""
    seconds, *modules = _run(code).rpartition("@ ")[2].split()
    return float(seconds), set(modules)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_loads_nothing_that_takes_long(command):
    seconds, loaded = _loaded_for_help(*command)
    assert "keras_t2i.cli.main" in loaded
    assert not loaded & {"keras", "numpy", "rich", "tensorflow"}
    assert seconds < _SECONDS_OF_HELP


def test_all_that_is_registered_has_a_stand_in():
    for info in pkgutil.walk_packages(keras_t2i.__path__, "keras_t2i."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    registered = {
        name.partition(">")[2]: registered
        for name, registered in keras.saving.get_custom_objects().items()
        if name.startswith("keras_t2i>")
    }
    assert set(registered) == set(registration._NAMES)
    for name, found in registered.items():
        # The class itself, which has taken its stand-in's place.
        assert found.__module__.startswith("keras_t2i."), name
        assert found.__module__ != registration.__name__, name


def test_public_names_are_found_when_they_are_asked_for():
    assert dir(keras_t2i) == sorted(keras_t2i.__all__)
    for name in keras_t2i.__all__:
        assert getattr(keras_t2i, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Painter'"):
        _ = keras_t2i.Painter


def test_nothing_but_the_command_line_imports_the_command_line():
    importers = _importers_of("keras_t2i.cli")
    assert {_package(module) for module in importers} == {"__main__", "cli"}


def test_trainings_are_imported_by_the_command_line_alone():
    importers = _importers_of("keras_t2i.training")
    assert {_package(module) for module in importers} == {"", "cli", "training"}
    importers = _importers_of("keras_t2i.export")
    assert {_package(module) for module in importers} == {"", "cli", "export"}


def test_tensorflow_is_imported_only_where_keras_is_not_enough():
    assert _importers_of("tensorflow") == IMPORTS_TENSORFLOW
    assert _importers_of("tensorflow_text") == IMPORTS_TENSORFLOW_TEXT


def test_losses_metrics_models_and_plots_never_see_paths():
    for name in READS_FILES:
        modules = _importers_of(name) - IN_MEMORY
        assert not {_package(module) for module in modules} & PATHLESS


def test_presets_are_read_as_resources():
    # They may lie in a zip file, where paths lead nowhere.
    assert _importers_of("importlib.resources") == {
        "applications.efficientnet_lite",
        "export.model_folder",
        "pretrained.network_files",
        "recipes.base_recipe",
    }


def test_one_module_writes_to_the_terminal():
    for path in _ROOT.rglob("*.py"):
        # The other is a program of its own, whose output another reads.
        if _module_name(path) in ("terminal", "export.loading_check"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name):
                assert node.id != "print", path
            elif isinstance(node, ast.Attribute):
                assert node.attr != "stdout", path


def test_keras_is_used_as_published():
    assert not _importers_of("keras.src")
    assert not _importers_of("tensorflow.keras")
    for path in _ROOT.rglob("*.py"):
        assert "tf.keras" not in path.read_text("utf-8")
