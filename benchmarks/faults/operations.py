"""The commands that are disturbed, and what must be left in their folders."""

import functools
import json
import pathlib
import shutil
import time
import zipfile

import numpy as np

from benchmarks.faults import children
from keras_t2i.callbacks import Checkpoints
from keras_t2i.cli.main import main
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.export import Client
from keras_t2i.files import CHECKSUMS_FILE
from keras_t2i.files import check_checksums
from keras_t2i.files import file_sha256
from keras_t2i.files import is_temporary
from keras_t2i.training import runner
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.conftest import TEXT_OPTIONS
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of

_CAPTIONS = ["a red flower", "a blue flower with a yellow center"]
_BLOOMS = ("--num-images", 60, "--image-size", 32)


class Operation:
    """A command that writes a folder, and that folder as it must become.

    Args:
        folder: path of the folder for all that is written.
        name: string. Name of the command.
        options: what follows it, without `--out`.
        is_same: function of two folders; fails unless they hold the same.
        resumes: bool. Whether it needs `--resume` to continue a run.
    """

    def __init__(self, folder, name, options, is_same, resumes=False):
        self.name = name
        self.whole = folder / name
        self._options = options
        self._is_same = is_same
        self._resumes = resumes

    def run(self, out):
        """Begins or continues; returns the exit status."""
        argv = [self.name, *self._options, "--out", out]
        if self._resumes and (out / "config.json").exists():
            argv = [self.name, "--out", out, "--resume"]
        return main([str(argument) for argument in argv])

    def run_undisturbed(self):
        """Writes `whole`, in a child; returns the seconds that it took.

        If an earlier part of the campaign has done so, it is not done again.
        """
        taken = self.whole.with_suffix(".seconds")
        if not taken.exists():
            started = time.monotonic()
            children.must_run(self.run, self.whole)
            taken.write_text(str(time.monotonic() - started))
            print(f"{self.name}: {taken.read_text():.4} s", flush=True)
        return float(taken.read_text())

    def end(self, out):
        """Runs to the end; as `difference`."""
        # Where it had just ended, the command may say that there is no need.
        _, printed = children.run(self.run, out)
        reason = self.difference(out)
        return reason and f"{printed[-1000:]}\n{reason}"

    def difference(self, out):
        """Returns why `out` is not as `whole`, if it is not; removes it."""
        status, printed = children.run(self._is_same, out, self.whole)
        shutil.rmtree(out, ignore_errors=True)
        return (printed[-1000:] or "differs") if status else None


def make_operations(folder):
    """Returns all operations by their names, in the order of their needs."""
    # Checkpoints every ten steps, where they are a minute apart otherwise.
    runner.Checkpoints = functools.partial(Checkpoints, every_seconds=0)
    data, text, gan = (
        folder / name for name in ("prepare", "train-text", "train")
    )
    encoded = ("--data", data, "--text-encoder", text)
    return {
        operation.name: operation
        for operation in (
            Operation(folder, "prepare", ("blooms", *_BLOOMS), _same_files),
            Operation(
                folder,
                "train-text",
                ("--data", data, *TEXT_OPTIONS, "--steps", 20),
                _same_run,
                resumes=True,
            ),
            Operation(folder, "embed", encoded, _same_files),
            Operation(
                folder,
                "train",
                (*encoded, *GAN_OPTIONS, "--steps", 60),
                _same_run,
                resumes=True,
            ),
            Operation(
                folder,
                "train-style",
                ("--model", gan, "--data", data, "--steps", 40),
                _same_run,
                resumes=True,
            ),
            Operation(folder, "export", ("--model", gan), _same_served),
        )
    }


def damage_in(folder):
    """Returns what is wrong with what is in a folder after a disturbance.

    It may lack anything, but what is there must be whole.
    """
    for path in sorted(pathlib.Path(folder).rglob("*")):
        names = path.relative_to(folder).parts
        if path.is_dir() or any(is_temporary(name) for name in names):
            continue
        try:
            is_whole = _is_whole(path)
        except Exception as error:
            return f"{path}: {error!r}"
        if not is_whole:
            return f"{path} is damaged"
    return None


def _is_whole(path):
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    if path.name == MANIFEST_FILE:
        return all(
            file_sha256(path.parent / shard["file"]) == shard["sha256"]
            for split in json.loads(path.read_bytes())["splits"].values()
            for shard in split["shards"]
        )
    if path.suffix == ".json":
        json.loads(path.read_bytes())
    if path.name == CHECKSUMS_FILE:
        check_checksums(path.parent, [])
    # The folder of a version appears as a whole.
    is_served = path.name == "saved_model.pb"
    return not is_served or (path.parent / CHECKSUMS_FILE).is_file()


def _same_files(folder, whole):
    _must_be_equal(contents(folder), contents(whole))


def _same_run(folder, whole):
    assert_same_state(folder / "model.keras", whole / "model.keras")
    _must_be_equal(lines_of(folder), lines_of(whole))


def _must_be_equal(values, others):
    if values != others:
        raise ValueError("not equal")


def _same_served(folder, whole):
    images = [Client(path).generate(_CAPTIONS) for path in (folder, whole)]
    np.testing.assert_array_equal(*images)
