"""What all recipes have in common: checked fields, JSON, run folders."""

import dataclasses
import json
import math
import numbers
import os
import pathlib
from collections.abc import Callable
from typing import Any
from typing import ClassVar
from typing import Self

from keras_t2i.files import replace_when_whole
from keras_t2i.recipes.presets import preset

# One of them says how long a training is.
DURATIONS = ("epochs", "steps", "minutes")


def checked(
    default: Any,
    expected: str,
    converted: Callable[[Any], Any],
    optional: bool = False,
) -> Any:
    """Returns a dataclass field whose value is checked.

    Args:
        default: the field's default.
        expected: string. What follows "must be" in the error.
        converted: function of a value to what is kept of it. It raises
            `ValueError` or `TypeError` where the value is none of those
            expected.
        optional: bool. Whether the field may also be `None`. Defaults to
            `False`.
    """
    if optional:
        expected += ", or None"
    return dataclasses.field(
        default=default,
        metadata={
            "expected": expected,
            "converted": converted,
            "optional": optional,
        },
    )


def whole_number(
    default: int | None, at_least: int = 0, optional: bool = False
) -> Any:
    """Returns a field for a whole number."""
    return checked(
        default,
        f"a whole number of at least {at_least}",
        lambda value: to_whole_number(value, at_least),
        optional,
    )


def number(
    default: float | None,
    expected: str,
    fits: Callable[[float], bool],
    optional: bool = False,
) -> Any:
    """Returns a field for a finite number."""

    def converted(value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError
        if not math.isfinite(value) or not fits(value):
            raise ValueError
        return float(value)

    return checked(default, expected, converted, optional)


def share(default: float | None, optional: bool = False) -> Any:
    """Returns a field for a number from 0 to 1."""
    return number(
        default, "a number in [0, 1]", lambda value: 0 <= value <= 1, optional
    )


def weight(default: float | None, optional: bool = False) -> Any:
    """Returns a field for a number of at least 0."""
    return number(
        default, "a number of at least 0", lambda value: value >= 0, optional
    )


def positive(default: float | None, optional: bool = False) -> Any:
    """Returns a field for a number above 0."""
    return number(
        default, "a number above 0", lambda value: value > 0, optional
    )


def flag(default: bool) -> Any:
    """Returns a field for a bool."""

    def converted(value):
        if not isinstance(value, bool):
            raise TypeError
        return value

    return checked(default, "True or False", converted)


def text(default: str | None, optional: bool = False) -> Any:
    """Returns a field for a string."""

    def converted(value):
        if not isinstance(value, str) or not value:
            raise TypeError
        return value

    return checked(default, "a string", converted, optional)


def choice(default: Any, *choices: Any) -> Any:
    """Returns a field for one of a few values."""

    def converted(value):
        # By type too: 1 is no True.
        for one in choices:
            if type(value) is type(one) and value == one:
                return value
        raise ValueError

    named = ", ".join(map(repr, choices))
    return checked(default, f"one of {named}", converted)


def to_whole_number(value: Any, at_least: int) -> int:
    """Returns a value as an int.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is smaller than `at_least`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError
    if value < at_least:
        raise ValueError
    return int(value)


@dataclasses.dataclass(frozen=True)
class BaseRecipe:
    """A recipe: flat fields that are checked when they are set.

    A subclass is a frozen dataclass whose fields come from the functions of
    this module, `DURATIONS` among them.
    """

    # The command that trains by recipes of this class.
    COMMAND: ClassVar[str]
    # Where its presets are, `None` without any.
    PRESETS: ClassVar[str | None] = None
    # Where a subclass has no such fields.
    decay_share = None
    precision = "float32"
    tensorboard = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                if value is not None or not field.metadata["optional"]:
                    value = field.metadata["converted"](value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"`{field.name}` must be {field.metadata['expected']}. "
                    f"Received: {value!r}"
                ) from None
            # The only way to set what is frozen.
            object.__setattr__(self, field.name, value)
        given = [name for name in DURATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "One of `epochs`, `steps` and `minutes` must be given. "
                f"Received: {' and '.join(given) or 'none of them'}"
            )

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Returns the recipe of a preset.

        Args:
            name: string. The name of a preset.

        Raises:
            ValueError: there is no such preset.
        """
        if cls.PRESETS is None:
            raise ValueError(
                f"`{cls.__name__}` has no presets. Received: {name!r}. Make "
                f"one by `{cls.__name__}()`"
            )
        fields = dict(preset(cls.PRESETS, name))
        del fields["description"]
        return cls(**{"preset": name, **fields})

    @classmethod
    def from_json(cls, path: str | os.PathLike) -> Self:
        """Reads a recipe that `to_json` has written.

        Args:
            path: path of the file. Fields that it leaves out have their
                defaults.

        Raises:
            ValueError: the file holds something else.
            OSError: the file cannot be read.
        """
        content = pathlib.Path(path).read_text("utf-8")
        try:
            fields = json.loads(content)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise ValueError(
                f"{path} must be a JSON object of the fields of a "
                f"`{cls.__name__}`. Received: {content[:40]!r}"
            )
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Returns the recipe of a dict of fields.

        Args:
            fields: dict. Fields that it leaves out have their defaults.

        Raises:
            ValueError: there are no such fields, or they have other values.
        """
        cls._check_names(fields)
        return cls(**fields)

    @classmethod
    def from_run(cls, path: str | os.PathLike) -> Self:
        """Returns the recipe that a run was started with.

        Args:
            path: path of a run folder.

        Raises:
            ValueError: there is no run, or one of another kind.
        """
        config = pathlib.Path(path) / "config.json"
        try:
            values = json.loads(config.read_text("utf-8"))
            command = values["command"]
            recipe = None
            if command == cls.COMMAND:
                recipe = cls._from_config(values)
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(
                f"`{cls.__name__}.from_run` takes a run folder. Received: "
                f"{str(path)!r}, which holds no run"
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(
                f"{config} must be the JSON that a run has written. "
                "Received: something else. Start a new run."
            ) from None
        if recipe is None:
            raise ValueError(
                f"`{cls.__name__}` is of a run of `{cls.COMMAND}`. Received: "
                f"{str(path)!r}, a run of `{command}`."
            )
        return recipe

    @classmethod
    def _from_config(cls, config):
        if "recipe" in config:
            return cls.from_dict(config["recipe"])
        # Before there were recipes, a run kept the options of the command.
        options = config["options"]
        recipe = cls()
        if cls.PRESETS is not None:
            recipe = cls.from_preset(options["preset"])
        names = {*cls.names(), "width"} - {"preset"}
        given = {
            name: options[name]
            for name in names
            if options.get(name) is not None
        }
        if not any(name in given for name in DURATIONS):
            raise KeyError("duration")
        return recipe.override(**given)

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of all fields."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def _check_names(cls, fields):
        unknown = sorted(set(fields) - set(cls.names()))
        if unknown:
            raise ValueError(
                f"A field of a `{cls.__name__}` must be one of "
                f"{', '.join(cls.names())}. Received: {', '.join(unknown)}"
            )

    def override(self, **changes: Any) -> Self:
        """Returns the recipe with some fields changed.

        Of `epochs`, `steps` and `minutes`, the one that is given takes the
        place of the one before.

        Args:
            **changes: fields and their values.

        Raises:
            ValueError: there is no such field, or a value is none of its.
        """
        self._check_names(changes)
        if changes.get("preset", self._preset()) != self._preset():
            raise ValueError(
                "`preset` names what a recipe was made from, and cannot be "
                f"overridden. Received: {changes['preset']!r}. Start from "
                f"`{type(self).__name__}.from_preset`"
            )
        if any(changes.get(name) is not None for name in DURATIONS):
            changes = {**dict.fromkeys(DURATIONS), **changes}
        return dataclasses.replace(self, **changes)

    def _preset(self):
        return getattr(self, "preset", None)

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields, as JSON has them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes all fields to a JSON file.

        Args:
            path: path of the file, whose folder must be there.

        Raises:
            OSError: the file cannot be written.
        """
        with replace_when_whole(path) as temporary:
            content = json.dumps(self.to_dict(), indent=2)
            temporary.write_text(content + "\n", "utf-8")
