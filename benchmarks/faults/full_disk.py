"""Commands write to a disk that takes no more, and are started again.

The stand-in for the disk is a limit on the size of each file: writing fails as
on a full disk, in all programs and libraries, and needs no rights.
"""

import math
import random

from benchmarks.faults import children
from benchmarks.faults.counts import shares
from benchmarks.faults.operations import damage_in
from benchmarks.faults.operations import make_operations
from keras_t2i.files import is_temporary
from tests.full_disk import small_files

_NAMES = ("prepare", "embed", "train", "train-style", "export")
# After so many failures, a command may run to its end, and is compared.
_FAILURES_IN_A_ROW = 5
# Bad usage and bad input; a failure while running.
_FAILED = (1, 2)


def run(counts, whole, folder, count, seed):
    """Fills the disk `count` times, at sizes that `seed` decides."""
    generator = random.Random(seed)
    operations = make_operations(whole)
    for operation in operations.values():
        operation.run_undisturbed()
    for name, number in zip(_NAMES, shares(count, len(_NAMES))):
        _fill(counts, operations[name], folder / "full", number, generator)


def _fill(counts, operation, out, number, generator):
    sizes = [
        path.stat().st_size
        for path in operation.whole.rglob("*")
        if path.is_file()
    ]
    for failure in range(1, number + 1):
        # As many small limits as large ones, so that files of all sizes fail.
        size = int(math.exp(generator.uniform(0, math.log(max(sizes)))))
        status, printed = children.run(_run_in, operation, out, size)
        outcome, reason = _outcome(operation, out, status, printed)
        if failure % _FAILURES_IN_A_ROW == 0 or failure == number:
            difference = operation.end(out)
            if difference:
                outcome, reason = "lost", difference
        reason = f"status {status} at {size} bytes: {reason}"
        counts.add(operation.name, outcome, reason)


def _outcome(operation, out, status, printed):
    if "Traceback" in printed or status not in (0, *_FAILED):
        return "traceback", printed[-2000:]
    if status == 0:
        # What was left to write was small enough.
        difference = operation.difference(out)
        return ("silent" if difference else "harmless"), difference
    damage = damage_in(out)
    if damage is None:
        left = [path for path in out.rglob("*") if is_temporary(path.name)]
        damage = f"left: {left}" if left else None
    return ("lost" if damage else "found"), damage


def _run_in(operation, out, size):
    with small_files(size):
        return operation.run(out)
