"""How far a long command is, on stderr."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from typing import Protocol

import rich.console
import rich.progress
import rich.table
import rich.text

from keras_t2i.terminal import is_quiet
from keras_t2i.terminal import print_note
from keras_t2i.terminal import visible

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_CHANGES = 0.5
# Of a line with a description, two numbers of five digits, rate and time left.
_WIDTH_WITHOUT_BAR = 72


class OnProgress(Protocol):
    """What `show_progress` gives."""

    def __call__(self, done: float, total: float, detail: str = "") -> None:
        """Tells how much is done, and what else is to be shown beside it."""


@contextlib.contextmanager
def show_progress(description: str, unit: str) -> Iterator[OnProgress]:
    """Shows how far long work is, how fast it goes and the time left.

    A terminal shows a bar, a notebook a line that changes. Elsewhere it is a
    line every ten seconds, and one at the end. Where it is quiet there is none.

    `description` is the work, such as `"Preparing"`, and `unit` what is
    counted, such as `"images"`. The block gets a function `(done, total,
    detail="")`, to be called as often as you like.

    Example:

    >>> from keras_t2i.progress import show_progress
    >>> with show_progress("Rendering", "images") as on_progress:
    ...     for number in range(3):
    ...         on_progress(number + 1, 3)
    """
    if is_quiet():
        yield lambda done, total, detail="": None
        return
    console = rich.console.Console(stderr=True)
    if console.is_jupyter:
        yield _NotebookLine(description, unit, _SECONDS_BETWEEN_CHANGES)
        return
    if not console.is_terminal:
        yield _Lines(description, unit, _SECONDS_BETWEEN_LINES)
        return
    bar_width = max(8, min(40, console.width - _WIDTH_WITHOUT_BAR))
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width),
        rich.progress.TextColumn(
            "{task.completed:,.0f} of {task.total:,.0f} " + unit
        ),
        _RateColumn(unit),
        rich.progress.TimeRemainingColumn(table_column=_one_line()),
        # Where it is narrow, the detail gives way to all else.
        rich.progress.TextColumn(
            "{task.fields[detail]}",
            markup=False,
            table_column=_one_line(ratio=1, overflow="ellipsis"),
        ),
    )
    with rich.progress.Progress(*columns, console=console, expand=True) as bar:
        task = None

        def on_progress(done: float, total: float, detail: str = "") -> None:
            nonlocal task
            if task is None:
                # What an earlier run did must not count in the rate.
                task = bar.add_task(
                    description, completed=int(done), total=total, detail=""
                )
            bar.update(task, completed=done, total=total, detail=detail)

        yield on_progress


def _one_line(**options: Any) -> rich.table.Column:
    return rich.table.Column(no_wrap=True, **options)


class _RateColumn(rich.progress.ProgressColumn):
    def __init__(self, unit: str):
        super().__init__(_one_line())
        self._unit = unit

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return rich.text.Text()
        return rich.text.Text(f"{speed:,.1f} {self._unit}/s")


class _Lines:
    def __init__(self, description: str, unit: str, seconds_between: float):
        self._description = description
        self._unit = unit
        self._seconds_between = seconds_between
        # When the first call came, and what was done by then.
        self._start: tuple[float, float] | None = None
        self._printed_at = 0.0
        self._is_finished = False

    def __call__(self, done: float, total: float, detail: str = "") -> None:
        if self._is_finished:
            return
        now = time.monotonic()
        if self._start is None:
            self._start = now, done
            self._printed_at = now
        self._is_finished = done >= total
        if not self._is_finished:
            if now - self._printed_at < self._seconds_between:
                return
        self._printed_at = now
        start, already_done = self._start
        rate = (done - already_done) / max(now - start, 1e-9)
        line = f"{self._description}: {done:,.0f} of {total:,.0f} {self._unit}"
        if rate > 0:
            line += f", {rate:,.1f} {self._unit}/s"
        if rate > 0 and done < total:
            line += f", {(total - done) / rate:,.0f} s left"
        self.show(f"{line}, {detail}" if detail else line)

    def show(self, line: str) -> None:
        print_note(line)


class _NotebookLine(_Lines):
    """Replaces its line: a bar of rich would need widgets in a notebook."""

    _display: Any = None

    def show(self, line: str) -> None:
        from IPython.display import Pretty
        from IPython.display import display

        if self._display is None:
            self._display = display(Pretty(visible(line)), display_id=True)
        else:
            self._display.update(Pretty(visible(line)))
