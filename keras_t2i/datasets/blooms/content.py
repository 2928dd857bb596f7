"""What captions say about a bloom, and the classes made of it."""

import dataclasses
import hashlib
import itertools

from keras_t2i.datasets.blooms.attributes import CENTER_COLORS
from keras_t2i.datasets.blooms.attributes import PETAL_COLORS
from keras_t2i.datasets.blooms.attributes import PETAL_COUNTS
from keras_t2i.datasets.blooms.attributes import PETAL_SHAPES
from keras_t2i.datasets.blooms.attributes import SPLITS


@dataclasses.dataclass(frozen=True)
class Content:
    """What a bloom is: the part of it that captions name.

    Args:
        petal_color: string. One of `PETAL_COLORS`.
        center_color: string. One of `CENTER_COLORS`.
        petal_count: int. One of `PETAL_COUNTS`.
        petal_shape: string. One of `PETAL_SHAPES`.

    Raises:
        ValueError: If a value is not in its list.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> content = blooms.Content("red", "yellow", 6, "round")
    >>> content.name
    'red-yellow-6-round'
    """

    petal_color: str
    center_color: str
    petal_count: int
    petal_shape: str

    def __post_init__(self):
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


_VALUES = {
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
    # Ranked by a hash, so that neither a seed nor a NumPy version moves a
    # class from one split to another.
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
    """Returns the classes of a split; no class is in two splits.

    Args:
        split: string. `"train"` (80% of the classes), `"val"` (10%) or
            `"test"` (10%).

    Returns:
        Tuple of `Content`, in the order of their class ids.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> [len(blooms.contents(split)) for split in ("train", "val", "test")]
    [480, 60, 60]
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {SPLITS}. Received: {split!r}."
        )
    return _CONTENTS_OF_SPLIT[split]


def class_id(content: Content) -> int:
    """Returns the class of a content: its index in `CLASS_NAMES`.

    Args:
        content: `Content`.

    Returns:
        Int, from 0 to 599.

    Example:

    >>> from keras_t2i.datasets import blooms
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
        ValueError: If there is no such class.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> blooms.content_of_class(1).name
    'red-yellow-3-pointed'
    """
    if not 0 <= class_id < len(_CONTENTS):
        raise ValueError(
            f"`class_id` must be from 0 to {len(_CONTENTS) - 1}. "
            f"Received: {class_id!r}."
        )
    return _CONTENTS[class_id]
