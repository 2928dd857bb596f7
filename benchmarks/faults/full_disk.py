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
        reason = damage_in(out)
        outcome = "lost" if reason else "found"
        if "Traceback" in printed or status not in _FAILED:
            outcome = "traceback"
            reason = f"status {status} at {size} bytes: {printed[-2000:]}"
        left = [p for p in out.rglob("*") if is_temporary(p.name)]
        if left:
            outcome, reason = "lost", f"left at {size} bytes: {left}"
        if failure % _FAILURES_IN_A_ROW == 0 or failure == number:
            reason = operation.end(out) or reason
            outcome = "lost" if reason and outcome == "found" else outcome
        counts.add(operation.name, outcome, reason)


def _run_in(operation, out, size):
    with small_files(size):
        return operation.run(out)
