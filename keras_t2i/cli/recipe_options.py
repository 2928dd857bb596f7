"""From the options of a training to its recipe, and back in errors."""

import argparse
import contextlib
import re
from collections.abc import Iterator
from collections.abc import Sequence

from keras_t2i.errors import TrainingError
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.base_recipe import BaseRecipe


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Adds `--resume`."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out from its last checkpoint",
    )


def add_tensorboard(parser: argparse.ArgumentParser) -> None:
    """Adds `--tensorboard`."""
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        default=None,
        help="also write the metrics, and the sample images where there are "
        "some, for TensorBoard, to tensorboard/ in the run folder",
    )


def recipe_of(
    recipe_class: type[BaseRecipe],
    arguments: argparse.Namespace,
    names: Sequence[str],
    default_preset: str | None = None,
) -> BaseRecipe:
    """Returns the recipe that the options of a training say.

    Args:
        recipe_class: subclass of `BaseRecipe`.
        arguments: what was parsed, with `out` and `resume`.
        names: the options that change the recipe, `preset` among them where
            there is such an option. Those that are not given are `None`.
        default_preset: string. The preset where none is given.

    Raises:
        ValueError: there is no such preset or, to resume, no such run, or an
            option differs from what it was started with.
    """

    from keras_t2i.training.entry import INPUTS
    from keras_t2i.training.run_folder import RunFolder
    from keras_t2i.training.run_folder import check_as_started

    given = _given(arguments, names)
    if not arguments.resume:
        recipe = recipe_class()
        if default_preset is not None:
            name = given.pop("preset", default_preset)
            recipe = recipe_class.from_preset(name)
        return recipe.override(**given)
    recipe, started_with = RunFolder(arguments.out).started_with(recipe_class)
    # What `width` has set.
    started_with["width"] = started_with.get("discriminator_width")
    check_as_started(
        {**given, **_given(arguments, INPUTS[recipe_class])}, started_with
    )
    return recipe.override(
        **{name: given[name] for name in DURATIONS if name in given}
    )


def _given(arguments, names):
    values = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@contextlib.contextmanager
def options_named(arguments: argparse.Namespace) -> Iterator[None]:
    """Names options in errors as they are given: --batch-size, `batch_size`.

    Args:
        arguments: what was parsed.
    """
    try:
        yield
    except (ValueError, TrainingError) as error:
        message = re.sub(
            r"`(\w+)(=True)?`",
            lambda match: (
                "--" + match[1].replace("_", "-")
                if match[1] in vars(arguments)
                else match[0]
            ),
            str(error),
        )
        kind = TrainingError if isinstance(error, TrainingError) else ValueError
        raise kind(message) from error
