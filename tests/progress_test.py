import contextlib
import io
import re
import time

from keras_t2i import progress
from keras_t2i.progress import show_progress
from keras_t2i.terminal import quiet


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@contextlib.contextmanager
def _on_terminal(monkeypatch, columns=100):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with contextlib.redirect_stderr(_Terminal()) as terminal:
        yield terminal


def _last_line(terminal):
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    return [line for line in re.split(r"[\r\n]", text) if line.strip()][-1]


def test_no_terminal_gets_one_line_at_the_end(capsys):
    with show_progress("Rendering", "images") as on_progress:
        for done in (0, 1, 2, 3, 3):
            on_progress(done, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"Rendering: 3 of 3 images, [\d,.]+ images/s\n", err)


def test_no_terminal_gets_lines_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.05)
    with show_progress("Rendering", "images") as on_progress:
        on_progress(1000, 3000)
        time.sleep(0.1)
        on_progress(1100, 3000)
        on_progress(1101, 3000)
    (line,) = capsys.readouterr().err.splitlines()
    match = re.fullmatch(
        r"Rendering: 1,100 of 3,000 images, ([\d,.]+) images/s, (\d+) s left",
        line,
    )
    # The first 1000 were done by an earlier run: 100 came in 0.1 s or more.
    assert 0 < float(match[1].replace(",", "")) <= 1000
    assert 1 < int(match[2]) < 100


def test_details_come_last(capsys, monkeypatch):
    with show_progress("Training", "steps") as on_progress:
        on_progress(1, 2, "loss 3")
        on_progress(2, 2, "loss 2")
    assert capsys.readouterr().err.endswith("steps/s, loss 2\n")
    with (
        _on_terminal(monkeypatch) as terminal,
        show_progress("Training", "steps") as on_progress,
    ):
        on_progress(1, 2)
        on_progress(2, 2, "loss [2]")
    assert _last_line(terminal).rstrip().endswith("loss [2]")


def test_details_give_way_where_it_is_narrow(monkeypatch):
    with (
        _on_terminal(monkeypatch, columns=80) as terminal,
        show_progress("Training", "steps") as on_progress,
    ):
        for done in range(11_000, 11_951):
            on_progress(done, 11_950, "loss 2, " * 20)
            time.sleep(0.0002)
    line = _last_line(terminal)
    assert re.match(
        r"Training ━{8} 11,950 of 11,950 steps [\d,.]+ steps/s 0:00:00 loss",
        line,
    )
    assert line.rstrip().endswith("…")
    assert len(line) <= 80


def test_no_rate_of_work_that_was_done_before(capsys):
    with show_progress("Training", "steps") as on_progress:
        on_progress(4, 4)
    assert capsys.readouterr().err == "Training: 4 of 4 steps\n"


def test_quiet(capsys):
    with quiet(), show_progress("Training", "steps") as on_progress:
        on_progress(2, 2, "loss 2")
    assert capsys.readouterr().err == ""


def test_terminal_gets_a_bar(monkeypatch):
    with (
        _on_terminal(monkeypatch) as terminal,
        show_progress("Rendering", "images") as on_progress,
    ):
        for done in range(1001):
            on_progress(done, 1000)
            time.sleep(0.0002)
    line = _last_line(terminal)
    assert re.match(
        r"Rendering ━+ 1,000 of 1,000 images [\d,.]+ images/s ", line
    )
    assert "0:00:00" in line


def test_bar_without_any_call(monkeypatch):
    with (
        _on_terminal(monkeypatch) as terminal,
        show_progress("Rendering", "images"),
    ):
        pass
    assert "Rendering" not in terminal.getvalue()
