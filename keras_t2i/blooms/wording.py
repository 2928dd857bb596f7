"""How the captions of a bloom are worded, and what a caption names."""

import dataclasses
import re

import numpy as np

from keras_t2i.blooms.attributes import CENTER_COLORS
from keras_t2i.blooms.attributes import PETAL_COLORS
from keras_t2i.blooms.attributes import Content
from keras_t2i.blooms.attributes import contents
from keras_t2i.checks import check_whole_number

# What each of the ten captions names. People leave things out, but seldom the
# color.
_NAMED = (
    {"petal_color", "petal_count", "petal_shape", "center_color"},
    {"petal_color", "petal_count", "petal_shape", "center_color"},
    {"petal_color", "petal_count", "petal_shape", "center_color"},
    {"petal_color", "petal_count", "petal_shape"},
    {"petal_color", "petal_count", "center_color"},
    {"petal_color", "petal_shape", "center_color"},
    {"petal_count", "petal_shape", "center_color"},
    {"petal_color", "center_color"},
    {"petal_color", "petal_shape"},
    {"petal_color"},
)

_FLOWERS = ("flower", "bloom", "blossom")
_CENTERS = ("{} center", "{} middle", "center that is {}")
_COUNT_WORDS = {
    3: ("three", "3"),
    4: ("four", "4"),
    5: ("five", "5"),
    6: ("six", "6"),
    8: ("eight", "8"),
}
_SHAPE_WORDS = {
    "round": ("round", "rounded"),
    "pointed": ("pointed", "pointy"),
    "narrow": ("narrow", "thin"),
}
_JOINED = (
    "{petals} and {center}",
    "{center} and {petals}",
    "{petals} around {center}",
    "{center} surrounded by {petals}",
)
_SENTENCES = ("this {} has {}", "the {} has {}", "{} with {}")

_COUNT_OF_WORD = {
    word: count for count, words in _COUNT_WORDS.items() for word in words
}
_SHAPE_OF_WORD = {
    word: shape for shape, words in _SHAPE_WORDS.items() for word in words
}
_CENTER_PATTERN = re.compile(
    r"\b(?:({0}) (?:center|middle)|center that is ({0}))\b".format(
        "|".join(CENTER_COLORS)
    )
)


def bloom_captions(
    content: Content, rng: np.random.Generator
) -> tuple[str, ...]:
    """Writes ten captions as ten people might.

    Nine of them name the petal color, six the number of petals, and seven
    each the shape of the petals and the color of the center. None names
    anything of the style.

    Args:
        content: `Content`.
        rng: `np.random.Generator`. Chooses the words and the order.

    Returns:
        Tuple of ten different strings: lower case, ASCII.

    Example:

    >>> from keras_t2i import blooms
    >>> content = blooms.Content("red", "yellow", 6, "round")
    >>> captions = blooms.bloom_captions(content, np.random.default_rng(0))
    >>> len(set(captions))
    10
    """
    captions = []
    for position in rng.permutation(len(_NAMED)):
        caption = _caption(content, _NAMED[position], rng)
        while caption in captions:
            caption = _caption(content, _NAMED[position], rng)
        captions.append(caption)
    return tuple(captions)


def _caption(
    content: Content, named: set[str], rng: np.random.Generator
) -> str:
    flower = _choice(_FLOWERS, rng)
    adjectives, clause = [], ""
    if "petal_count" in named:
        adjectives.append(_choice(_COUNT_WORDS[content.petal_count], rng))
    if "petal_shape" in named:
        adjectives.append(_choice(_SHAPE_WORDS[content.petal_shape], rng))
    if "petal_color" in named:
        place = rng.integers(4)
        if place == 0:
            flower = f"{content.petal_color} {flower}"
        elif place == 1:
            clause = f" that are {content.petal_color}"
        else:
            adjectives.append(content.petal_color)
    parts = {}
    if adjectives or clause:
        parts["petals"] = " ".join([*adjectives, "petals"]) + clause
    if "center_color" in named:
        center = _choice(_CENTERS, rng).format(content.center_color)
        parts["center"] = f"a {center}"
    if not parts:
        return _with_article(flower)
    if len(parts) == 2:
        has = _choice(_JOINED, rng).format(**parts)
    else:
        (has,) = parts.values()
    sentence = _choice(_SENTENCES, rng)
    if sentence.startswith("{}"):
        flower = _with_article(flower)
    return sentence.format(flower, has)


def _choice(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun.startswith("orange") else f"a {noun}"


def content_of_caption(caption: str) -> dict[str, str | int]:
    """Finds what a caption names.

    Understands every caption of `bloom_captions`, and other captions as far as
    they use the same words.

    Args:
        caption: string.

    Returns:
        dict of those fields of `Content` that the caption names.

    Example:

    >>> from keras_t2i import blooms
    >>> blooms.content_of_caption("a red flower with a yellow center")
    {'petal_color': 'red', 'center_color': 'yellow'}
    """
    caption = caption.lower()
    center = _CENTER_PATTERN.search(caption)
    # A word before "center" is no color of the petals.
    words = re.findall(r"\w+", _CENTER_PATTERN.sub(" ", caption))
    content: dict[str, str | int] = {}
    for word in words:
        if word in PETAL_COLORS:
            content["petal_color"] = word
        elif word in _COUNT_OF_WORD:
            content["petal_count"] = _COUNT_OF_WORD[word]
        elif word in _SHAPE_OF_WORD:
            content["petal_shape"] = _SHAPE_OF_WORD[word]
    if center:
        content["center_color"] = center.group(1) or center.group(2)
    return content


_ATTRIBUTES = [field.name for field in dataclasses.fields(Content)]


def captions_between(
    split: str, num_pairs: int, seed: int = 0
) -> tuple[list[str], list[str], list[str]]:
    """Writes pairs of captions, and a caption between each of the pairs.

    The two captions of a pair name all attributes and differ in each of them.
    The third has half of its attributes from each of them. All three have the
    same words around the attributes.

    Args:
        split: string. The split whose classes the pairs are of.
        num_pairs: int, at least 0.
        seed: int, at least 0. Defaults to `0`.

    Returns:
        Three lists of strings: first, second, in between.

    Raises:
        ValueError: there is no such split, or a number is out of range.

    Example:

    >>> from keras_t2i import blooms
    >>> a, b, between = blooms.captions_between("test", 1)
    >>> for caption in (a[0], b[0], between[0]):
    ...     print(sorted(blooms.content_of_caption(caption).items())[:2])
    [('center_color', 'white'), ('petal_color', 'yellow')]
    [('center_color', 'green'), ('petal_color', 'red')]
    [('center_color', 'white'), ('petal_color', 'red')]
    """
    check_whole_number(num_pairs, "num_pairs", at_least=0)
    check_whole_number(seed, "seed", at_least=0)
    rng = np.random.default_rng(seed)
    candidates = contents(split)
    captions: tuple[list[str], list[str], list[str]] = [], [], []
    for _ in range(num_pairs):
        a, b = _differing(candidates, rng)
        of_b = rng.permutation(_ATTRIBUTES)[: len(_ATTRIBUTES) // 2]
        between = dataclasses.replace(
            a, **{name: getattr(b, name) for name in of_b}
        )
        wording = int(rng.integers(2**32))
        for content, texts in zip((a, b, between), captions):
            texts.append(_full_caption(content, wording))
    return captions


def _differing(
    candidates: tuple[Content, ...], rng: np.random.Generator
) -> list[Content]:
    while True:
        a, b = (candidates[i] for i in rng.integers(len(candidates), size=2))
        if all(getattr(a, name) != getattr(b, name) for name in _ATTRIBUTES):
            return [a, b]


def _full_caption(content: Content, seed: int) -> str:
    """Returns a caption that names everything; the seed chooses its words."""
    captions = bloom_captions(content, np.random.default_rng(seed))
    return next(
        caption
        for caption in captions
        if len(content_of_caption(caption)) == len(_ATTRIBUTES)
    )
