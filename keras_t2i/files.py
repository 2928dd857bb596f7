"""Files and folders that are whole or not there, and their checksums."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable
from collections.abc import Iterator

from keras_t2i.reading import read_text
from keras_t2i.types import StrPath

_TEMPORARY = ".tmp-"
CHECKSUMS_FILE = "SHA256SUMS"
# In the form of the program `sha256sum`.
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def is_temporary(name: str) -> bool:
    """Whether a file's name is one that only a killed process leaves behind."""
    return name.startswith(_TEMPORARY)


@contextlib.contextmanager
def atomic_write(path: StrPath) -> Iterator[pathlib.Path]:
    """Gives a temporary file that becomes `path` when the block succeeds.

    A full disk, an error or Ctrl-C inside the block removes the temporary
    file and leaves `path` as it was. What has the temporary file's name before,
    left by a killed process or a link put there, is removed and not followed.
    The folder must exist. Raises an `OSError` that names `path` if it cannot be
    written.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_t2i.files import atomic_write
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "greeting.txt") as temporary:
    ...     _ = temporary.write_text("hello")
    >>> [path.name for path in folder.iterdir()]
    ['greeting.txt']
    """
    path = pathlib.Path(path)
    temporary = path.with_name(_TEMPORARY + path.name)
    _remove(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _name_file(error, path, temporary)
        raise


@contextlib.contextmanager
def atomic_new_folder(path: StrPath) -> Iterator[pathlib.Path]:
    """Gives an empty folder that becomes `path` when the block succeeds.

    An error or Ctrl-C inside the block removes it. The parent must exist.
    Raises `OSError` if the folder cannot be written, or if `path` exists
    already and is not an empty folder.
    """
    path = pathlib.Path(path)
    # At random: two processes may make the same folder at the same time, and
    # process ids repeat from one container to the next.
    temporary = path.with_name(
        f"{_TEMPORARY}{path.name}-{secrets.token_hex(4)}"
    )
    try:
        temporary.mkdir()
        yield temporary
        # Unlike `replace`, this fails if `path` is a folder that is not empty.
        os.rename(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _name_file(error, path, temporary)
        raise


def _name_file(
    error: BaseException, path: pathlib.Path, temporary: pathlib.Path
) -> None:
    # A full disk shows in `write`, which does not know the file's name. That of
    # the temporary file says nothing to users.
    if isinstance(error, OSError) and error.filename in (None, str(temporary)):
        error.filename = str(path)
        # Set to `None`, it would still be written.
        del error.filename2


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: pathlib.Path, refusal: str) -> None:
    """Makes a folder unless it is there.

    Raises `ValueError` of this text if nobody may write beside it.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise ValueError(refusal) from error


def remove_temporaries(folder: StrPath) -> None:
    """Removes what killed processes have left in a folder.

    No other process must be writing to it: it must be locked.
    """
    for path in pathlib.Path(folder).iterdir():
        if is_temporary(path.name):
            _remove(path)


def os_error(message: str, path: StrPath) -> OSError:
    """Returns TensorFlow's error of a write as Python's, which names a path.

    The operating system's words end `message`, but for the name of TensorFlow's
    operation, which may follow them.

    Example:

    >>> from keras_t2i.files import os_error
    >>> os_error("a.tmp; No space left on device [Op:SaveV2]", "a")
    OSError(28, 'No space left on device')
    """
    reason = message.rpartition("; ")[2].partition(" [Op:")[0]
    codes = {os.strerror(code): code for code in errno.errorcode}
    return OSError(codes.get(reason, errno.EIO), reason, str(path))


@contextlib.contextmanager
def locked_folder(folder: StrPath, wait: bool = True) -> Iterator[None]:
    """Keeps other processes that lock the same folder out of this block.

    It waits for another process that has locked the folder. If `wait` is
    `False`, it raises `ValueError` instead.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(
                descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
            )
        except BlockingIOError:
            raise ValueError(
                "`out` must name a folder that no other process writes to. "
                f"Received: {str(folder)!r}, to which one does. Wait for it, "
                "or name another folder."
            ) from None
        except OSError:
            pass  # Some file systems, of networks for example, have no locks.
        yield
    finally:
        os.close(descriptor)


def file_sha256(path: StrPath) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: StrPath, files: Iterable[str]) -> None:
    """Writes `SHA256SUMS`, which `sha256sum -c SHA256SUMS` checks too.

    `files` are paths relative to the folder, with `/` between their parts.
    Raises `OSError` if a file cannot be read or written.
    """
    folder = pathlib.Path(folder)
    lines = [f"{file_sha256(folder / file)}  {file}\n" for file in files]
    with atomic_write(folder / CHECKSUMS_FILE) as temporary:
        temporary.write_text("".join(lines), "utf-8")


def check_checksums(folder: StrPath, needed: Iterable[str]) -> None:
    """Checks the files that `SHA256SUMS` lists, if there is one.

    It finds damage, not intent: who changes a file can change its checksum.
    Earlier versions of this library have written none. The list must name the
    `needed` files. Raises `ValueError` if a file is missing or damaged, or if
    the list is damaged. Raises `OSError` if a file cannot be read.
    """
    path = pathlib.Path(folder) / CHECKSUMS_FILE
    if not path.is_file():
        return
    lines = read_text(path).removesuffix("\n").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    digests = {match[2]: match[1] for match in matches if match}
    # A list that was cut would else vouch for files that it does not name.
    if len(digests) != len(matches) or not digests.keys() >= set(needed):
        raise ValueError(
            f"{path} must list checksums of files. Received: a damaged list. "
            "Make the folder again."
        )
    for name, digest in digests.items():
        file = path.parent / name
        received = file_sha256(file) if file.is_file() else "no such file"
        if received != digest:
            raise ValueError(
                f"{file} must have the SHA-256 that {CHECKSUMS_FILE} says, "
                f"{digest}. Received: {received}. It is damaged or was "
                "replaced: make the folder again."
            )
