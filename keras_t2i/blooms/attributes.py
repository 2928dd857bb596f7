"""What a bloom is: its content, which captions name, and its style."""

import dataclasses
import hashlib
import itertools
import math

import numpy as np

from keras_t2i.checks import check_whole_number

PETAL_RGB = {
    "red": (220, 30, 40),
    "orange": (246, 132, 22),
    "yellow": (252, 220, 40),
    "pink": (252, 150, 196),
    "purple": (136, 48, 190),
    "blue": (40, 72, 218),
    "turquoise": (26, 204, 192),
    "white": (246, 244, 240),
}
CENTER_RGB = {
    "yellow": (250, 208, 44),
    "white": (248, 246, 240),
    "green": (112, 186, 52),
    "brown": (146, 84, 40),
    "black": (30, 26, 30),
}
BACKGROUND_RGB = {
    "grass": (56, 104, 48),
    "sky": (116, 164, 212),
    "soil": (84, 60, 44),
    "stone": (128, 126, 122),
}

PETAL_COLORS = tuple(PETAL_RGB)
CENTER_COLORS = tuple(CENTER_RGB)
PETAL_COUNTS = (3, 4, 5, 6, 8)
PETAL_SHAPES = ("round", "pointed", "narrow")
BACKGROUNDS = tuple(BACKGROUND_RGB)

SPLITS = ("train", "val", "test")
MIN_IMAGE_SIZE = 32
MAX_IMAGE_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Content:
    """What a bloom is: the part of it that captions name.

    Args:
        petal_color: string. One of `PETAL_COLORS`.
        center_color: string. One of `CENTER_COLORS`.
        petal_count: int. One of `PETAL_COUNTS`.
        petal_shape: string. One of `PETAL_SHAPES`.

    Raises:
        ValueError: a value is not in its list.

    Example:

    >>> from keras_t2i import blooms
    >>> content = blooms.Content("red", "yellow", 6, "round")
    >>> content.name
    'red-yellow-6-round'
    """

    petal_color: str
    center_color: str
    petal_count: int
    petal_shape: str

    def __post_init__(self) -> None:
        for field, values in _VALUES.items():
            value = getattr(self, field)
            if value not in values:
                raise ValueError(
                    f"`{field}` must be one of {values}. Received: {value!r}."
                )

    @property
    def name(self) -> str:
        """The name of the class, such as `"red-yellow-6-round"`."""
        return (
            f"{self.petal_color}-{self.center_color}"
            f"-{self.petal_count}-{self.petal_shape}"
        )


_VALUES: dict[str, tuple] = {
    "petal_color": PETAL_COLORS,
    "center_color": CENTER_COLORS,
    "petal_count": PETAL_COUNTS,
    "petal_shape": PETAL_SHAPES,
}
_CONTENTS = [
    Content(*values) for values in itertools.product(*_VALUES.values())
]
_CLASS_IDS = {content: number for number, content in enumerate(_CONTENTS)}

CLASS_NAMES = [content.name for content in _CONTENTS]


def _split_contents() -> dict[str, tuple[Content, ...]]:
    # By a hash: neither a seed nor a NumPy version moves a class from one split
    # to another.
    ranked = sorted(
        _CONTENTS,
        key=lambda content: hashlib.sha256(content.name.encode()).digest(),
    )
    first, second = round(0.8 * len(ranked)), round(0.9 * len(ranked))
    parts = ranked[:first], ranked[first:second], ranked[second:]
    return {
        split: tuple(sorted(part, key=_CLASS_IDS.__getitem__))
        for split, part in zip(SPLITS, parts, strict=True)
    }


_CONTENTS_OF_SPLIT = _split_contents()


def contents(split: str) -> tuple[Content, ...]:
    """Returns the contents of a split. No content is in two splits.

    Args:
        split: string. `"train"` (80% of all contents), `"val"` (10%) or
            `"test"` (10%).

    Returns:
        Tuple of `Content`, in the order of their class ids.

    Raises:
        ValueError: there is no such split.

    Example:

    >>> from keras_t2i import blooms
    >>> [len(blooms.contents(split)) for split in ("train", "val", "test")]
    [480, 60, 60]
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {SPLITS}. Received: {split!r}."
        )
    return _CONTENTS_OF_SPLIT[split]


def class_id(content: Content) -> int:
    """Returns the class of a content: its index in `CLASS_NAMES`, 0 to 599.

    Example:

    >>> from keras_t2i import blooms
    >>> blooms.class_id(blooms.Content("red", "yellow", 3, "pointed"))
    1
    """
    return _CLASS_IDS[content]


def content_of_class(class_id: int) -> Content:
    """Returns the content that all blooms of a class share.

    Args:
        class_id: int. Index into `CLASS_NAMES`, from 0 to 599.

    Returns:
        `Content`.

    Raises:
        ValueError: there is no such class.

    Example:

    >>> from keras_t2i import blooms
    >>> blooms.content_of_class(1).name
    'red-yellow-3-pointed'
    """
    check_whole_number(class_id, "class_id", at_least=0)
    if class_id >= len(_CONTENTS):
        raise ValueError(
            f"`class_id` must be from 0 to {len(_CONTENTS) - 1}. "
            f"Received: {class_id!r}."
        )
    return _CONTENTS[class_id]


# Free on every side, so that a flower is whole and the border is background.
_MARGIN = 0.04


@dataclasses.dataclass(frozen=True)
class Style:
    """How a bloom is shown: the part of it that captions never name.

    Args:
        background: string. One of `BACKGROUNDS`.
        center_x: float. Center of the flower, as a fraction of the side,
            from the left.
        center_y: float. The same from the top.
        radius: float. From the center to a petal's tip, as a fraction of the
            side.
        rotation: float. Direction of the first petal in radians, clockwise
            from the right.
        petal_width: float. Factor on the usual width of the petals.
        center_radius: float. Radius of the center, as a fraction of the
            flower's.
        brightness: float. Factor on the colors of petals and center.
        background_brightness: float. Factor on the colors of the background.
        texture: float. Strength of the veins and of the background's texture,
            from 0 to 1.
        light: float. Direction that light comes from in radians, clockwise
            from the right.

    Raises:
        ValueError: there is no such background, or a radius is out of
            range.
    """

    background: str
    center_x: float
    center_y: float
    radius: float
    rotation: float
    petal_width: float = 1.0
    center_radius: float = 0.28
    brightness: float = 1.0
    background_brightness: float = 1.0
    texture: float = 0.5
    light: float = 0.0

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ValueError(
                f"`background` must be one of {BACKGROUNDS}. "
                f"Received: {self.background!r}."
            )
        for field in ("radius", "center_radius"):
            value = getattr(self, field)
            if not 0 < value <= 1:
                raise ValueError(
                    f"`{field}` must be above 0 and at most 1. "
                    f"Received: {value!r}."
                )


def random_style(rng: np.random.Generator) -> Style:
    """Samples a style whose flower lies wholly inside the image.

    Args:
        rng: `np.random.Generator`.

    Returns:
        `Style` with a radius from 0.28 to 0.42.

    Example:

    >>> from keras_t2i import blooms
    >>> style = blooms.random_style(np.random.default_rng(0))
    >>> 0.28 <= style.radius <= 0.42
    True
    """
    radius = rng.uniform(0.28, 0.42)
    low, high = radius + _MARGIN, 1 - radius - _MARGIN
    return Style(
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        center_x=rng.uniform(low, high),
        center_y=rng.uniform(low, high),
        radius=radius,
        rotation=rng.uniform(0, 2 * math.pi),
        petal_width=rng.uniform(0.92, 1.08),
        center_radius=rng.uniform(0.25, 0.31),
        brightness=rng.uniform(0.92, 1.04),
        background_brightness=rng.uniform(0.88, 1.12),
        texture=rng.uniform(0, 1),
        light=rng.uniform(0, 2 * math.pi),
    )
