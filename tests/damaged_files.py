"""Cuts and changes files, to see that their readers notice or survive it."""

import gc
import struct
import time
import tracemalloc

import numpy as np

_EXTREMES = [0, 1, 2, 3, 4, 5, 8, -1, -(2**31), 2**31 - 1, 2**30, 1000]


def damaged(content: bytes, generator) -> bytes:
    """A variant: cut, with bytes or numbers changed, or with a part moved."""
    content = bytearray(content)
    place = int(generator.integers(len(content)))
    length = int(generator.integers(1, 40))
    match generator.integers(6):
        case 0:
            del content[place:]
        case 1:
            for place in generator.integers(len(content), size=length % 6 + 1):
                content[place] = generator.integers(256)
        case 2:
            number = int(generator.choice(_EXTREMES))
            content[place : place + 4] = struct.pack("<i", number)
        case 3:
            number = int(generator.choice(_EXTREMES)) << 31
            content[place : place + 8] = struct.pack("<q", number)
        case 4:
            del content[place : place + length]
        case 5:
            other = int(generator.integers(len(content)))
            content[place:place] = content[other : other + length]
    return bytes(content)


def check_damaged_files(
    read, path, content, seeds, max_bytes=300_000, max_seconds=1
):
    """Reads a variant for each seed: in a second, and in little memory.

    One that is merely cut off must be refused.

    Args:
        read: function of the path. `ValueError` naming the path is its only
            way to fail.
        path: path to write the variants to, or of the folder that they are in.
        content: bytes of the whole file, or a dict of those of all files, by
            their paths. Of several, one at a time is damaged.
        seeds: range of ints.
        max_bytes: int. What reading may take beside four times the content.
        max_seconds: number.
    """
    contents = content if isinstance(content, dict) else {path: content}
    files = list(contents)
    num_bytes = sum(map(len, contents.values()))
    refused = 0
    for seed in seeds:
        file = files[seed % len(files)]
        whole = contents[file]
        variant = damaged(whole, np.random.default_rng(seed))
        file.write_bytes(variant)
        most = num_bytes - len(whole) + len(variant)
        was_refused = is_refused(
            read, path, 4 * most + max_bytes, max_seconds, seed
        )
        # As after a download that broke off: never taken for the whole file.
        is_cut = variant != whole and whole.startswith(variant)
        assert was_refused or not is_cut, seed
        refused += was_refused
        file.write_bytes(whole)
    assert len(seeds) / 3 < refused <= len(seeds)


def is_refused(read, path, max_bytes, max_seconds, seed):
    """Whether a file is refused; fails where that takes more than it may.

    Args:
        read: function of the path. `ValueError` naming the path is its only
            way to fail.
        path: path.
        max_bytes: int.
        max_seconds: number.
        seed: int. Named where it fails.
    """
    refused, seconds, peak = measured(read, path, seed)
    if seconds >= max_seconds or peak >= max_bytes:
        # Now and then the interpreter's table of all interned strings grows
        # while a file is read, by megabytes. What the reader itself takes, it
        # takes again.
        refused, seconds, peak = measured(read, path, seed)
    assert seconds < max_seconds, seed
    assert peak < max_bytes, seed
    return refused


def measured(read, path, seed):
    """Whether a file is refused, the seconds of CPU and the peak of bytes.

    `ValueError` naming the path is the only way to be refused.
    """
    # Collecting what earlier tests have left is not the reader's time.
    gc.disable()
    tracemalloc.start()
    try:
        start = time.process_time()
        try:
            read(path)
            refused = False
        except ValueError as error:
            assert str(path) in str(error), seed
            refused = True
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    return refused, seconds, peak
