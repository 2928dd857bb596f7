"""The campaign of faults in small. `docs/lab/faults.md` has its counts."""

import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.large
@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("kills", 25),
        ("full_disk", 10),
        ("bit_flips", 100),
        ("foreign_files", 40),
        ("client", 24),
    ],
)
def test_nothing_is_lost(part, count):
    command = [sys.executable, "-m", "benchmarks.faults", part]
    subprocess.run([*command, "--count", str(count)], cwd=_ROOT, check=True)
