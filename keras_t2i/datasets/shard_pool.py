"""Writes shards in several processes."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import signal
import threading
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from keras_t2i.datasets.shard_writer import WrittenShard
from keras_t2i.datasets.shard_writer import write_shard
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source

_SECONDS_BETWEEN_REPORTS = 0.2

# What `_start_worker` leaves in each worker process for `_write`.
_worker = {}


def write_shards_in_processes(
    source: Source,
    shards: Mapping[pathlib.Path, Sequence[Key]],
    *,
    num_workers: int,
    image_size: int,
    strict: bool,
    on_images: Callable[[int], None],
    on_shard: Callable[[pathlib.Path, WrittenShard], None],
) -> None:
    """Writes several shards at a time.

    Args:
        source: `Source` to read from.
        shards: mapping of the files to write to the keys of their examples.
        num_workers: int. Processes to start.
        image_size: int, in pixels.
        strict: bool. Whether a file that can not be used is an error.
        on_images: function called now and then with the images done.
        on_shard: function called with each shard that is whole.

    Raises:
        UnusableFileError: a file can not be used, with `strict`.
        OSError: a shard can not be written, or a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    num_done = context.Value("q", 0)
    stop = context.Event()
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        mp_context=context,
        initializer=_start_worker,
        initargs=(source, image_size, strict, num_done, stop),
    )
    try:
        # Processes inherit the blocked signal: at Ctrl-C this one alone
        # decides, and tells them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            paths = {
                executor.submit(_write, path, keys): path
                for path, keys in shards.items()
            }
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        pending = set(paths)
        while pending:
            finished, pending = concurrent.futures.wait(
                pending,
                timeout=_SECONDS_BETWEEN_REPORTS,
                return_when=concurrent.futures.FIRST_COMPLETED,
            )
            for future in finished:
                on_shard(paths[future], future.result())
            on_images(num_done.value)
    except BrokenProcessPool:
        raise ChildProcessError(
            "A process that writes shards was killed, perhaps for want of "
            "memory. Run again: whole shards are kept."
        ) from None
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)


class _StoppedError(Exception):
    pass


def _start_worker(source, image_size, strict, num_done, stop):
    def on_image():
        if stop.is_set():
            raise _StoppedError
        with num_done.get_lock():
            num_done.value += 1

    _worker["source"] = source
    _worker["options"] = {
        "image_size": image_size,
        "strict": strict,
        "on_image": on_image,
    }
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    # A worker that outlived a killed run would write into the next one.
    multiprocessing.parent_process().join()
    os._exit(1)


def _write(path, keys):
    return write_shard(_worker["source"], keys, path, **_worker["options"])
