import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from keras_t2i.datasets.preparation import prepare
from keras_t2i.datasets.shard_writing import write_shards_in_processes
from keras_t2i.reading import UnusableFileError
from tests.datasets.preparation_test import Squares
from tests.full_disk import small_files

_REPOSITORY = pathlib.Path(__file__).parents[2]
# Takes ten seconds, once its two processes have started.
_SLOW_RUN = """
import sys
from keras_t2i.datasets.preparation import prepare
from tests.datasets.preparation_test import Squares
if __name__ == "__main__":
    prepare(Squares(seconds=2), sys.argv[1], image_size=8, num_workers=2)
"""


class KilledSquares(Squares):
    """Ends its process the hard way."""

    def read(self, key, image_size):
        os.kill(os.getpid(), signal.SIGKILL)


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _write(
    source, folder, keys=((0,), (1,), (2,)), on_images=lambda num_done: None
):
    write_shards_in_processes(
        source,
        {folder / "a.tfrecord": keys},
        num_workers=1,
        options={"image_size": 8, "strict": True},
        on_images=on_images,
        on_shard=lambda path, shard: None,
    )


def test_processes_write_the_same_bytes(tmp_path):
    source = Squares(troubles={3: UnusableFileError("3.png", "is broken")})
    calls = []
    several = prepare(
        source,
        tmp_path / "several",
        image_size=8,
        num_workers=2,
        progress=lambda *call: calls.append(call),
    )
    # Read in other processes, on copies of the source.
    assert source.numbers_read == []
    assert calls == sorted(calls)
    assert calls[-1] == (10, 10)
    one = prepare(source, tmp_path / "one", image_size=8, num_workers=1)
    assert several == one
    assert _contents(tmp_path / "several") == _contents(tmp_path / "one")


def test_an_error_in_a_process_reaches_the_caller(tmp_path):
    source = Squares(troubles={1: UnusableFileError("1.png", "is broken")})
    with pytest.raises(UnusableFileError, match="1.png: is broken"):
        _write(source, tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_interruption_ends_no_process_of_the_caller(tmp_path):
    def interrupted(num_done):
        raise KeyboardInterrupt

    context = multiprocessing.get_context("spawn")
    own = context.Process(target=time.sleep, args=(60,))
    own.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _write(Squares(), tmp_path, on_images=interrupted)
        assert own.is_alive()
        assert multiprocessing.active_children() == [own]
    finally:
        own.kill()
        own.join()
    assert os.listdir(tmp_path) == []


@pytest.mark.large
def test_full_disk_in_a_process(tmp_path):
    # More than what processes share takes, and less than the shard.
    with small_files(10_000):
        with pytest.raises(OSError, match=r"File too large: .*a.tfrecord'"):
            _write(Squares(), tmp_path, [(0,)] * 100)
    assert os.listdir(tmp_path) == []


@pytest.mark.large
def test_a_killed_process(tmp_path):
    with pytest.raises(OSError, match="was killed.*Run again"):
        _write(KilledSquares(), tmp_path)


@pytest.mark.large
def test_a_script_that_does_its_work_when_it_is_imported(tmp_path):
    program = _SLOW_RUN.replace('if __name__ == "__main__":', "if True:")
    (tmp_path / "run.py").write_text(program)
    run = subprocess.run(
        [sys.executable, tmp_path / "run.py", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    line = run.stderr.splitlines()[-1]
    assert "could not start; its error is above" in line
    assert 'under `if __name__ == "__main__":`' in line


@pytest.mark.large
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_an_interrupted_run(tmp_path, kind):
    (tmp_path / "run.py").write_text(_SLOW_RUN)
    out = tmp_path / "out"
    with open(tmp_path / "stderr", "w") as stderr:
        run = subprocess.Popen(
            [sys.executable, tmp_path / "run.py", out],
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
            stderr=stderr,
            start_new_session=True,
        )
    temporary = [
        out / ".tmp-train-00000-of-00001.tfrecord",
        out / ".tmp-test-00000-of-00001.tfrecord",
    ]
    _wait_until(lambda: all(path.exists() for path in temporary))
    children = _children(run.pid)
    assert len(children) >= 2
    if kind == signal.SIGINT:
        # Ctrl-C in a terminal goes to every process.
        os.killpg(run.pid, kind)
    else:
        run.kill()
    run.wait(timeout=20)
    _wait_until(lambda: not any(map(_is_running, children)))
    if kind == signal.SIGINT:
        assert os.listdir(out) == []
        # The interruption is seen once, not once a process.
        assert (tmp_path / "stderr").read_text().count("Interrupt") == 1
    prepare(Squares(), out, image_size=8)
    prepare(Squares(), tmp_path / "whole", image_size=8)
    assert _contents(out) == _contents(tmp_path / "whole")


def _wait_until(is_true):
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in tasks for child in path.read_text().split()]


def _is_running(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    # A zombie has ended, and waits for its new parent to take notice.
    return status.rpartition(")")[2].split()[0] != "Z"
