"""Counts what has become of faults."""

import collections
import time

# What may become of one, and what must not.
_GOOD = ("found", "harmless")
_BAD = ("silent", "lost", "executed", "traceback", "too much")
_MAX_SHOWN = 5


class Counts:
    """How often each thing has happened, one row for each kind of fault."""

    def __init__(self):
        self._rows = collections.defaultdict(collections.Counter)
        self._started = time.monotonic()

    def add(self, row, outcome, reason=""):
        """Counts one; says why it is bad, if it is."""
        self._rows[row][outcome] += 1
        if outcome in _BAD and self._rows[row][outcome] <= _MAX_SHOWN:
            print(f"{row}: {outcome}: {reason}", flush=True)

    def show(self):
        """Prints the table; returns the exit status."""
        columns = ("faults", *_GOOD, *_BAD)
        print("|  |", " | ".join(columns), "|")
        print("|---" * (len(columns) + 1) + "|")
        total = sum(self._rows.values(), collections.Counter())
        for name, row in (*self._rows.items(), ("all", total)):
            numbers = (row.total(), *(row[name] for name in columns[1:]))
            print(f"| {name} |", " | ".join(f"{n:,}" for n in numbers), "|")
        print(f"{time.monotonic() - self._started:.0f} s", flush=True)
        return int(any(total[outcome] for outcome in _BAD))


def shares(count, number):
    """Divides a count into as many whole numbers, nearly equal ones."""
    return [
        count * (place + 1) // number - count * place // number
        for place in range(number)
    ]
