import os
import re
import signal
import subprocess
import sys

import pytest

from keras_t2i.cli.main import main
from keras_t2i.version import __version__

_DURATION = ["--epochs N", "--steps N", "--minutes M"]
_OPTIONS = {
    "demo": ["--minutes M", "--out DIR"],
    "train-text": [
        *_DURATION,
        "--data DIR",
        "--out RUN",
        "--preset NAME",
        "--batch-size N",
        "--image-encoder NAME_OR_PATH",
        "--image-weights FILE",
        "--freeze-images",
        "--seed S",
        "--tensorboard",
        "--resume",
    ],
    "evaluate": [
        "--model MODEL",
        "--images DIR",
        "--data DIR",
        "--split NAME",
        "--truncation FACTOR",
        "--images-per-caption K",
        "--features NAME|FILE",
        "--text-encoder RUN_OR_FILE",
        "--out FILE.json",
    ],
    "evaluate-text": [
        "--data DIR",
        "--text-encoder RUN_OR_FILE",
        "--image-features PATH",
        "--split NAME",
    ],
    "embed": [
        "--captions FILE",
        "--data DIR",
        "--text-encoder RUN_OR_FILE",
        "--from PATH",
        "--layout {shards,stackgan}",
        "--out PATH",
    ],
    "train": [
        *_DURATION,
        "--data DIR",
        "--text-encoder RUN_OR_FILE",
        "--text-embeddings PATH",
        "--out RUN",
        "--preset NAME",
        "--width N",
        "--from MODEL",
        "--batch-size N",
        "--end-to-end",
        "--strategy {none,mirrored,multi_worker}",
        "--precision {float32,mixed_bfloat16,mixed_float16}",
        "--keep-best MEASURE",
        "--seed S",
        "--tensorboard",
        "--resume",
        "--dry-run",
    ],
    "train-style": [
        "--model MODEL",
        "--data DIR",
        "--out RUN",
        "--steps N",
        "--minutes M",
        "--tensorboard",
        "--resume",
    ],
    "interpolate": [
        "--model MODEL",
        "--out FILE",
        "--steps N",
        "--seed S",
        "--truncation FACTOR",
        "--seed-to T",
    ],
    "transfer": [
        "--style FILE",
        "--model MODEL",
        "--style-encoder STYLE_ENCODER",
        "--out FILE.png",
    ],
    "play": [
        "--model MODEL",
        "--server URL",
        "--style-encoder STYLE_ENCODER",
        "--truncation FACTOR",
        "--host HOST",
        "--port N",
    ],
    "export": [
        "--model MODEL",
        "--style-encoder STYLE_ENCODER",
        "--out DIR/NAME",
        "--version N",
        "--truncation FACTOR",
        "--half-precision",
        "--max-style-pixels N",
    ],
    "serve": ["--models DIR", "--port N", "--print"],
    "generate": [
        *("--embeddings FILE", "--model MODEL", "--out PATH", "--num N"),
        "--truncation FACTOR",
        "--seed S",
    ],
}


def _help(capsys, *command):
    with pytest.raises(SystemExit) as error:
        main([*command, "--help"])
    assert error.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_help_names_every_command(capsys):
    text = _help(capsys)
    for command in ("prepare", *_OPTIONS):
        assert re.search(rf"^ +{command}\s+\w+", text, re.MULTILINE), command


@pytest.mark.parametrize("command", _OPTIONS)
def test_help_explains_every_option(capsys, command):
    text = _help(capsys, command)
    listing = text.partition("\noptions:\n")[2]
    starts = list(re.finditer(r"^  (--?\w.*?)(?=  |\n|$)", listing, re.M))
    explanations = {
        start[1]: listing[start.end() : following]
        for start, following in zip(
            starts, [s.start() for s in starts[1:]] + [None]
        )
    }
    assert set(explanations) == {
        *("-h, --help", "--quiet"),
        *_OPTIONS[command],
    }
    for option, explanation in explanations.items():
        assert len(explanation.split()) > 3, option


@pytest.mark.parametrize(
    ("command", "presets"),
    [
        ("train", ["gan", "gan_cls", "gan_int", "gan_int_cls"]),
        ("train-text", ["char_cnn_rnn", "char_cnn_rnn_small"]),
    ],
)
def test_help_lists_the_presets(capsys, command, presets):
    text = _help(capsys, command)
    for preset in presets:
        assert re.search(rf"^  {preset} +\w+", text, re.MULTILINE), preset


def test_version(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert capsys.readouterr().out == f"keras-t2i {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["interpolate"], "required: CAPTION"),
        (["train", "--out", "x", "--steps", "-4"], "--steps.*Received: '-4'"),
        (["train", "--out", "x", "--steps", "1e3"], "--steps.*Received: '1e3'"),
        (["train", "--out", "x", "--epochs", "0"], "--epochs.*Received: '0'"),
        (["train", "--out", "x", "--minutes", "0"], "--minutes.*Received: '0'"),
        (
            ["train", "--out", "x", "--minutes", "nan"],
            "--minutes.*Received: 'nan'",
        ),
        (["train", "--out", "x", "--width", "0"], "--width.*Received: '0'"),
        (["train", "--out", "x", "--batch-size", "1"], "at least 2.*'1'"),
        (["train", "--out", "x", "--seed", "-1"], "--seed.*Received: '-1'"),
        (["train", "--out", "x", "--precision", "half"], "invalid choice"),
        (["train", "--out", "x", "--strategy", "two"], "invalid choice"),
        (
            ["train", "--out", "x", "--keep-best", "r_precision"],
            "'r_precision' .choose from .*kernel_distance.*coverage",
        ),
        (
            ["train", "--out", "x", "--steps", "3", "--epochs", "2"],
            "not allowed with",
        ),
        (["train-text", "--out", "x", "--steps", "-4"], "--steps.*'-4'"),
        (
            ["generate", "a", "--model", "m", "--out", "o", "--num", "0"],
            "--num.*at least 1. Received: '0'",
        ),
        (
            ["generate", "a", "--model", "m", "--out", "o", "--seed", "-1"],
            "--seed.*at least 0. Received: '-1'",
        ),
        (["demo", "--minutes", "-1"], "--minutes.*Received: '-1'"),
    ],
)
def test_usage_that_the_parser_refuses(
    capsys, tmp_path, monkeypatch, argv, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(argv)
    assert error.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("keras-t2i")
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == []


def test_module_in_a_process_of_its_own():
    # Without the log level that this process has set.
    environment = {
        name: value for name, value in os.environ.items() if "TF_" not in name
    }
    result = subprocess.run(
        [sys.executable, "-m", "keras_t2i", "--help"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("usage: keras-t2i")
    assert result.stderr == ""


# === What a terminal gets ===

_FAKE = "nowhere\nkeras-t2i: all is well\x1b[2J\x9b2J\u202e"


def test_a_name_can_not_fake_a_line_or_command_the_terminal(error_of):
    for argv in (
        ["serve", "--models", _FAKE, "--print"],
        ["embed", "--captions", _FAKE, "--out", "x.npy", "--text-encoder", "y"],
    ):
        line = error_of(*argv)
        assert "nowhere" in line and line.isprintable()


def test_nor_can_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--models", "x", _FAKE])
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere\\nkeras-t2i" in line and line.isprintable()


def test_quiet(capsys, tmp_path):
    argv = ["prepare", "blooms", "--num-images", "20", "--image-size", "32"]
    assert main([*argv, "--quiet", "--out", str(tmp_path / "data")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.endswith(f"prepared data set: {tmp_path}/data\n")
    # The next command is not.
    assert main([*argv, "--out", str(tmp_path / "more")]) == 0
    assert "Preparing: 20 of 20 images" in capsys.readouterr().err


# === Ctrl-C while modules are imported ===

# Modules in C, such as NumPy's, make another error of it.
_INTERRUPTED = """
import os
import signal

try:
    os.kill(os.getpid(), signal.{signal})
    while True:
        pass
except KeyboardInterrupt:
    if {becomes_another_error}:
        raise ImportError("numpy failed to import") from None
    raise
"""


@pytest.mark.parametrize(
    ("module", "signal_name", "becomes_another_error", "status", "line"),
    [
        ("argparse", "SIGINT", False, 130, "interrupted"),
        ("numpy", "SIGINT", False, 130, "interrupted"),
        ("numpy", "SIGINT", True, 130, "interrupted"),
        ("numpy", "SIGTERM", True, 143, "terminated"),
    ],
)
def test_interrupted_import(
    tmp_path, module, signal_name, becomes_another_error, status, line
):
    (tmp_path / f"{module}.py").write_text(
        _INTERRUPTED.format(
            signal=signal_name, becomes_another_error=becomes_another_error
        )
    )
    argv = ["evaluate", "--data", "x", "--model", "y"]
    result = subprocess.run(
        [sys.executable, "-m", "keras_t2i", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}"},
    )
    assert result.returncode == status
    assert (result.stdout, result.stderr) == ("", f"keras-t2i: {line}\n")


def test_signals_are_handled_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    assert main(["serve", "--models", "nowhere", "--print"]) == 2
    assert signal.getsignal(signal.SIGTERM) == before


# === Streams that are closed or full ===


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_listens(
    tmp_path, model_folders, where, unbuffered, monkeypatch
):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for folder, status in (tmp_path / "none", 2), (model_folders, 0):
        command = f"{sys.executable} -m keras_t2i serve --print"
        result = subprocess.run(
            ["sh", "-c", f"{command} --models {folder} {where}"],
            capture_output=True,
            text=True,
        )
        assert result.returncode == status
        assert result.stderr == ""
        assert "keras-t2i:" not in result.stdout


def test_a_closed_stream_is_not_the_next_file_that_is_opened(tmp_path):
    code = f"""
from keras_t2i.cli.main import main
main(["serve", "--models", "nowhere"])
print(open({str(tmp_path / "file")!r}, "w").fileno() > 2)
"""
    result = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code],
        capture_output=True,
    )
    assert result.stdout == b"True\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["prepare", "blooms"],
        ["train", "--data", "data"],
        ["generate", "a rose", "--model", "run"],
        ["export", "--model", "run"],
        ["embed", "a rose"],
    ],
)
def test_out_without_a_name(argv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main([*argv, "--out", ""])
    assert error.value.code == 2
    line = capsys.readouterr().err
    assert "--out must not be empty. Received: ''" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "argv",
    [
        ["generate", "a rose", "--model", ""],
        ["train", "--out", "run", "--data", ""],
        ["export", "--style-encoder", ""],
        ["prepare", "folder", "--out", "data", "--source", ""],
        ["prepare", "folder", "--out", "data", "--source", "a", ""],
        ["transfer", "a rose", "--style", ""],
        ["train", "--out", "run", "--from", ""],
        ["embed", "--from", ""],
        ["play", "--server", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(argv, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    line = capsys.readouterr().err
    option = [name for name in argv if name.startswith("--")][-1]
    assert f"{option} must not be empty. Received: ''" in line


def test_errors_name_the_options_of_all_commands(error_of, data, tmp_path):
    options = ["--data", data, "--split", "nope", "--model", "x"]
    assert "--split must be one of" in error_of("evaluate", *options)
    options = ["--num-images", 5, "--out", tmp_path / "b"]
    error = error_of("prepare", "blooms", *options)
    assert "--num-images must be a whole number of at least 10" in error


def test_an_out_of_another_kind_is_named_at_once(error_of, data, tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder.png"
    file.write_text("mine")
    folder.mkdir()
    for argv, message in (
        (["generate", "a rose", "--out", folder], ".png file or a folder"),
        (["prepare", "blooms", "--out", file], "which is a file"),
        (["train", "--data", data, "--out", file], "which is a file"),
        (
            ["interpolate", "a", "b", "--out", file / "a.png"],
            "in a folder that can be written",
        ),
    ):
        assert message in error_of(*argv)
    assert file.read_text() == "mine"


_SLOW_END = """
import signal, time
from keras_t2i.cli import main as command_line
from keras_t2i import __main__

def interrupted():
    print("begun", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
    return 130

command_line.main = interrupted
status = __main__.main()
print("ended", status, flush=True)
time.sleep(60)
"""


def test_one_more_interruption_at_the_end_shows_no_traceback():
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_END],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ended 130\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors == ""
    assert process.returncode == -signal.SIGINT


def test_an_option_of_another_command(capsys):
    with pytest.raises(SystemExit):
        main(["train-style", "--out", "run", "--epochs", "2"])
    assert capsys.readouterr().err == (
        "keras-t2i train-style: unrecognized arguments: --epochs 2. See "
        "keras-t2i train-style --help.\n"
    )
