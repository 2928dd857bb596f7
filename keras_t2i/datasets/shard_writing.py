"""Writes the shards of a prepared data set, in several processes too."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import signal
import threading
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from keras_t2i.datasets.shards import file_sha256
from keras_t2i.datasets.shards import new_tfrecord_file
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import UnusableFileError
from keras_t2i.tokenizers import count_cut

_SECONDS_BETWEEN_REPORTS = 0.2

# What `_start_worker` leaves in each worker process for `_write`.
_worker = {}


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """What one shard holds.

    Args:
        num_records: int. With none, there is no file.
        num_captions: int.
        num_long_captions: int. Those of which an encoder reads a part only.
        class_ids: list of ints. The classes in it, sorted.
        sha256: string. 64 hexadecimal digits, of the whole file.
        skipped: list of strings. Files that could not be used, and why.
    """

    num_records: int
    num_captions: int
    num_long_captions: int
    class_ids: list[int]
    sha256: str
    skipped: list[str]


def write_shard(
    source: Source,
    keys: Sequence[Key],
    path: str | os.PathLike,
    *,
    image_size: int,
    strict: bool,
    on_image: Callable[[], None],
) -> WrittenShard:
    """Reads examples and writes them as one TFRecord file.

    Args:
        source: `Source` to read from.
        keys: list of the keys to read, in order.
        path: path of the file, which is there only once it is whole.
        image_size: int, in pixels.
        strict: bool. Whether a file that can not be used is an error.
        on_image: function without arguments, called before each image.

    Returns:
        `WrittenShard`.

    Raises:
        UnusableFileError: a file can not be used, with `strict`.
        OSError: the shard can not be written.
    """
    path = pathlib.Path(path)
    skipped, class_ids, captions = [], [], []
    with new_tfrecord_file(path) as write:
        for key in keys:
            on_image()
            try:
                record = source.read(key, image_size)
            except UnusableFileError as error:
                if strict:
                    raise
                skipped.append(str(error))
                continue
            write(record.serialize())
            class_ids.append(record.class_id)
            captions += record.captions
    sha256 = file_sha256(path)
    if not class_ids:
        path.unlink()
    return WrittenShard(
        num_records=len(class_ids),
        num_captions=len(captions),
        num_long_captions=count_cut(captions),
        class_ids=sorted(set(class_ids)),
        sha256=sha256,
        skipped=skipped,
    )


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
