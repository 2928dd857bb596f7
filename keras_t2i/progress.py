"""How far a long command is, on stderr."""

import contextlib
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator

import rich.console
import rich.progress
import rich.text

_SECONDS_BETWEEN_LINES = 10.0
# A rate of seconds a second would say nothing.
_NO_RATE_UNIT = "seconds"


@contextlib.contextmanager
def show_progress(
    description: str, unit: str
) -> Iterator[Callable[[float, float], None]]:
    """Shows how far long work is, how fast it goes and the time left.

    On a terminal that is a bar; elsewhere it is a line every ten seconds, and
    one at the end.

    Args:
        description: string. What goes on, such as `"Preparing"`.
        unit: string. What is counted, such as `"images"`; with `"seconds"` no
            rate is shown.

    Returns:
        Context manager of a function `(done, total)`, both in `unit`. Call it
        as often as you like.

    Example:

    >>> from keras_t2i.progress import show_progress
    >>> with show_progress("Drawing", "images") as on_progress:
    ...     for number in range(3):
    ...         on_progress(number + 1, 3)
    """
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(description, unit)
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn(
            "{task.completed:,.0f} of {task.total:,.0f} " + unit
        ),
        _RateColumn(unit),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bar:
        yield _Bar(bar, description)


class _RateColumn(rich.progress.ProgressColumn):
    def __init__(self, unit):
        super().__init__()
        self._unit = unit

    def render(self, task):
        speed = task.finished_speed or task.speed
        if speed is None or self._unit == _NO_RATE_UNIT:
            return rich.text.Text()
        return rich.text.Text(_format_rate(speed, self._unit))


class _Bar:
    def __init__(self, bar, description):
        self._bar = bar
        self._description = description
        self._task = None

    def __call__(self, done, total):
        if self._task is None:
            # What an earlier run did must not count in the rate.
            self._task = self._bar.add_task(
                self._description, completed=done, total=total
            )
        self._bar.update(self._task, completed=done, total=total)


class _Lines:
    def __init__(self, description, unit):
        self._description = description
        self._unit = unit
        self._start = None
        self._printed_at = None
        self._is_finished = False

    def __call__(self, done, total):
        if self._is_finished:
            return
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done)
            self._printed_at = now
        self._is_finished = done >= total
        is_due = now - self._printed_at >= _SECONDS_BETWEEN_LINES
        if self._is_finished or is_due:
            self._printed_at = now
            self._print(now, done, total)

    def _print(self, now, done, total):
        start, already_done = self._start
        seconds = max(now - start, 1e-9)
        rate = (done - already_done) / seconds
        words = [f"{done:,.0f} of {total:,.0f} {self._unit}"]
        if self._unit != _NO_RATE_UNIT:
            words.append(_format_rate(rate, self._unit))
        if rate > 0 and done < total:
            words.append(f"{(total - done) / rate:,.0f} s left")
        print(f"{self._description}: {', '.join(words)}", file=sys.stderr)


def _format_rate(rate, unit):
    return f"{rate:,.1f} {unit}/s"
