"""The texts of a batch, and those that a step generates images from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_t2i.types import Tensor

# Every fourth text is repeated, for the mode seeking loss, and not the first
# quarter of them: each device must repeat texts of its own.
_ROWS_PER_REPEATED = 4


def embeddings_of_batch(
    text_encoder: keras.Model, batch: Mapping[str, Tensor], prefix: str = ""
) -> Tensor:
    """Returns the text embeddings of a batch, or those of its token ids.

    Their names in the batch begin with `prefix`. Raises `ValueError` if the
    batch holds neither.
    """
    if prefix + "text_embeddings" in batch:
        return batch[prefix + "text_embeddings"]
    if prefix + "token_ids" in batch:
        return text_encoder(batch[prefix + "token_ids"], training=False)
    raise ValueError(
        f"A batch must hold `{prefix}text_embeddings` or `{prefix}token_ids`, "
        f"as those of `make_dataset` do. Received: {sorted(batch)}"
    )


@dataclasses.dataclass(frozen=True)
class GeneratorTexts:
    """Texts in up to three groups: matched, interpolated, and repeated.

    A step generates images from all of them in one pass. The methods take rows
    that belong to these texts, such as images or logits, and return those of
    some groups.

    Attributes:
        embeddings: tensor of shape `(num_texts, text_embedding_dim)`. One text
            for each image of the batch, then interpolated texts, then some of
            the first group again.
        num_matched: int or scalar tensor. Rows of the first group.
        num_once: int or scalar tensor. Rows of the first two groups.
        repeats: bool. Whether there is a third group.
    """

    embeddings: Tensor
    num_matched: Tensor
    num_once: Tensor
    repeats: bool

    @property
    def num_texts(self) -> Tensor:
        """Number of rows of all groups."""
        return ops.shape(self.embeddings)[0]

    def matched(self, rows: Tensor) -> Tensor:
        """Returns the rows that belong to an image of the batch."""
        return rows[: self.num_matched]

    def interpolated(self, rows: Tensor) -> Tensor:
        """Returns the rows of the added interpolated texts."""
        return rows[self.num_matched : self.num_once]

    def beside_interpolated(self, rows: Tensor) -> Tensor:
        """Returns the matched rows that interpolated texts are compared with.

        An interpolated text lies between two texts of the batch, and is
        compared with the row of the first. That row may be on another device.
        """
        count = self.num_once - self.num_matched
        first = _replica() * rows_per_device(count)
        return _slice(_of_all_devices(rows), first, count)

    def repeated(self, rows: Tensor) -> Tensor:
        """Returns the rows of the repeated texts."""
        return rows[self.num_once :]

    def originals(self, rows: Tensor) -> Tensor:
        """Returns those of the matched rows whose text is repeated."""
        return rows[: self.num_matched : _ROWS_PER_REPEATED]

    def with_repeated(self, rows: Tensor) -> Tensor:
        """Returns the matched rows, followed by the repeated ones."""
        if not self.repeats:
            return self.matched(rows)
        return ops.concatenate([self.matched(rows), self.repeated(rows)])

    def with_originals(self, rows: Tensor) -> Tensor:
        """Returns matched rows in the order of `with_repeated`."""
        if not self.repeats:
            return rows
        return ops.concatenate([rows, self.originals(rows)])


def generator_texts(
    text: Tensor,
    interpolate: str = "none",
    beta: float = 0.5,
    repeat: bool = False,
) -> GeneratorTexts:
    """Makes the texts of a step from those of its images.

    Of several devices, each gets its share of those that one device would make
    of the whole batch.

    Args:
        text: tensor of shape `(batch, text_embedding_dim)`.
        interpolate: string. `"added"` adds half as many texts, each between a
            text of the first half and one of the second. `"in_place"` replaces
            the first quarter of the texts, each by one between it and a text
            of the third quarter. `"none"` does neither. Defaults to `"none"`.
        beta: float in [0, 1]. Share of the first text in an interpolated one.
            Defaults to `0.5`.
        repeat: bool. Whether every fourth text is repeated. Defaults to
            `False`.

    Raises:
        ValueError: in a graph, all batches are of one row, and texts are to
            be added.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), equation 5.
    """

    num_matched = ops.shape(text)[0]
    if interpolate == "in_place":
        text = _interpolated_in_place(text, beta)
    texts = text
    if interpolate == "added":
        # A short last batch may be one row, of which a graph knows nothing.
        if text.shape[0] == 1 and not tf.executing_eagerly():
            raise ValueError(
                "Interpolated texts need batches of at least 2 rows on each "
                "device. Received: 1 row. Raise `batch_size`, or set "
                "`interpolate=False`."
            )
        texts = ops.concatenate([text, _interpolated(text, beta)])
    num_once = ops.shape(texts)[0]
    if repeat:
        texts = ops.concatenate([texts, text[::_ROWS_PER_REPEATED]])
    return GeneratorTexts(texts, num_matched, num_once, repeat)


def sum_over_devices(values: Tensor) -> Tensor:
    """Returns the sum of the values that all devices have, on each of them."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def rows_per_device(count: Any) -> Any:
    """Returns how many rows a device has, unless it is one of the last.

    `count`, an int or int scalar, is the number on this device.
    """
    num_devices = tf.distribute.get_strategy().num_replicas_in_sync
    if num_devices == 1:
        return count
    # Also where the graph knows the number: in `predict`, it may be another one
    # on each device.
    # There is no maximum over devices: each fills a place of its own.
    counts = tf.one_hot(_replica(), num_devices) * tf.cast(count, "float32")
    return tf.cast(tf.reduce_max(sum_over_devices(counts)), "int32")


def _interpolated(text: Tensor, beta: float) -> Tensor:
    """This device's share of the texts between the halves of the batch."""
    count = ops.shape(text)[0] // 2
    batch = _of_all_devices(text)
    first = _replica() * rows_per_device(count)
    half = ops.shape(batch)[0] // 2
    one, other = (
        _slice(batch, place, count) for place in (first, half + first)
    )
    return beta * one + (1.0 - beta) * other


def _interpolated_in_place(text: Tensor, beta: float) -> Tensor:
    """This device's rows of the batch whose first quarter is replaced."""
    batch = _of_all_devices(text)
    num_rows = ops.shape(batch)[0]
    half, quarter = num_rows // 2, num_rows // 4
    between = (
        beta * batch[:quarter] + (1.0 - beta) * batch[half : half + quarter]
    )
    batch = ops.concatenate([between, batch[quarter:]])
    return _slice(batch, _first_row(num_rows), ops.shape(text)[0])


def _slice(rows: Tensor, first: Tensor, count: Tensor) -> Tensor:
    # Unlike an index, it keeps the number of rows known.
    return tf.slice(rows, (first, 0), (count, rows.shape[1]))


def _of_all_devices(rows: Tensor) -> Tensor:
    """The rows of the whole batch, so that several devices do what one does."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return rows

    # Not by `all_gather`, which TensorFlow cannot do eagerly.
    count = ops.shape(rows)[0]
    num_rows = tf.cast(sum_over_devices(tf.cast(count, "float32")), "int32")
    before = _first_row(num_rows)
    after = num_rows - before - count
    return sum_over_devices(tf.pad(rows, [[before, after], [0, 0]]))


def _first_row(num_rows: Tensor) -> Tensor:
    """The place of this device's rows in a batch."""
    # Each device but the last has the same number of rows.
    num_devices = tf.distribute.get_strategy().num_replicas_in_sync
    return _replica() * -(-num_rows // num_devices)


def _replica() -> Tensor:
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return 0
    return tf.cast(replica.replica_id_in_sync_group, "int32")
