import errno
import os

import pytest

from keras_t2i.files import atomic_new_folder
from keras_t2i.files import atomic_write


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(str(path)) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


# Ctrl-C is no Exception.
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_before_the_first_byte_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with atomic_write(tmp_path / "a.txt"):
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(OSError) as caught:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            # As `write` raises it, which knows no name.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError) as caught:
        with atomic_write(tmp_path / "none" / "a.txt") as temporary:
            temporary.write_text("new")
    assert str(tmp_path / "none") in caught.value.filename


def test_the_ending_stays(tmp_path):
    # Writers that look at the ending, such as that of Keras, must accept it.
    with atomic_write(tmp_path / "a.keras") as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_text("new")


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_has_the_temporary_name_is_not_written_to(tmp_path, kind):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    left = tmp_path / ".tmp-a.txt"
    if kind == "link":
        left.symlink_to(secret)
    elif kind == "folder":
        left.mkdir()
        (left / "b.txt").touch()
    else:
        left.write_text("a long text that a killed process has left")
    with atomic_write(tmp_path / "a.txt") as temporary:
        with open(temporary, "r+" if temporary.exists() else "w") as file:
            file.write("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert secret.read_text() == "secret"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "secret"]


# === Folders ===


def test_the_folder_appears_when_the_block_ends(tmp_path):
    with atomic_new_folder(tmp_path / "7") as temporary:
        (temporary / "a.txt").write_text("new")
        # A server that looks for numbers must not see it.
        assert not temporary.name.isdigit()
        assert not (tmp_path / "7").exists()
    assert (tmp_path / "7" / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["7"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_no_folder(tmp_path, error):
    with pytest.raises(error):
        with atomic_new_folder(tmp_path / "7") as temporary:
            (temporary / "a.txt").write_text("half")
            raise error
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_stays(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "a.txt").write_text("old")
    with pytest.raises(OSError):
        with atomic_new_folder(tmp_path / "7") as temporary:
            (temporary / "a.txt").write_text("new")
    assert (tmp_path / "7" / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["7"]


def test_permissions_of_a_folder_are_those_of_any_new_one(tmp_path):
    with atomic_new_folder(tmp_path / "7"):
        pass
    (tmp_path / "8").mkdir()
    modes = [(tmp_path / name).stat().st_mode for name in ("7", "8")]
    assert modes[0] == modes[1]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path):
    # In a container, the next process has the same number.
    left = tmp_path / f".tmp-7-{os.getpid()}"
    left.mkdir()
    with atomic_new_folder(tmp_path / "7") as temporary:
        (temporary / "a.txt").write_text("new")
    assert sorted(os.listdir(tmp_path)) == [left.name, "7"]


def test_of_two_that_make_a_folder_at_the_same_time_the_first_to_end_does(
    tmp_path,
):
    with pytest.raises(OSError):
        with atomic_new_folder(tmp_path / "7") as late:
            (late / "a.txt").write_text("late")
            with atomic_new_folder(tmp_path / "7") as early:
                (early / "a.txt").write_text("early")
    assert (tmp_path / "7" / "a.txt").read_text() == "early"
    assert os.listdir(tmp_path) == ["7"]


def test_the_temporary_file_is_not_named(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with (
        pytest.raises(OSError) as error,
        atomic_write(tmp_path / "folder.png") as temporary,
    ):
        temporary.write_bytes(b"new")
    assert str(error.value).endswith(f": {str(tmp_path / 'folder.png')!r}")
