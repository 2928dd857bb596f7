import shutil
import subprocess

import numpy as np
import pytest

from keras_t2i.files import check_checksums
from keras_t2i.files import write_checksums

_FILES = ["a b.txt", "inner/b"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in _FILES:
        (tmp_path / name).write_text(f"the content of {name}")
    (tmp_path / "other").write_text("not listed")
    write_checksums(tmp_path, _FILES)
    return tmp_path


def test_what_sha256sum_reads(folder):
    check_checksums(folder, _FILES)
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_every_flipped_bit_is_found(folder):
    for file in (*_FILES, "SHA256SUMS"):
        content = (folder / file).read_bytes()
        for bit in range(8 * len(content)):
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            (folder / file).write_bytes(changed)
            with pytest.raises(ValueError, match=str(folder)):
                check_checksums(folder, _FILES)
        (folder / file).write_bytes(content)
    check_checksums(folder, _FILES)


def test_every_cut_is_found(folder):
    content = (folder / "SHA256SUMS").read_bytes()
    # Without the last line's end, nothing is missing.
    for size in range(len(content) - 1):
        (folder / "SHA256SUMS").write_bytes(content[:size])
        with pytest.raises(ValueError, match="SHA256SUMS"):
            check_checksums(folder, _FILES)


def test_missing_file(folder):
    (folder / "inner/b").unlink()
    with pytest.raises(ValueError, match="inner/b must have .*no such file"):
        check_checksums(folder, [])


def test_folders_of_earlier_versions_have_none(folder):
    (folder / "SHA256SUMS").unlink()
    (folder / "inner/b").write_bytes(np.random.default_rng(0).bytes(9))
    check_checksums(folder, _FILES)
