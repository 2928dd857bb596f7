"""Files that are either whole or not there."""

import contextlib
import fcntl
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

_TEMPORARY = ".tmp-"


def is_temporary(name: str) -> bool:
    """Tells whether a file's name is one that only a kill leaves behind."""
    return name.startswith(_TEMPORARY)


@contextlib.contextmanager
def replace_when_whole(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary file that becomes `path` when the block succeeds.

    A full disk, an error or Ctrl-C inside the block removes the temporary
    file and leaves `path` as it was.

    Args:
        path: path of the file to write. Its folder must be there.

    Returns:
        Context manager of a `pathlib.Path` in the same folder, to write to.

    Raises:
        OSError: the file can not be written; the error names it.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_t2i.files import replace_when_whole
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with replace_when_whole(folder / "greeting.txt") as temporary:
    ...     _ = temporary.write_text("hello")
    >>> [path.name for path in folder.iterdir()]
    ['greeting.txt']
    """
    path = pathlib.Path(path)
    temporary = path.with_name(_TEMPORARY + path.name)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # A full disk shows in `write`, which does not know the file's name.
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def waited_for(folder: str | os.PathLike) -> Iterator[None]:
    """Keeps other processes, which wait, out of the same block.

    Args:
        folder: path of the folder that the block writes to.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Not on a file system without locks, such as some of networks.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_folder_when_whole(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary folder that becomes `path` when the block succeeds.

    An error or Ctrl-C inside the block removes it.

    Args:
        path: path of the folder to make. Its parent must be there.

    Returns:
        Context manager of a `pathlib.Path` beside it, an empty folder.

    Raises:
        OSError: the folder can not be written, or `path` is there already.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_t2i.files import new_folder_when_whole
    >>> parent = pathlib.Path(tempfile.mkdtemp())
    >>> with new_folder_when_whole(parent / "1") as temporary:
    ...     _ = (temporary / "greeting.txt").write_text("hello")
    >>> [path.name for path in parent.iterdir()]
    ['1']
    """
    path = pathlib.Path(path)
    # At random: two processes may make the same folder at the same time, and in
    # a container the next one has the number of one that was killed.
    temporary = path.with_name(
        f"{_TEMPORARY}{path.name}-{secrets.token_hex(4)}"
    )
    temporary.mkdir()
    try:
        yield temporary
        # Unlike `replace`, it fails where a folder that is not empty is there.
        os.rename(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
