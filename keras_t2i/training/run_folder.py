"""The folder of one training run."""

import fcntl
import json
import os
import pathlib
import platform
import shutil
import weakref
from typing import Any
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.callbacks.run_recorder import RECORDED_STEPS
from keras_t2i.files import is_temporary
from keras_t2i.files import replace_when_whole
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.version import __version__

_Recipe = TypeVar("_Recipe", bound=BaseRecipe)


class RunFolder:
    """Where a run keeps its config, metrics, samples, checkpoints and models.

    Args:
        path: path of the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.best = self.path / "best.keras"
        self._is_locked = False
        self._must_be_free = False

    def check_free(self) -> None:
        """Raises `ValueError` where something is there already.

        `write_config` looks again: much may happen until then.
        """
        self._must_be_free = True
        if self.config.exists():
            raise ValueError(
                "`out` must name a new or empty folder. Received: "
                f"{str(self.path)!r}, which holds a run. Name another one, or "
                "go on with that run by `resume=True`."
            )
        # A run that was killed before it had a config is no run yet.
        if self.path.exists() and (
            not self.path.is_dir()
            or any(
                not is_temporary(entry.name) for entry in self.path.iterdir()
            )
        ):
            raise ValueError(
                "`out` must name a new or empty folder. Received: "
                f"{str(self.path)!r}, which holds other files. Name another "
                "one."
            )

    def lock(self) -> None:
        """Keeps other processes from training in this folder.

        The lock ends with this object or its process, however that ends.

        Raises:
            ValueError: another process trains in it.
        """
        if self._is_locked:
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                "`out` must name a folder in which no other process trains. "
                f"Received: {str(self.path)!r}, in which one does. Wait for "
                "it, or name another folder."
            ) from None
        except OSError:
            pass  # A file system without locks, such as some of networks.
        self._is_locked = True

    def write_config(
        self, recipe: BaseRecipe, inputs: dict[str, dict[str, str | None]]
    ) -> None:
        """Writes what the run was started with, and locks the folder.

        Args:
            recipe: the recipe.
            inputs: dict of the names of the arguments of `keras_t2i.train` to
                dicts of a `path` and, where there is one, a `digest`.

        Raises:
            ValueError: another process trains in the folder, or has done so
                since `check_free`; or an input has changed since the run was
                started.
        """
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
            "versions": {
                "keras_t2i": __version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
        with replace_when_whole(self.config) as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n", "utf-8")

    def check_unchanged(self, inputs: dict[str, dict[str, str | None]]) -> None:
        """Raises `ValueError` where an input is not what the run has read.

        Args:
            inputs: dict, as of `write_config`.
        """
        started_with = _read_config(self.config).get("inputs", {})
        for name, values in inputs.items():
            kept = started_with.get(name, {}).get("digest")
            if None not in (kept, values.get("digest")):
                if kept != values["digest"]:
                    raise ValueError(
                        f"`{name}` must be as it was when the run was started. "
                        f"Received: {values['path']!r}, which has changed "
                        "since. Start a new run."
                    )

    def started_with(
        self, recipe_class: type[_Recipe]
    ) -> tuple[_Recipe, dict[str, Any]]:
        """Returns the recipe of the run that is there, and its options.

        Args:
            recipe_class: subclass of `BaseRecipe`.

        Returns:
            The recipe, and a dict of its fields and of the paths of the
            inputs.

        Raises:
            ValueError: there is no such run.
        """
        if not self.config.is_file():
            raise ValueError(
                "`resume` goes on with the run in `out`. Received: "
                f"{str(self.path)!r}, which holds no run. Leave out `resume`."
            )
        recipe = recipe_class.from_run(self.path)
        return recipe, {**options_of_run(self.path), **recipe.to_dict()}

    def resumed(
        self, recipe: _Recipe, paths: dict[str, str | None]
    ) -> tuple[_Recipe, dict[str, str | None]]:
        """Returns the recipe and the inputs of the run that is there.

        Args:
            recipe: that to go on by. Its duration may differ from the one
                that the run was started with.
            paths: dict of names of inputs to paths, `None` where not given.

        Returns:
            Recipe and paths.

        Raises:
            ValueError: there is no such run, or something else differs.
        """
        _, started_with = self.started_with(type(recipe))
        check_as_started(
            {
                **{name: path for name, path in paths.items() if path},
                **recipe.to_dict(),
            },
            started_with,
        )
        self.lock()
        return recipe, {name: started_with.get(name) for name in paths}

    def last_step(self) -> int:
        """Returns the step of the last checkpoint, 0 without one."""
        return max(checkpoint_steps(self.checkpoints), default=0)

    def load_checkpoint(self) -> keras.Model:
        """Returns the model of the last checkpoint.

        Raises:
            ValueError: the file is damaged.
        """
        last, *earlier = sorted(checkpoint_steps(self.checkpoints))[::-1]
        path = checkpoint_path(self.checkpoints, last)
        try:
            return keras.saving.load_model(path)
        except Exception as error:
            # Keras raises errors of many kinds for files that are damaged.
            first_line = (str(error).strip() or repr(error)).splitlines()[0]
            goes_on = (
                f"go on from step {earlier[0]}" if earlier else "start over"
            )
            raise ValueError(
                "The last checkpoint must be a model that this library has "
                f"saved. Received: {str(path)!r}, which can not be loaded: "
                f"{first_line.rstrip('.')}. Remove that file to {goes_on}."
            ) from error

    def cut_metrics(self, step: int) -> float:
        """Removes the lines after a step; returns the seconds until it.

        Also that of a training that ended between two lines: the next line
        will be of its steps too.
        """
        if not self.metrics.exists():
            return 0.0
        kept, seconds = [], 0.0
        for line, values in self._lines_until(step):
            seconds = values["seconds"]
            if values["step"] % RECORDED_STEPS == 0:
                kept.append(line + "\n")
        with replace_when_whole(self.metrics) as temporary:
            temporary.write_text("".join(kept), "utf-8")
        return seconds

    def seconds_until(self, step: int) -> float:
        """Returns the seconds of the last recorded step up to a step."""
        seconds = 0.0
        for _, values in self._lines_until(step):
            seconds = values["seconds"]
        return seconds

    def measured_until(self, step: int, name: str) -> list[tuple[int, float]]:
        """Returns what was measured up to a step, in rising order.

        Args:
            step: int.
            name: string. What it is called in the metrics.

        Returns:
            list of pairs of a step and a float.
        """
        return [
            (values["step"], values[name])
            for _, values in self._lines_until(step)
            if name in values
        ]

    def _lines_until(self, step):
        """Yields the lines of the metrics up to a step, and what they hold."""
        if not self.metrics.exists():
            return
        for line in self.metrics.read_text("utf-8").splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                return  # A kill may leave a part of a line, the last one.
            if values["step"] > step:
                return
            yield line, values

    def publish_model(self) -> None:
        """Makes the last checkpoint the run's `model.keras`."""
        source = checkpoint_path(self.checkpoints, self.last_step())
        with replace_when_whole(self.model) as temporary:
            shutil.copyfile(source, temporary)

    def publish_best(self, step: int | None) -> None:
        """Makes the checkpoint of a step the run's `best.keras`.

        A run that was killed may have kept a better one after its last
        checkpoint, which it comes to again.

        Args:
            step: int, or `None`: there is no best one yet.

        Raises:
            ValueError: that checkpoint is not there.
        """
        if step is None:
            self.best.unlink(missing_ok=True)
            return
        source = checkpoint_path(self.checkpoints, step)
        if not source.is_file():
            raise ValueError(
                "`resume` needs the checkpoint of the step that `keep_best` "
                f"has found to be the best. Received: no {str(source)!r}. "
                "Start a new run."
            )
        with replace_when_whole(self.best) as temporary:
            shutil.copyfile(source, temporary)


def check_as_started(
    options: dict[str, Any], started_with: dict[str, Any]
) -> None:
    """Checks that a run goes on as it was started.

    Args:
        options: dict of names to values.
        started_with: dict of the same and other names to values.

    Raises:
        ValueError: something differs, other than the duration.
    """
    for name, value in options.items():
        if name in DURATIONS or value == started_with.get(name):
            continue
        raise ValueError(
            "`resume` goes on as the run was started; only `epochs`, `steps` "
            f"and `minutes` may differ. Received: `{name}` {value}, started "
            f"with {started_with.get(name)}."
        )


def options_of_run(path: str | os.PathLike) -> dict[str, Any]:
    """Returns what the run was started with that a folder or file belongs to.

    Args:
        path: path of a run folder, or of a file in it.

    Returns:
        dict of the fields of its recipe and the paths of its inputs, empty
        where there is no such run. Runs of before there were recipes have the
        options of the command.
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


def _read_config(path):
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
