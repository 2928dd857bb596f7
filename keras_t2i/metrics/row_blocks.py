"""Blocks of the rows of matrices that are too large for memory."""

# 64 MiB of float64.
_VALUES_AT_A_TIME = 2**23


def row_blocks(num_rows, num_columns):
    """Yields slices of the rows, of a bounded number of values each."""
    size = max(1, _VALUES_AT_A_TIME // num_columns)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))
