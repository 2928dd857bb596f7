"""The folder of one training run."""

import contextlib
import json
import os
import pathlib
import platform
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.callbacks.recording import RECORDED_STEPS
from keras_t2i.errors import TrainingError
from keras_t2i.errors import first_line
from keras_t2i.files import atomic_write
from keras_t2i.files import is_temporary
from keras_t2i.files import locked_folder
from keras_t2i.keras_files import load_keras_file
from keras_t2i.pretrained.network_files import pretrained_names
from keras_t2i.reading import read_json
from keras_t2i.recipes.base_recipe import AnyRecipe
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.recipes.base_recipe import check_as_started
from keras_t2i.training.workers import Workers
from keras_t2i.types import StrPath
from keras_t2i.version import __version__

# Arguments of `keras_t2i.train` to dicts of a `path` and, where known, a
# `digest`.
Inputs = Mapping[str, Mapping[str, str | None]]
AnyModel = TypeVar("AnyModel", bound=keras.Model)


class RunFolder:
    """The folder of a run: config, metrics, samples, checkpoints and models.

    Of several workers, the chief alone locks it and writes to it. If `workers`
    is `None`, this process is alone.
    """

    def __init__(self, path: StrPath, workers: Workers | None = None) -> None:
        self.workers = workers or Workers(tf.distribute.get_strategy())
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.best = self.path / "best.keras"
        self._unlock: Callable[[], object] | None = None
        self._must_be_free = False

    def written(self) -> "RunFolder":
        """Returns the run folder that the callbacks of `fit` write to.

        On other workers than the chief it is temporary: to save a model takes
        all workers, since metrics are summed over them.
        """
        if self.workers.is_chief:
            return self
        temporary = tempfile.TemporaryDirectory(prefix="keras-t2i-worker-")
        weakref.finalize(self, temporary.cleanup)
        return RunFolder(temporary.name)

    def check_free(self) -> None:
        """Raises `ValueError` if the folder holds something already.

        `write_config` checks it again, since time passes until then.
        """
        self._must_be_free = True
        if self.config.exists():
            found = (
                "holds a run. Name another one, or resume that run by "
                "`resume=True`"
            )
        elif self.path.is_file():
            found = "is a file. Name another one"
        # A run that was killed before it had a config leaves temporary files.
        elif self.path.exists() and not all(
            is_temporary(entry.name) for entry in self.path.iterdir()
        ):
            found = "holds other files. Name another one"
        else:
            return
        raise ValueError(
            "`out` must name a new or empty folder. Received: "
            f"{str(self.path)!r}, which {found}."
        )

    def lock(self) -> None:
        """Keeps other processes from training in this folder.

        The lock ends by `unlock`, or with this object or its process, however
        that ends. Raises `ValueError` if another process trains in the folder.
        """
        if self._unlock is not None or not self.workers.is_chief:
            return
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(locked_folder(self.path, wait=False))
        except ValueError:
            raise ValueError(
                "`out` must name a folder in which no other process trains. "
                f"Received: {str(self.path)!r}, in which one does. Wait for "
                "it, or name another folder."
            ) from None
        self._unlock = weakref.finalize(self, lock.close)

    def unlock(self) -> None:
        """Lets others train in this folder.

        An exception that a session keeps, keeps this object too.
        """
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def write_config(self, recipe: BaseRecipe, inputs: Inputs) -> None:
        """Locks the folder and writes the recipe, inputs and versions.

        Raises `ValueError` if another process trains in the folder, or has done
        so since `check_free`; if an input has changed since the run was
        started; or if workers differ, or do not share the folder. Raises
        `TrainingError` if the clock is wrong, or if it fails on another worker.
        """
        _check_clock()
        self.check_same(recipe, inputs)
        with self.workers.together():
            if self.workers.is_chief:
                self._write_config(recipe, inputs)
        with self.workers.together():
            self.workers.wait_for_file(self.config)

    def _write_config(self, recipe: BaseRecipe, inputs: Inputs) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock()
        if self._must_be_free:
            self.check_free()
            self._must_be_free = False
        self.check_unchanged(inputs)
        config = {
            "command": recipe.COMMAND,
            "recipe": recipe.to_dict(),
            "inputs": inputs,
            "versions": {**_versions(), "python": platform.python_version()},
        }
        with atomic_write(self.config) as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n", "utf-8")

    def check_same(self, recipe: BaseRecipe, inputs: Inputs) -> None:
        """Raises `ValueError` if the workers would not train the same."""
        if self.workers.number == 1:
            return
        where = "last step in `out`, which they must share"
        values = {**_versions(), where: self.last_step()}
        values |= {
            f"`{name}`": value for name, value in recipe.to_dict().items()
        }
        for name, value in inputs.items():
            values[f"digest of `{name}`"] = value.get("digest")
        self.workers.check_same(values)

    def check_unchanged(self, inputs: Inputs) -> None:
        """Raises `ValueError` if an input has changed since the run started."""
        for name, values in inputs.items():
            kept, digest = self.digest(name), values.get("digest")
            if None not in (kept, digest) and kept != digest:
                raise ValueError(
                    f"`{name}` must be as it was when the run was started. "
                    f"Received: {values['path']!r}, which holds something "
                    f"else. Name the right `{name}`, or start a new run."
                )

    def digest(self, name: str) -> str | None:
        """Returns the digest of an input that the run was started with."""
        try:
            return _read_config(self.config)["inputs"][name]["digest"]
        except (KeyError, TypeError):
            return None

    def may_have_moved(self, name: str, path: Any) -> bool:
        """Whether a resumed run may be given this path for an input.

        It may, if the digest of the input is known: that tells whether it is
        the same.
        """
        return self.digest(name) is not None and os.path.exists(str(path))

    def has_read(self, name: str, path: str) -> bool:
        """Whether the run has a checkpoint and was started with this path.

        The checkpoint then holds what is needed of the input.
        """
        started_with = options_of_run(self.path)
        return self.last_step() > 0 and path == started_with.get(name)

    def started_with(
        self, recipe_class: type[AnyRecipe]
    ) -> tuple[AnyRecipe, dict[str, Any]]:
        """Returns what the run in this folder was started with.

        That is the recipe, and a dict of its fields and of the paths of the
        inputs. Raises `ValueError` if there is no such run.
        """
        if not self.config.is_file():
            raise ValueError(
                "`resume` needs a run in `out`. Received: "
                f"{str(self.path)!r}, which holds no run. Leave out `resume`."
            )
        recipe = recipe_class.from_run(self.path)
        return recipe, {**options_of_run(self.path), **recipe.to_dict()}

    def resumed(
        self, recipe: AnyRecipe, paths: dict[str, str | None]
    ) -> tuple[AnyRecipe, dict[str, str | None]]:
        """Locks the folder; returns the recipe and the inputs of its run.

        Only the duration of `recipe` may differ from what the run was started
        with. `paths` maps inputs to paths, and to `None` if they are not given.
        The returned dict has all of them. An input whose digest is known may
        have moved: `check_unchanged` then says whether it is the same. Raises
        `ValueError` if there is no such run, something else differs, an input
        is gone, or another process trains in the folder.
        """
        _, started_with = self.started_with(type(recipe))
        fixed = {
            name: path
            for name, path in paths.items()
            if path
            and self.digest(name) is None
            and not _is_same(path, started_with.get(name))
        }
        # A file that the recipe names may have moved too, if its digest is
        # known.
        fixed |= {
            name: value
            for name, value in recipe.to_dict().items()
            if not self.may_have_moved(name, value)
        }
        check_as_started(fixed, started_with)
        paths = {
            name: path or started_with.get(name) for name, path in paths.items()
        }
        check_there("data", paths["data"])
        for name, value in recipe.to_dict().items():
            if self.digest(name) is not None:
                check_there(name, value)
        self.lock()
        return recipe, paths

    def last_step(self) -> int:
        """Returns the step of the last checkpoint, 0 without one."""
        return max(checkpoint_steps(self.checkpoints), default=0)

    def load_checkpoint(self, kind: type[AnyModel]) -> AnyModel:
        """Returns the model of the last checkpoint.

        Raises `ValueError` if the file is damaged, `TrainingError` if it holds
        a model of another class than `kind`.
        """
        *earlier, last = checkpoint_steps(self.checkpoints)
        path = checkpoint_path(self.checkpoints, last)
        try:
            model = load_keras_file(path, compile=True)
        except Exception as error:
            # Keras raises errors of many kinds for files that are damaged.
            remedy = (
                f"resume from step {earlier[-1]}" if earlier else "start over"
            )
            raise ValueError(
                "The last checkpoint must be a model saved by this library. "
                f"Received: {str(path)!r}, which cannot be loaded: "
                f"{first_line(error).rstrip('.')}. Remove that file to "
                f"{remedy}."
            ) from error
        if not isinstance(model, kind):
            raise TrainingError(
                f"The checkpoints of this run must be of a `{kind.__name__}`. "
                f"Received: {str(path)!r}, of a `{type(model).__name__}`. "
                "Remove that file."
            )
        return model

    def cut_metrics(self, step: int, is_over: bool = False) -> None:
        """Removes the lines after a step.

        If a training ended between two regular lines, its last line goes too,
        unless it is over: the next regular line will cover its steps.
        """
        if not self.workers.is_chief or not self.metrics.exists():
            return
        kept = [
            line + "\n"
            for line, values in self._lines_until(step)
            if is_over or values["step"] % RECORDED_STEPS == 0
        ]
        with atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(kept), "utf-8")

    def seconds_until(self, step: int) -> float:
        """Returns the seconds of the last recorded step up to a step."""
        lines = [values for _, values in self._lines_until(step)]
        return lines[-1]["seconds"] if lines else 0.0

    def measured_until(self, step: int, name: str) -> list[tuple[int, float]]:
        """Lists steps and values of a measure, in rising order up to a step."""
        return [
            (values["step"], values[name])
            for _, values in self._lines_until(step)
            if name in values
        ]

    def _lines_until(self, step: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self.metrics.exists():
            return
        content = self.metrics.read_text("utf-8", errors="replace")
        for line in content.splitlines():
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                return  # A kill may leave the last line incomplete.
            try:
                is_later = values["step"] > step
                values = {**values, "seconds": float(values["seconds"])}
            except (KeyError, TypeError, ValueError):
                raise TrainingError(
                    f"Each line of {self.metrics} must be a JSON object with "
                    f"`step` and `seconds`. Received: {line[:40]!r}. Remove "
                    "that line."
                ) from None
            if is_later:
                return
            yield line, values

    def publish_model(self) -> None:
        """Makes the last checkpoint the run's `model.keras`."""
        source = checkpoint_path(self.checkpoints, self.last_step())
        with atomic_write(self.model) as temporary:
            shutil.copyfile(source, temporary)

    def publish_best(self, step: int | None) -> None:
        """Makes the checkpoint of a step the run's `best.keras`.

        A run that was killed may have saved a better model after its last
        checkpoint. It will reach that step again. `step` is `None` if there is
        no best step yet. Raises `ValueError` if the checkpoint is missing, and
        `best.keras` is of another step.
        """
        if step is None:
            self.best.unlink(missing_ok=True)
            return
        source = checkpoint_path(self.checkpoints, step)
        if source.is_file():
            with atomic_write(self.best) as temporary:
                shutil.copyfile(source, temporary)
        elif not _is_of_step(self.best, step):
            raise ValueError(
                "`resume` needs the checkpoint of the best step so far. "
                f"Received: no {str(source)!r}. Start a new run."
            )


def _is_of_step(path: pathlib.Path, step: int) -> bool:
    try:
        return int(load_keras_file(path).steps_trained) == step
    except Exception:
        # Keras raises errors of many kinds for files that are damaged.
        return False


def _versions() -> dict[str, str]:
    return {
        "keras_t2i": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def _check_clock() -> None:
    # Models are ZIP files, and would fail when hours have been trained.
    year = time.localtime().tm_year
    if year < 1980:
        raise TrainingError(
            "The clock must be set: a .keras file cannot be of before 1980. "
            f"Received: the year {year}. Set the clock of this machine."
        )


def check_there(name: str, path: str | None) -> None:
    """Raises `ValueError` if an input of a run is gone from its place."""
    if path is None or path in pretrained_names() or os.path.exists(path):
        return
    raise ValueError(
        f"`{name}` must be where the run was started with it. Received: "
        f"{path!r}, which is not there. Give its new path as `{name}`."
    )


def _is_same(path: str, other: str | None) -> bool:
    return other is not None and os.path.abspath(path) == os.path.abspath(other)


def options_of_run(path: StrPath) -> dict[str, Any]:
    """Returns what a run was started with, from its folder or a file in it.

    The dict holds the fields of the recipe and the paths of the inputs. It is
    empty if there is no such run. Runs from before there were recipes have the
    options of the command instead of fields.
    """
    path = pathlib.Path(path)
    folder = path if path.is_dir() else path.parent
    config = _read_config(folder / "config.json")
    options = config.get("options", config.get("recipe"))
    if not isinstance(options, dict):
        return {}
    try:
        inputs = config.get("inputs", {}).items()
        return {**options, **{name: one["path"] for name, one in inputs}}
    except (AttributeError, KeyError, TypeError):
        return {}


def _read_config(path: pathlib.Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
