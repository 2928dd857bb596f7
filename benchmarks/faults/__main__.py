"""Does on purpose what goes wrong by chance, and counts what becomes of it.

    python -m benchmarks.faults kills --count 250
    python -m benchmarks.faults full_disk --count 50
    python -m benchmarks.faults bit_flips --count 1000
    python -m benchmarks.faults foreign_files --count 10000
    python -m benchmarks.faults client --count 250

The columns of the table: a fault was *found*, which means that an error for
users says so, or was *harmless*, which means that the result is the one without
it. The status is 1 if anything else has happened: *silent*, another result
without an error; *lost*, work or files; *executed*, code of a file, or a
request to where it must not go; *traceback*, an error that is none for users;
or *too much*, 1 GiB of memory for a file, or more time than a client was told
to wait.

From the folder of the repository: the tests' helpers are needed.
"""

import argparse
import contextlib
import importlib
import os
import pathlib
import sys
import tempfile

# Threads do not survive a fork; NumPy's would be there from its import on.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

_COUNTS = {
    "kills": 250,
    "full_disk": 50,
    "bit_flips": 1000,
    "foreign_files": 10_000,
    "client": 250,
}


def main():
    description = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("part", choices=_COUNTS)
    parser.add_argument("--count", type=int, help="faults; of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder",
        metavar="DIR",
        help="keeps what the first three parts disturb, which they share",
    )
    arguments = parser.parse_args()
    part = importlib.import_module(f"benchmarks.faults.{arguments.part}")
    count = arguments.count or _COUNTS[arguments.part]
    # Not before the variables above are set.
    from benchmarks.faults.counts import Counts

    counts = Counts()
    with tempfile.TemporaryDirectory() as temporary:
        kept = pathlib.Path(arguments.folder or temporary) / "whole"
        kept.mkdir(parents=True, exist_ok=True)
        folders = (kept, pathlib.Path(temporary))
        # Ctrl-C ends it, with the table of what was done until then.
        with contextlib.suppress(KeyboardInterrupt):
            part.run(counts, *folders, count, arguments.seed)
    return counts.show()


if __name__ == "__main__":
    sys.exit(main())
