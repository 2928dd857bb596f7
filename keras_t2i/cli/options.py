"""Options that several commands share, and what they stand for."""

import argparse
import contextlib
import os
import pathlib
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

from keras_t2i.captions import file_name
from keras_t2i.errors import TrainingError
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.base_recipe import AnyRecipe
from keras_t2i.terminal import print_note
from keras_t2i.types import StrPath

if TYPE_CHECKING:
    from keras_t2i.export.client import Client
    from keras_t2i.models.text_to_image_gan import TextToImageGAN

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"
# The GAN of commands that are given none. It comes with the library.
DEFAULT_MODEL = "gan_int_cls_plus_flowers"


def whole_number(at_least: int) -> Callable[[str], int]:
    """Returns an argparse type: a whole number of at least `at_least`."""

    return _number(
        int, f"a whole number of at least {at_least}", lambda x: x >= at_least
    )


def _number(
    kind: type, expected: str, is_right: Callable[[Any], bool]
) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not is_right(value):
            raise argparse.ArgumentTypeError(
                f"expected {expected}. Received: {text!r}"
            )
        return value

    return convert


# Argparse types.
positive_number = _number(
    float, "a number above 0", lambda x: 0 < x < float("inf")
)
share = _number(float, "a number from 0 to 1", lambda x: 0 <= x <= 1)


def caption(text: str) -> str:
    """An argparse type: text, with U+FFFD for bytes that are not UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def checked_out(path: StrPath, *suffixes: str) -> pathlib.Path:
    """Returns `--out`, which must name a file of one of some kinds."""
    out = pathlib.Path(path)
    if out.suffix.lower() not in suffixes or out.is_dir():
        raise ValueError(
            f"--out must name a {' or '.join(suffixes)} file. Received: "
            f"{str(path)!r}."
        )
    check_writable(out.absolute().parent, path)
    return out


def check_writable(folder: pathlib.Path, path: StrPath) -> None:
    """Raises `ValueError` if `--out` cannot be written in a folder.

    It is written after long work. The folder need not be there yet.
    """
    folder = next(p for p in (folder, *folder.parents) if p.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            "--out must lie in a folder that can be written. Received: "
            f"{str(path)!r}, of {str(folder)!r}."
        )


def note_single_words(captions: Sequence[str]) -> None:
    """Says so if captions look like one that was not quoted."""
    if len(captions) > 1 and not any(len(c.split()) > 1 for c in captions):
        print_note(
            f"{len(captions)} captions: {', '.join(captions)}. Put one of "
            "several words in quotation marks"
        )


def add_captions(
    parser: argparse.ArgumentParser, what: str, nargs: str = "+"
) -> None:
    """Adds the positional arguments `captions`, at least one by default."""
    parser.add_argument(
        "captions", nargs=nargs, type=caption, metavar="CAPTION", help=what
    )


def add_data(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Adds `--data`."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        required=required,
        help="prepared data set, made by `prepare`",
    )


def add_model(
    parser: argparse.ArgumentParser,
    default: str | None = DEFAULT_MODEL,
    may_be_served: bool = False,
) -> None:
    """Adds `--model`, a GAN, for `load_gan` or `load_generating_model`."""
    more = ""
    if may_be_served:
        more = (
            ", the folder of an exported model, the address of a served one, "
            "http://HOST:8501/v1/models/NAME (or grpc://HOST:8500/...)"
        )
    parser.add_argument(
        "--model",
        default=default,
        metavar="MODEL",
        help=f"run folder of `train`, a .keras file{more}, or a name that "
        "`keras-t2i models` lists"
        + (f" (default: {default})" if default is not None else ""),
    )


def add_style_encoder(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds `--style-encoder`."""
    parser.add_argument(
        "--style-encoder",
        metavar="STYLE_ENCODER",
        help="run folder of `train-style` on this model, a .keras file, or a "
        "name that `keras-t2i models` lists (default: what comes with --model, "
        "if anything)" + (f". {more}" if more else ""),
    )


def add_truncation(parser: argparse.ArgumentParser) -> None:
    """Adds `--truncation`, for `set_truncation`."""
    parser.add_argument(
        "--truncation",
        type=share,
        metavar="FACTOR",
        help="factor of the noise, from 0 to 1. Below 1 the images of a "
        "caption are more alike and have fewer faults (default: that of the "
        "model)",
    )


def set_truncation(
    model: "TextToImageGAN | Client", arguments: argparse.Namespace
) -> None:
    """Gives a model the `--truncation`, if there is one."""
    from keras_t2i.models.text_to_image_gan import TextToImageGAN

    if arguments.truncation is None:
        return
    if not isinstance(model, TextToImageGAN):
        raise ValueError(
            "--truncation is for a model in a run folder or a file. Received: "
            f"--model {arguments.model}, which is exported or served. Export "
            "it by `keras-t2i export --truncation`."
        )
    model.truncation = arguments.truncation


def file_of_captions(captions: Sequence[str], suffix: str) -> pathlib.Path:
    """Returns a file of the current folder that is not there yet."""
    stem = "-to-".join(file_name(caption) for caption in captions)
    out, number = pathlib.Path(stem + suffix), 1
    while out.exists():
        number += 1
        out = pathlib.Path(f"{stem}-{number}{suffix}")
    return out


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `--seed`."""
    parser.add_argument(
        "--seed",
        type=whole_number(at_least=0),
        metavar="S",
        help=f"{what} (default: 0)",
    )


def add_run(
    parser: argparse.ArgumentParser, default_minutes: float | None = None
) -> None:
    """Adds the options of a training that has a run folder.

    They are `--out`, `--resume`, `--tensorboard` and one of `--steps`,
    `--minutes` and, unless the minutes have a default, `--epochs`.
    """
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    group = parser.add_mutually_exclusive_group()
    minutes = "minutes to train in total, those before --resume included"
    if default_minutes is None:
        group.add_argument(
            "--epochs",
            type=whole_number(at_least=1),
            metavar="N",
            help="passes over the data in total, those before --resume "
            "included (default: 200, unless the preset says otherwise)",
        )
    else:
        minutes += f" (default: {default_minutes:g})"
    group.add_argument(
        "--steps",
        type=whole_number(at_least=1),
        metavar="N",
        help="batches to train on in total, those before --resume included",
    )
    group.add_argument(
        "--minutes", type=positive_number, metavar="M", help=minutes
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        default=None,
        help="also write the metrics, and the sample images if there are any, "
        "for TensorBoard, to tensorboard/ in the run folder",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in --out from its last checkpoint. Its inputs "
        "need to be named only if they have moved",
    )


def recipe_of(
    recipe_class: type[AnyRecipe],
    arguments: argparse.Namespace,
    names: Sequence[str],
    default: str | AnyRecipe | None = None,
) -> AnyRecipe:
    """Returns the recipe that the options of a training stand for.

    `arguments` are what was parsed, with `out` and `resume`. `names` are the
    options that change the recipe, with `preset` if there is such an option;
    those that are not given are `None`. `default` is the preset if none is
    given, or the recipe where there is no choice of a preset.

    Raises `ValueError` if there is no such preset or, to resume, no such run,
    or if an option differs from what the run was started with.
    """
    from keras_t2i.recipes.base_recipe import check_as_started
    from keras_t2i.training.run_folder import RunFolder

    values = {name: getattr(arguments, name, None) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    if not arguments.resume:
        if isinstance(default, str):
            default = recipe_class.from_preset(given.pop("preset", default))
        return (default or recipe_class()).override(**given)
    run = RunFolder(arguments.out)
    recipe, started_with = run.started_with(recipe_class)
    # `width` sets this field.
    started_with["width"] = started_with.get("discriminator_width")
    moved = {
        n: path for n, path in given.items() if run.may_have_moved(n, path)
    }
    fixed = {n: value for n, value in given.items() if n not in moved}
    check_as_started(fixed, started_with)
    durations = {name: given[name] for name in DURATIONS if name in given}
    return recipe.override(**durations, **moved)


@contextlib.contextmanager
def options_named(
    arguments: argparse.Namespace, **others: str
) -> Iterator[None]:
    """Names options in errors as users do: --batch-size, not `batch_size`.

    `others` are options that have other names than their arguments.
    """

    def option(match: re.Match) -> str:
        name = others.get(match[1], match[1])
        # Captions have no option.
        if match[1] not in {**vars(arguments), **others} or name == "captions":
            return match[0]
        return "--" + name.replace("_", "-")

    try:
        yield
    except (ValueError, TrainingError) as error:
        kind = TrainingError if isinstance(error, TrainingError) else ValueError
        raise kind(re.sub(r"`(\w+)(=True)?`", option, str(error))) from error


def load_generating_model(path: str) -> "TextToImageGAN | Client":
    """Returns what generates images by `generate(captions, seed)`.

    `path` is that of a run folder, a file or the folder of an exported model,
    the name of a preset with weights, or the address of a served model.
    """
    from keras_t2i.export.client import Client
    from keras_t2i.export.model_folder import versions
    from keras_t2i.training.model_files import load_gan

    is_saved_model = (pathlib.Path(path) / "saved_model.pb").is_file()
    if "://" in path or is_saved_model or versions(path):
        return Client(path)
    try:
        return load_gan(path)
    except ValueError as error:
        exported = sorted(filter(versions, pathlib.Path(path).glob("*/")))
        if not exported:
            raise
        raise ValueError(
            f"{error} It holds an exported model: name {str(exported[0])!r}."
        ) from error
