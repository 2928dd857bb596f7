"""`keras-t2i embed`: captions -> embeddings."""

import argparse
import contextlib
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Iterator

from keras_t2i.captions import caption_damage
from keras_t2i.captions import check_captions
from keras_t2i.captions import is_empty_caption
from keras_t2i.cli.options import DEFAULT_MODEL
from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import caption
from keras_t2i.cli.options import checked_out
from keras_t2i.cli.options import file_of_captions
from keras_t2i.files import atomic_write
from keras_t2i.files import locked_folder
from keras_t2i.files import remove_temporaries
from keras_t2i.reading import MAX_TABLE_BYTES
from keras_t2i.reading import decode_text
from keras_t2i.reading import read_text
from keras_t2i.terminal import print_result
from keras_t2i.types import StrPath

# In an array of strings each has the size of the longest. This many characters
# take as much memory as an embedding of 1,024 numbers.
_MAX_ARRAY_CHARACTERS = 1024
_MAX_STDIN_BYTES = 2**28

_DESCRIPTION = """\
Embeds captions: those given as arguments, those of a text file or of stdin
(--captions), or all of a prepared data set (--data), once for all trainings on
it. Or imports embeddings of a data set that were computed elsewhere (--from),
in one of these layouts. Nothing in these files is executed.

  FILE.npz  one array per image id: numpy.savez(path, **{id: array, ...})
  FILE.npy  a structured array with the fields id and embeddings
  FILE.h5   or FILE.hdf5: an array per image id; or, as in flowers.hdf5, a group
            per caption, with its image as name, and embeddings
  DIR       .npy files named by image id; .t7 files of Reed et al. (2016), one
            per image or class; or StackGAN's filenames.pickle and
            char-CNN-RNN-embeddings.pickle, here or in the sub-folders train
            and test"""


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "embed",
        help="turn captions into embeddings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "caption",
        nargs="*",
        type=caption,
        metavar="CAPTION",
        help="text to embed; quote it",
    )
    parser.add_argument(
        "--captions",
        metavar="FILE",
        help="text file with one caption per line; - is stdin",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`, of which to embed all "
        "captions",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run folder of `train-text` or `train`, a .keras file, a .t7 file "
        "of an encoder published by Reed et al. (2016), or a name that "
        "`keras-t2i models` lists (default, unless --from is given: "
        f"{DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="embeddings of --data to import, see above, instead of "
        "--text-encoder",
    )
    parser.add_argument(
        "--layout",
        choices=("shards", "stackgan"),
        default="shards",
        help="with --data, what to write: shards to train on with `train`, or "
        "the pickles that StackGAN and similar projects read (default: shards)",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="with --data: folder to make. Without: a .npy file, float32 with "
        "one row per caption, or a .npz file with the arrays captions (of at "
        f"most {_MAX_ARRAY_CHARACTERS} characters) and embeddings (default: a "
        ".npy file named after the first caption, in the current folder)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    sources = {
        f"{len(arguments.caption)} captions": arguments.caption,
        "--captions": arguments.captions,
        "--data": arguments.data,
    }
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        raise ValueError(
            "embed takes one of captions, --captions FILE and --data DIR. "
            f"Received: {' and '.join(given) or 'none'}."
        )
    if arguments.source is None:
        arguments.text_encoder = arguments.text_encoder or DEFAULT_MODEL
    elif arguments.text_encoder is not None:
        raise ValueError(
            "embed takes one of --text-encoder and --from. Received: both."
        )
    if arguments.data is not None:
        if arguments.out is None:
            raise ValueError(
                "embed --data needs --out, the folder to make. Received: none."
            )
        _embed_data_set(arguments)
        return
    if arguments.source is not None or arguments.layout != "shards":
        raise ValueError(
            "--from and --layout are for a data set. Received: no --data."
        )
    _embed_captions(arguments)


def _embed_data_set(arguments: argparse.Namespace) -> None:
    from keras_t2i.text.embeddings import check_no_stackgan_files
    from keras_t2i.text.embeddings import write_stackgan_pickles

    out = pathlib.Path(arguments.out)
    with _locked_out(out):
        if arguments.layout == "shards":
            _write_shards(arguments, out)
        else:
            check_no_stackgan_files(out)
            # On the disk of the result, since they may be large.
            with tempfile.TemporaryDirectory(dir=out, prefix=".tmp-") as shards:
                _write_shards(arguments, shards)
                write_stackgan_pickles(arguments.data, shards, out)
    print_result(f"embeddings: {arguments.out}")


@contextlib.contextmanager
def _locked_out(out: pathlib.Path) -> Iterator[None]:
    """Makes a folder that only this process writes to, unless there is one."""
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(out, wait=False):
            remove_temporaries(out)
            yield
    except BaseException:
        if is_new:
            # Only if nothing has been written.
            with contextlib.suppress(OSError):
                out.rmdir()
        raise


def _write_shards(arguments: argparse.Namespace, out: StrPath) -> None:
    from keras_t2i.progress import show_progress
    from keras_t2i.text.embeddings import extract_embeddings
    from keras_t2i.text.embeddings import import_embeddings
    from keras_t2i.training.model_files import load_text_encoder
    from keras_t2i.training.precomputed import report_unread
    from keras_t2i.training.precomputed import report_unused

    if arguments.source is not None:
        with show_progress("Importing", "images") as progress:
            num_more = import_embeddings(
                arguments.source, arguments.data, out, progress
            )
        report_unused(num_more)
        return
    encoder = load_text_encoder(arguments.text_encoder)
    with show_progress("Embedding", "images") as progress:
        unread = extract_embeddings(encoder, arguments.data, out, progress)
    report_unread(encoder, unread)


def _embed_captions(arguments: argparse.Namespace) -> None:
    import numpy as np

    from keras_t2i.text.embeddings import embed_texts
    from keras_t2i.tokenizers import unread_by
    from keras_t2i.training.model_files import load_text_encoder
    from keras_t2i.training.precomputed import report_unread

    captions = arguments.caption or _read_lines(arguments.captions)
    out = checked_out(
        arguments.out or file_of_captions(captions[:1], ".npy"), ".npy", ".npz"
    )
    is_npz = out.suffix.lower() == ".npz"
    check_captions(captions)
    if is_npz:
        _check_fits_array(captions)
    encoder = load_text_encoder(arguments.text_encoder)
    with warnings.catch_warnings():
        # The report says it too.
        warnings.simplefilter("ignore")
        embeddings = embed_texts(encoder, captions)
    report_unread(encoder, unread_by(encoder, captions))
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        with open(temporary, "wb") as file:
            if is_npz:
                np.savez(
                    file, captions=np.array(captions), embeddings=embeddings
                )
            else:
                np.save(file, embeddings)
    print_result(f"embeddings: {out}")


def _check_fits_array(captions: list[str]) -> None:
    for number, text in enumerate(captions, start=1):
        if len(text) > _MAX_ARRAY_CHARACTERS or text.endswith("\0"):
            # An array of strings would lose a NUL at the end.
            raise ValueError(
                "A .npz file holds captions of at most "
                f"{_MAX_ARRAY_CHARACTERS} characters that do not end with NUL. "
                f"Received: {len(text)} characters, the last {text[-1]!r}, in "
                f"caption (line) {number}. Name a .npy file as --out: its rows "
                "are in the order of the captions."
            )


def _read_lines(path: str) -> list[str]:
    # Bytes that are not UTF-8 are replaced, as in arguments.
    if path == "-":
        path = "stdin"
        content = sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1)
        if len(content) > _MAX_STDIN_BYTES:
            raise ValueError(
                f"--captions must be at most {_MAX_STDIN_BYTES:,} bytes on "
                "stdin. Received: more. Name a file."
            )
        text = decode_text(content, path, "replace")
    else:
        text = read_text(path, MAX_TABLE_BYTES, "replace")
    # Not splitlines, which also splits at characters such as U+2028.
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        damage = caption_damage(line)
        if damage is not None:
            raise ValueError(
                f"--captions must hold a caption in each line. Received: line "
                f"{number} of {path}, which {damage}."
            )
        if is_empty_caption(line):
            raise ValueError(
                "--captions must hold a caption in each line, so that row and "
                f"line are the same. Received: {line!r} in line {number} of "
                f"{path}."
            )
    return lines
