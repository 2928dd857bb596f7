"""A figure that a notebook shows."""

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A `Figure` that a notebook shows where it is the result of a cell.

    Other figures are shown only if pyplot has made them, which would also keep
    each of them in memory.
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
