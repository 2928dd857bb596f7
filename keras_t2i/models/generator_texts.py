"""The texts that one training step generates images from."""

import dataclasses
from typing import Any

from keras import ops

# Of the rows whose text is repeated, for a mode seeking loss. Every fourth one,
# and not the first quarter: on several devices each repeats its own rows.
_ROWS_PER_REPEATED = 4


@dataclasses.dataclass(frozen=True)
class GeneratorTexts:
    """Texts in up to three groups: matched, interpolated, and repeated.

    A step generates images from all of them in one pass. What then belongs to
    each row, such as images or logits, is taken apart again by these methods.

    Attributes:
        embeddings: tensor of shape `(num_texts, text_embedding_dim)`. One text
            for each image of the batch, then interpolated texts, then some of
            the first group again.
        num_matched: int or scalar tensor. Rows of the first group.
        num_once: int or scalar tensor. Rows of the first two groups.
        repeats: bool. Whether there is a third group.
    """

    embeddings: Any
    num_matched: Any
    num_once: Any
    repeats: bool

    @property
    def num_texts(self):
        """Number of rows of all groups."""
        return ops.shape(self.embeddings)[0]

    def matched(self, rows):
        """Returns the rows that belong to an image of the batch."""
        return rows[: self.num_matched]

    def interpolated(self, rows):
        """Returns the rows of texts that were added between two others."""
        return rows[self.num_matched : self.num_once]

    def repeated(self, rows):
        """Returns the rows of the repeated texts."""
        return rows[self.num_once :]

    def originals(self, rows):
        """Returns those of the matched rows whose text is repeated."""
        return rows[: self.num_matched : _ROWS_PER_REPEATED]

    def with_repeated(self, rows):
        """Returns the matched rows, followed by the repeated ones."""
        if not self.repeats:
            return self.matched(rows)
        return ops.concatenate([self.matched(rows), self.repeated(rows)])

    def with_originals(self, rows):
        """Returns matched rows in the order of `with_repeated`."""
        if not self.repeats:
            return rows
        return ops.concatenate([rows, self.originals(rows)])


def generator_texts(text, interpolate="none", beta=0.5, repeat=False):
    """Makes the texts of a step from those of its images.

    Args:
        text: tensor of shape `(batch, text_embedding_dim)`.
        interpolate: string. `"added"` adds half as many texts, each between a
            text of the first half and one of the second. `"in_place"` replaces
            the first quarter of the texts, each by one on the way to a text of
            the third quarter. `"none"` does neither. Defaults to `"none"`.
        beta: float in [0, 1]. Share of the first text in an interpolated one.
            Defaults to `0.5`.
        repeat: bool. Whether every fourth text is repeated. Defaults to
            `False`.

    Returns:
        `GeneratorTexts`.

    Raises:
        ValueError: there is only one row, and texts are to be added.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), equation 5.
    """
    num_matched = ops.shape(text)[0]
    matched = text
    groups = [text]
    if interpolate == "in_place":
        quarter, half = num_matched // 4, num_matched // 2
        between = _between(text[:quarter], text[half : half + quarter], beta)
        matched = ops.concatenate([between, text[quarter:]])
        groups = [matched]
    elif interpolate == "added":
        if text.shape[0] == 1:
            raise ValueError(
                "Interpolated texts need batches of at least 2 rows on each "
                "device. Received: 1 row. Raise `batch_size`, or set "
                "`interpolate_texts=False`."
            )
        half = num_matched // 2
        groups.append(_between(text[:half], text[half : 2 * half], beta))
    once = groups[0] if len(groups) == 1 else ops.concatenate(groups)
    num_once = ops.shape(once)[0]
    if not repeat:
        return GeneratorTexts(once, num_matched, num_once, False)
    texts = ops.concatenate([once, matched[::_ROWS_PER_REPEATED]])
    return GeneratorTexts(texts, num_matched, num_once, True)


def _between(text, other_text, beta):
    return beta * text + (1.0 - beta) * other_text
