"""What all recipes have in common: checked fields, presets, JSON, runs."""

import dataclasses
import functools
import importlib.resources
import json
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import ClassVar
from typing import Self
from typing import TypeVar

from keras_t2i.checks import check_whole_number
from keras_t2i.checks import is_number
from keras_t2i.files import atomic_write
from keras_t2i.reading import parse_json
from keras_t2i.reading import read_json
from keras_t2i.reading import read_text
from keras_t2i.types import StrPath

AnyRecipe = TypeVar("AnyRecipe", bound="BaseRecipe")
# A recipe has exactly one of them.
DURATIONS = ("epochs", "steps", "minutes")
# NumPy takes no larger one.
_LARGEST_SEED = 2**32 - 1


def checked(
    default: Any,
    expected: str,
    convert: Callable[[Any], Any],
    optional: bool = False,
) -> Any:
    """Returns a dataclass field whose value is checked.

    `expected` is what follows "must be" in the error. `convert` turns a value
    into the one that is kept, and raises `ValueError` or `TypeError` for a bad
    one. If `optional`, the field may also be `None`.
    """
    if optional:
        expected += ", or None"
    return dataclasses.field(
        default=default,
        metadata={
            "expected": expected,
            "convert": convert,
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

    def convert(value: Any) -> float:
        if not is_number(value) or not fits(float(value)):
            raise ValueError
        return float(value)

    return checked(default, expected, convert, optional)


# Fields for numbers within some bounds.
share = functools.partial(
    number, expected="a number in [0, 1]", fits=lambda value: 0 <= value <= 1
)
part = functools.partial(
    number, expected="a number in (0, 1)", fits=lambda value: 0 < value < 1
)
below_one = functools.partial(
    number, expected="a number in [0, 1)", fits=lambda value: 0 <= value < 1
)
weight = functools.partial(
    number, expected="a number of at least 0", fits=lambda value: value >= 0
)
positive = functools.partial(
    number, expected="a number above 0", fits=lambda value: value > 0
)


def flag(default: bool) -> Any:
    """Returns a field for a bool."""
    return checked(
        default, "True or False", lambda value: _one_of(value, (True, False))
    )


def text(default: str | None, optional: bool = False) -> Any:
    """Returns a field for a string."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise TypeError
        return value

    return checked(default, "a string", convert, optional)


def choice(default: Any, *choices: Any) -> Any:
    """Returns a field for one of a few values."""
    return checked(
        default,
        f"one of {', '.join(map(repr, choices))}",
        lambda value: _one_of(value, choices),
    )


def _one_of(value: Any, choices: Iterable[Any]) -> Any:
    for one in choices:
        # Types are compared as well, since 1 == True.
        if type(value) is type(one) and value == one:
            return value
    raise ValueError


def to_whole_number(value: Any, at_least: int, name: str = "value") -> int:
    """Returns a value as an int; raises `ValueError` if it is none."""
    check_whole_number(value, name, at_least)
    return int(value)


def _to_seed(value: Any) -> int:
    seed = to_whole_number(value, 0)
    if seed > _LARGEST_SEED:
        raise ValueError
    return seed


@functools.cache
def presets(kind: str) -> dict[str, dict[str, Any]]:
    """Returns all presets of one kind, `"gan"` or `"text_encoder"`, by name.

    Each is a dict of its `description` and of the fields of a recipe that
    differ from their defaults.
    """
    folder = importlib.resources.files(__package__)
    known = json.loads((folder / f"{kind}.json").read_text("utf-8"))

    def with_base(name: str) -> dict[str, Any]:
        values = dict(known[name])
        base = values.pop("base", None)
        return values if base is None else {**with_base(base), **values}

    return {name: with_base(name) for name in known}


@dataclasses.dataclass(frozen=True)
class BaseRecipe:
    """A recipe: flat fields that are checked when they are set.

    A subclass is a frozen dataclass whose fields come from the functions of
    this module.
    """

    # The command that trains by recipes of this class.
    COMMAND: ClassVar[str]
    # The kind of its presets, `None` if it has none.
    PRESETS: ClassVar[str | None] = None
    # What presets that have changed had when runs stored no recipe.
    OLDER_VALUES: ClassVar[dict[str, Any]] = {}

    epochs: int | None = whole_number(None, 1, optional=True)
    steps: int | None = whole_number(None, 1, optional=True)
    minutes: float | None = positive(None, optional=True)
    seed: int = checked(0, "a whole number from 0 to 2**32 - 1", _to_seed)
    tensorboard: bool = flag(False)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                if value is not None or not field.metadata["optional"]:
                    value = field.metadata["convert"](value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"`{field.name}` must be {field.metadata['expected']}. "
                    f"Received: {value!r}"
                ) from None
            # The only way to set a field of a frozen dataclass.
            object.__setattr__(self, field.name, value)
        given = [name for name in DURATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "One of `epochs`, `steps` and `minutes` must be given. "
                f"Received: {' and '.join(given) or 'none of them'}. "
                f"`{type(self).__name__}().override(steps=1000)` replaces the "
                "one that is the default."
            )

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Returns the recipe of a preset.

        Args:
            name: string.

        Raises:
            ValueError: there is no preset of this name.
        """
        if cls.PRESETS is None:
            raise ValueError(
                f"`{cls.__name__}` has no presets. Received: {name!r}. Make "
                f"one by `{cls.__name__}()`"
            )
        known = presets(cls.PRESETS)
        if name not in known:
            raise ValueError(
                f"A preset must be one of {', '.join(known)}. Received: "
                f"{name!r}"
            )
        fields = dict(known[name])
        del fields["description"]
        return cls(**{"preset": name, **fields})

    @classmethod
    def from_json(cls, path: StrPath) -> Self:
        """Reads a recipe from a JSON file, such as `to_json` writes.

        Args:
            path: path of the file. Fields that it leaves out keep their
                defaults.

        Raises:
            ValueError: the file does not hold such a recipe.
            OSError: the file cannot be read.
        """
        content = read_text(path)
        try:
            fields = parse_json(content)
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
            fields: dict. Fields that it leaves out keep their defaults. If
                one of `epochs`, `steps` and `minutes` is given, it replaces
                the one that is the default.

        Raises:
            ValueError: a field does not exist, or a value is out of range.
        """
        cls._check_names(fields)
        return cls(**_without_other_durations(fields))

    @classmethod
    def from_run(cls, path: StrPath) -> Self:
        """Returns the recipe that a run was started with.

        Args:
            path: path of a run folder.

        Raises:
            ValueError: the folder holds no run, or one of another kind.
        """
        config = pathlib.Path(path) / "config.json"
        try:
            values = read_json(config)
            command = values["command"]
            recipe = (
                cls._from_config(values) if command == cls.COMMAND else None
            )
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(
                f"`{cls.__name__}.from_run` takes a run folder. Received: "
                f"{str(path)!r}, which holds no run"
            ) from None
        except (
            AttributeError,
            KeyError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            raise ValueError(
                f"{config} must be the JSON that a run has written. "
                "Received: something else. Start a new run."
            ) from None
        if recipe is None:
            raise ValueError(
                f"A `{cls.__name__}` belongs to a run of `{cls.COMMAND}`. "
                f"Received: {str(path)!r}, a run of `{command}`."
            )
        return recipe

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Self:
        if "recipe" in config:
            return cls.from_dict(config["recipe"])
        # A run from before there were recipes: it holds the options of the
        # command.
        options = config["options"]
        recipe = cls()
        if cls.PRESETS is not None:
            recipe = cls.from_preset(options["preset"])
        options = {**cls.OLDER_VALUES, **options}
        given = {
            name: options[name]
            for name in {*cls.names(), "width"} - {"preset"}
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
    def _check_names(cls, fields: Iterable[str]) -> None:
        unknown = sorted(set(fields) - set(cls.names()))
        if unknown:
            raise ValueError(
                f"A field of a `{cls.__name__}` must be one of "
                f"{', '.join(cls.names())}. Received: {', '.join(unknown)}"
            )

    def override(self, **changes: Any) -> Self:
        """Returns the recipe with some fields changed.

        If one of `epochs`, `steps` and `minutes` is given, it replaces the one
        that the recipe had.

        Args:
            **changes: fields and their values.

        Raises:
            ValueError: a field does not exist, or a value is out of range.
        """
        self._check_names(changes)
        made_from = getattr(self, "preset", None)
        if changes.get("preset", made_from) != made_from:
            raise ValueError(
                "`preset` names what a recipe was made from and cannot be "
                f"overridden. Received: {changes['preset']!r}. Start from "
                f"`{type(self).__name__}.from_preset`"
            )
        return dataclasses.replace(self, **_without_other_durations(changes))

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields, as they are in JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def to_json(self, path: StrPath) -> None:
        """Writes all fields to a JSON file.

        Args:
            path: path of the file. Its folder must exist.

        Raises:
            OSError: the file cannot be written.
        """
        with atomic_write(path) as temporary:
            content = json.dumps(self.to_dict(), indent=2)
            temporary.write_text(content + "\n", "utf-8")


def _without_other_durations(fields: dict[str, Any]) -> dict[str, Any]:
    if all(fields.get(name) is None for name in DURATIONS):
        return fields
    return {**dict.fromkeys(DURATIONS), **fields}


def check_as_started(
    options: dict[str, Any], started_with: dict[str, Any]
) -> None:
    """Raises `ValueError` if options differ from those a run started with.

    The duration may differ, and a run may have other options too.
    """
    for name, value in options.items():
        before = started_with.get(name)
        if name in DURATIONS or value == before:
            continue
        if value is True:
            received = f"`{name}=True`"
        elif _is_left_out(value):
            received = f"no `{name}`"
        else:
            received = f"`{name}` {value}"
        if before is True:
            started = "with it"
        elif _is_left_out(before):
            started = "without it"
        else:
            started = f"with {before}"
        raise ValueError(
            "`resume` trains as the run was started; only `epochs`, `steps` "
            f"and `minutes` may differ. Received: {received}, started "
            f"{started}."
        )


def _is_left_out(value: Any) -> bool:
    # Not 0, which equals `False`.
    return value is None or value is False
