"""A stand-in for a disk that is full."""

import contextlib
import resource
import signal


@contextlib.contextmanager
def small_files(size):
    """The file system refuses what is larger than so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Writing fails, as on a full disk, and does not kill the process.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
