"""Files that are either whole or not there."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


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
    temporary = path.with_name(".tmp-" + path.name)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # A full disk shows in `write`, which does not know the file's name.
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
