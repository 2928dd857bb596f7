"""Holds the imports to what `docs/architecture.md` says of them."""

import ast
import pathlib

import pytest

import keras_t2i

_ROOT = pathlib.Path(keras_t2i.__file__).parent

# What each package may import from the others. `training` sees all but `cli`
# and `export`; `cli` and the package itself see everything.
ALLOWED = {
    "applications": {
        "configured_model",
        "datasets.embedding_manifest",
        "datasets.embedding_shards",
        "datasets.images",
        "datasets.manifest",
        "files",
    },
    "callbacks": {"files", "linear_decay", "plots.grids"},
    "datasets": {
        "files",
        "text.alphabet",
        "text.published_embeddings",
        "text.tokenizer",
        "untuned",
        "version",
    },
    "evaluation": {
        "applications.efficientnet_lite",
        "applications.feature_extraction",
        "applications.feature_networks",
        "checks",
        "datasets.examples",
        "datasets.image_features",
        "datasets.images",
        "datasets.manifest",
        "datasets.source",
        "metrics.bloom_attributes",
        "metrics.distances",
        "metrics.nearest_training",
        "metrics.neighborhoods",
        "metrics.periodic_patterns",
        "metrics.retrieval",
        "metrics.variety",
        "text.embeddings",
        "version",
    },
    "export": {
        "checks",
        "datasets.images",
        "errors",
        "files",
        "models.captions_and_seeds",
        "models.drawing",
        "models.style_encoder",
    },
    "losses": set(),
    "metrics": {"checks", "datasets.blooms"},
    "models": {
        "applications.feature_networks",
        "configured_model",
        "datasets.captions",
        "datasets.image_range",
        "linear_decay",
        "losses.adversarial",
        "losses.mode_seeking",
        "preset_folder",
        "recipe_batches",
        "recipes.presets",
        "recipes.recipe",
        "stream_trained_model",
        "text.char_cnn_rnn",
        "text.tokenizer",
        "untuned",
    },
    "plots": set(),
    "recipes": {"files"},
    "text": {
        "applications.feature_networks",
        "configured_model",
        "datasets.arrays_by_id",
        "datasets.embedding_manifest",
        "datasets.embedding_shards",
        "datasets.examples",
        "datasets.manifest",
        "files",
        "losses.compatibility",
        "recipes.presets",
        "recipes.text_recipe",
        "stream_trained_model",
        "torch_files.t7",
        "torch_files.text_encoders",
        "torch_files.torch_values",
        "untuned",
    },
    "torch_files": {
        "models.discriminator",
        "models.generator",
        "text.alphabet",
        "text.char_cnn_rnn",
    },
}
# Of these modules, others take these functions and nothing that reads or
# writes.
ALLOWED_NAMES = {
    ("applications", "datasets.images"): {"model_square"},
    ("export", "datasets.images"): {"encode_png"},
    ("models", "datasets.captions"): {"is_empty_caption"},
    ("models", "datasets.image_range"): {"to_model_range", "to_uint8"},
}
# tf.data and TFRecord, a tape, a strategy, strings, a SavedModel, and what
# TensorFlow raises. Everything else is Keras.
IMPORTS_TENSORFLOW = {
    "datasets.embedding_shards",
    "datasets.examples",
    "datasets.make_dataset",
    "datasets.records",
    "datasets.shard_reader",
    "datasets.tfrecord_file",
    "evaluation.full_evaluation",
    "export.saved_model",
    "export.serving_files",
    "export.signatures",
    "export.transports",
    "losses.mode_seeking",
    "models.adversarial_training",
    "models.batch_normalization",
    "models.exponential_moving_average",
    "models.gradient_penalty",
    "models.captions_and_seeds",
    "models.loss_scaling",
    "models.made_from_recipe",
    "models.noise",
    "models.pair_scoring",
    "models.picture_drawing",
    "models.style_inversion",
    "models.text_to_image_gan",
    "models.training_metrics",
    "quiet_import",
    "recipe_batches",
    "stream_trained_model",
    "text.embeddings",
    "text.tokenizer",
    "text.words",
    "training.gan_training",
    "training.run_folder",
    "training.runner",
    "training.style_training",
    "training.text_training",
    "untuned",
}
IMPORTS_TENSORFLOW_TEXT = {"quiet_import", "text.tokenizer"}
# These never see a path.
PATHLESS = {"losses", "metrics", "models", "plots"}
READS_FILES = {"os", "pathlib", "io", "shutil", "tempfile", "glob"}
# Takes `io` for a file in memory.
IN_MEMORY = {"plots.animation"}
# What stands outside of the packages.
ALONE = {
    "checks",
    "configured_model",
    "errors",
    "files",
    "keras_backend",
    "linear_decay",
    "progress",
    "quiet_import",
    "stream_trained_model",
}


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
    assert {
        "",
        "losses.adversarial",
        "cli.main",
        "datasets.blooms.style",
    } <= set(MODULES)
    assert ("keras", None) in MODULES["losses.compatibility"]
    assert ("keras_t2i.files", "replace_when_whole") in MODULES[
        "callbacks.checkpoints"
    ]


def test_every_package_has_a_rule():
    folders = {path.name for path in _ROOT.iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(ALLOWED) | {"cli", "training"}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package):
    found, names = set(), {}
    for module, imports in MODULES.items():
        if _package(module) != package:
            continue
        for imported, name in imports:
            imported = imported.removeprefix("keras_t2i.")
            if _package(imported) == package or not _is_module(
                "keras_t2i." + imported
            ):
                continue
            assert imported in ALLOWED[package], (
                f"{module} must not import {imported}"
            )
            found.add(imported)
            names.setdefault(imported, set()).add(name)
    # An edge that is gone must not come back unnoticed.
    assert found == ALLOWED[package]
    for (importer, imported), allowed in ALLOWED_NAMES.items():
        if importer == package:
            assert names[imported] == allowed


@pytest.mark.parametrize("module", sorted(ALONE))
def test_what_stands_alone_imports_nothing_of_the_package(module):
    assert not [
        imported
        for imported, _ in MODULES[module]
        if imported.startswith("keras_t2i")
    ]


def test_nothing_but_the_command_line_imports_the_command_line():
    importers = _importers_of("keras_t2i.cli")
    assert {_package(module) for module in importers} == {"cli"}


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
        "recipes.presets",
    }
    assert not _importers_of("pathlib") & {"recipes.presets"}


def test_keras_is_used_as_published():
    assert not _importers_of("keras.src")
    assert not _importers_of("tensorflow.keras")
    for path in _ROOT.rglob("*.py"):
        assert "tf.keras" not in path.read_text("utf-8")
