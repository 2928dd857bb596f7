"""Whether numbers are numbers."""

import numpy as np


def check_finite(values, name):
    """Raises `ValueError` for rows that hold NaN or infinities."""
    bad_rows = np.count_nonzero(~np.isfinite(values).all(axis=1))
    if bad_rows:
        raise ValueError(
            f"`{name}` must hold finite numbers. Received: NaN or infinity in "
            f"{bad_rows} of {len(values)} rows. A network that has diverged "
            "gives such: take an earlier checkpoint."
        )
