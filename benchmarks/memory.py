"""Peak memory of preparing many images and of training on them.

python benchmarks/memory.py --num-images 100000 --image-size 32 --width 64

Each command runs in its own process, as a user would run it. The number is the
most memory that it and its child processes held at one time.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-images", type=int, default=100_000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--folder", help="where to work (default: temporary)")
    arguments = parser.parse_args()
    print("| command | peak memory, GiB | seconds |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for argv in _commands(arguments, pathlib.Path(folder)):
            peak, seconds = _run([str(part) for part in argv])
            print(
                f"| {argv[0]} | {peak / 2**30:.2f} | {seconds:.0f} |",
                flush=True,
            )


def _commands(arguments, folder):
    data, text = folder / "data", folder / "text"
    steps = ["--steps", arguments.steps]
    return [
        [
            *["prepare", "blooms", "--out", data],
            *["--num-images", arguments.num_images],
            *["--image-size", arguments.image_size],
        ],
        [
            *["train-text", "--data", data, "--out", text, *steps],
            *["--preset", "char_cnn_rnn_small"],
        ],
        ["embed", "--data", data, "--text-encoder", text]
        + ["--out", text / "embeddings"],
        [
            *["train", "--data", data, "--text-encoder", text, *steps],
            *["--out", folder / "gan", "--width", arguments.width],
            *["--batch-size", 64],
        ],
    ]


def _run(argv):
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_t2i.cli.main", *argv],
        stdout=subprocess.DEVNULL,
    )
    return peak_until_end(process), time.monotonic() - start


def peak_until_end(process):
    """Waits for a process, which must succeed; returns the bytes it held."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, held_bytes(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    return peak


def held_bytes(pid):
    """Returns the bytes a process and those it started hold (Linux only).

    Pages that several of them share count in parts, files that are read not.
    """
    held = 0
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            held = 1024 * int(line.split()[1])
    return held + sum(held_bytes(int(child)) for child in children.split())


if __name__ == "__main__":
    main()
