"""Writes the shards of a prepared data set, in several processes too."""

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from keras_t2i.datasets.shards import new_tfrecord_file
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.files import file_sha256
from keras_t2i.files import remove_temporaries
from keras_t2i.reading import UnusableFileError
from keras_t2i.tokenizers import unread_by

_SECONDS_BETWEEN_REPORTS = 0.2
# How long processes may take to end at Ctrl-C.
_SECONDS_TO_STOP = 3.0


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """What one shard holds. Without records there is no file.

    `unread` has the counts of `keras_t2i.tokenizers.Unread`. `captions_sha256`
    is the digest of the files with its captions, if there are such files.
    """

    num_records: int
    num_captions: int
    unread: Sequence[int]
    class_ids: list[int]
    sha256: str
    skipped: list[str]
    captions_sha256: str = ""


def _write_shard(
    source: Source,
    keys: Sequence[Key],
    path: pathlib.Path,
    *,
    image_size: int,
    strict: bool,
    on_image: Callable[[], None],
) -> WrittenShard:
    """Writes one TFRecord file; calls `on_image` before each image."""
    skipped: list[str] = []
    class_ids: list[int] = []
    captions: list[str] = []
    with new_tfrecord_file(path) as write:
        for key in keys:
            on_image()
            try:
                record = source.read(key, image_size)
                if strict and record.left_out:
                    raise record.left_out[0]
            except UnusableFileError as error:
                if strict:
                    raise
                skipped.append(str(error))
                continue
            skipped += map(str, record.left_out)
            write(record.serialize())
            class_ids.append(record.class_id)
            captions += record.captions
    sha256 = file_sha256(path)
    if not class_ids:
        path.unlink()
    return WrittenShard(
        num_records=len(class_ids),
        num_captions=len(captions),
        unread=unread_by(None, captions),
        class_ids=sorted(set(class_ids)),
        sha256=sha256,
        skipped=skipped,
    )


def write_shards(
    source: Source,
    shards: Mapping[pathlib.Path, Sequence[Key]],
    *,
    num_workers: int,
    image_size: int,
    strict: bool,
    on_images: Callable[[int], None],
    on_shard: Callable[[pathlib.Path, WrittenShard], None],
) -> None:
    """Reads examples and writes them as shards.

    `shards` maps the files to write to the keys of their examples. Several
    workers write as many shards at a time, each in a process of its own.
    `on_images` is called now and then with the number of images done,
    `on_shard` with each shard that is whole.

    Raises `UnusableFileError` if a file cannot be used, with `strict`. Raises
    `OSError` if a shard cannot be written, or a process was killed.
    """
    options: dict[str, Any] = {"image_size": image_size, "strict": strict}
    if num_workers > 1:
        write_shards_in_processes(
            source, shards, num_workers, options, on_images, on_shard
        )
        return
    num_done = itertools.count()
    for path, keys in shards.items():
        shard = _write_shard(
            source,
            keys,
            path,
            on_image=lambda: on_images(next(num_done)),
            **options,
        )
        on_shard(path, shard)
    on_images(sum(map(len, shards.values())))


def write_shards_in_processes(
    source: Source,
    shards: Mapping[pathlib.Path, Sequence[Key]],
    num_workers: int,
    options: dict[str, Any],
    on_images: Callable[[int], None],
    on_shard: Callable[[pathlib.Path, WrittenShard], None],
) -> None:
    """Writes several shards at a time, with the options of `write_shards`."""
    context = multiprocessing.get_context("spawn")
    num_done = context.Value("q", 0)
    stop = context.Event()
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        mp_context=context,
        initializer=_start_worker,
        initargs=(source, options, num_done, stop),
    )
    others = set(multiprocessing.active_children())
    processes: list[multiprocessing.process.BaseProcess] = []
    try:
        # Processes inherit the blocked signal: at Ctrl-C this one alone
        # decides, and tells them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            paths = {
                executor.submit(_write, path, keys): path
                for path, keys in shards.items()
            }
            # Not those of the program that calls this.
            processes += set(multiprocessing.active_children()) - others
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
        executor.shutdown()
        # When one ends, the others are terminated, which gives other codes.
        if 1 in {process.exitcode for process in processes}:
            raise ChildProcessError(
                "A process that writes shards could not start; its error is "
                "above. It imports the script that was run, which must do its "
                'work under `if __name__ == "__main__":`. Put it there, or '
                "prepare with `num_workers=1`."
            ) from None
        raise ChildProcessError(
            "A process that writes shards was killed, perhaps for want of "
            "memory. Run again: whole shards are kept."
        ) from None
    except KeyboardInterrupt:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)
        # Those that write end with the image at hand. Those that are still
        # starting have nothing to lose.
        end = time.monotonic() + _SECONDS_TO_STOP
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
            process.terminate()
            process.join()
        for folder in {path.parent for path in shards}:
            remove_temporaries(folder)
        raise
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)


class _StoppedError(Exception):
    pass


# What `_start_worker` leaves in each worker process for `_write`.
_worker: dict[str, Any] = {}


def _start_worker(
    source: Source, options: dict[str, Any], num_done: Any, stop: Any
) -> None:
    def on_image() -> None:
        if stop.is_set():
            raise _StoppedError
        with num_done.get_lock():
            num_done.value += 1

    _worker["source"] = source
    _worker["options"] = {**options, "on_image": on_image}
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker that outlived a killed run would write into the next one.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _write(path: pathlib.Path, keys: Sequence[Key]) -> WrittenShard:
    return _write_shard(_worker["source"], keys, path, **_worker["options"])
