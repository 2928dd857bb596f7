import subprocess
import sys

import pytest

from keras_t2i import terminal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a rose, 漂亮, \N{ROSE}", "a rose, 漂亮, \N{ROSE}"),
        ("a\nb\r\t", r"a\nb\r\t"),
        ("\x1b[2J\x9b2J\x07", r"\x1b[2J\x9b2J\x07"),
        # What turns the rest of a line round, and bytes that are not UTF-8.
        ("\u202egpj.a \udcff", r"\u202egpj.a \udcff"),
    ],
)
def test_visible(text, expected, capsys):
    assert terminal.visible(text) == expected
    terminal.print_result(text, "more")
    terminal.print_error(text)
    assert capsys.readouterr() == (f"{expected}\nmore\n", f"{expected}\n")


def test_quiet(capsys):
    with terminal.quiet():
        assert terminal.is_quiet()
        terminal.print_note("a note")
        terminal.print_error("an error")
        terminal.print_result("a result")
    assert not terminal.is_quiet()
    terminal.print_note("another note")
    out, err = capsys.readouterr()
    assert (out, err) == ("a result\n", "an error\nanother note\n")


def test_results_that_nobody_reads_any_more():
    program = (
        "from keras_t2i.terminal import print_result\n"
        "for number in range(100_000): print_result(str(number))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_errors_that_nobody_can_read(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    terminal.print_error("an error")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        terminal.print_error("an error")
        monkeypatch.undo()
        # What is left in the buffer can be written nowhere.
        full.buffer.raw.close()
    assert capsys.readouterr().out == ""
