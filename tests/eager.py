"""Training without graphs: tracing one takes longer than a few steps."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Runs what is a `tf.function` step by step.

    For tests of what surrounds a step, and of at most three steps. The streams
    of `tf.data` stay graphs.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
