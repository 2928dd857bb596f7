"""Options that several commands share, and the kinds of values they take."""

import argparse
import os


def whole_number(at_least):
    """Returns an argparse type: a whole number of at least `at_least`."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < at_least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {at_least}. Received: "
                f"{text!r}"
            )
        return value

    return parse


def caption(text):
    """An argparse type: text, with U+FFFD for bytes that are not UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def positive_number(text):
    """An argparse type: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"expected a number above 0. Received: {text!r}"
        )
    return value


def add_seed(parser, what):
    """Adds `--seed`."""
    parser.add_argument(
        "--seed",
        type=whole_number(at_least=0),
        metavar="S",
        help=f"{what} (default: 0)",
    )


def add_duration(parser, default_minutes=None):
    """Adds `--steps`, `--minutes` and, unless that has a default, `--epochs`.

    One of them may be given.
    """
    group = parser.add_mutually_exclusive_group()
    minutes = "how long to train, in total, the time before --resume included"
    if default_minutes is None:
        group.add_argument(
            "--epochs",
            type=whole_number(at_least=1),
            metavar="N",
            help="how often to go through the data, in total (default: as the "
            "preset says)",
        )
    else:
        minutes += f" (default: {default_minutes:g})"
    group.add_argument(
        "--steps",
        type=whole_number(at_least=1),
        metavar="N",
        help="how many batches to train on, in total",
    )
    group.add_argument(
        "--minutes",
        type=positive_number,
        metavar="M",
        help=minutes,
    )
