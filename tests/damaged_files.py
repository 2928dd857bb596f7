"""Cuts and changes files, to see that their readers notice or survive it."""

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


def check_damaged_files(read, path, content, seeds, max_bytes=300_000):
    """Reads a variant for each seed: in a second, and in little memory.

    Args:
        read: function of the path. `ValueError` naming the path is its only
            way to fail.
        path: path to write the variants to.
        content: bytes of the whole file.
        seeds: range of ints.
        max_bytes: int. What reading may take beside four times the file.
    """
    refused = 0
    for seed in seeds:
        variant = damaged(content, np.random.default_rng(seed))
        path.write_bytes(variant)
        tracemalloc.start()
        start = time.process_time()
        try:
            read(path)
        except ValueError as error:
            assert str(path) in str(error), seed
            refused += 1
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seconds < 1, seed
        assert peak < 4 * len(variant) + max_bytes, seed
    assert len(seeds) / 3 < refused <= len(seeds)
