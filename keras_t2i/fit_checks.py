"""Checks of the batches and callbacks that a model is trained with."""

import contextlib
import math
import re
import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_t2i.linear_decay import schedules_of
from keras_t2i.types import Tensor

# Arguments of Keras that are about targets, which no batch here has.
OF_TARGETS = ("y", "sample_weight", "class_weight")
_OUT_OF_RANGE = "`images` must be float, with values in [-1, 1]"
# Interpolation overshoots a little where images are resized.
_LARGEST_VALUE = 1.01
# Keras' default for arrays.
_BATCH_SIZE = 32


def has_targets(received: str) -> ValueError:
    """Makes the error of batches that hold more than a dict."""
    return ValueError(
        "Batches must be dicts, without targets and without weights of "
        f"samples or classes. Received: {received}. Leave it out."
    )


def not_a_dict(received: Any) -> ValueError:
    """Makes the error of a batch of another kind."""
    kind = "tensor" if tf.is_tensor(received) else type(received).__name__
    return ValueError(
        "Batches must be dicts of arrays, as those of `make_dataset`. "
        f"Received: a {kind}. Give each array its name."
    )


def checked_batches(
    data: Any,
    image_size: int | None = None,
    num_devices: int = 1,
    batch_size: int | None = None,
    text_encoder: Any = None,
) -> Any:
    """Returns data whose batches fit a model.

    Args:
        data: `tf.data.Dataset`, `keras.utils.PyDataset` or generator of
            batches, or a dict of arrays. Anything else is returned as it is.
        image_size: int. Side of the model's images, if it has any.
        num_devices: int. Devices that share each batch. In a stream, a batch
            that would leave one of them without rows has some rows twice.
        batch_size: int. Rows of a batch of arrays. Defaults to `None`: that of
            Keras.
        text_encoder: that of the model, if it has any.

    Returns:
        Such data. A stream fails at images out of range, within
        `images_in_range`.

    Raises:
        ValueError: there are targets, or images, tokens or batches do not fit.
    """
    _check_tokens(getattr(data, "vocabulary", None), words_of(text_encoder))
    elements = getattr(data, "element_spec", data)
    if isinstance(elements, (tuple, list)) and any(
        element is not None for element in elements[1:]
    ):
        raise has_targets(f"{len(elements)} elements")
    if isinstance(data, tuple) and data:
        # Keras' way to write arrays without targets.
        data, *_ = data
    if isinstance(data, types.GeneratorType):
        return (
            _checked_batch(batch, image_size, num_devices) for batch in data
        )
    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, image_size, num_devices)
    if isinstance(data, tf.data.Dataset) and isinstance(elements, tuple):
        # Keras' way to write a batch without targets.
        data = data.map(lambda batch, *_: batch)
        elements = data.element_spec
    if isinstance(data, dict):
        data = elements = _arrays(data)
    is_known = isinstance(data, (dict, tf.data.Dataset))
    if not is_known or not isinstance(elements, dict):
        return data
    _check_embeddings(elements, text_encoder)
    if "images" in elements:
        data = _with_checked_images(data, elements["images"], image_size)
    if num_devices > 1:
        data = _on_all_devices(data, num_devices, batch_size or _BATCH_SIZE)
    return data


def split_for_validation(options: dict[str, Any]) -> None:
    """Splits arrays in the arguments of `fit`, as Keras would later.

    So both parts are checked, and not what they are parts of.
    """
    x, share = options.get("x"), options.get("validation_split", 0.0)
    is_given = options.get("validation_data") is not None
    if not share or is_given or not isinstance(x, dict):
        return
    x = _arrays(x)
    num_rows = len(next(iter(x.values())))
    first = math.floor(num_rows * (1.0 - share))
    # Keras says what is wrong with a share that leaves one part empty.
    if 0 < first < num_rows:
        options["x"] = {name: rows[:first] for name, rows in x.items()}
        options["validation_data"] = (
            {name: rows[first:] for name, rows in x.items()},
        )
        options["validation_split"] = 0.0


def _arrays(batch: dict[str, Any]) -> dict[str, Any]:
    arrays = {
        name: np.asarray(rows) if isinstance(rows, (list, tuple)) else rows
        for name, rows in batch.items()
    }
    numbers = {len(rows) for rows in arrays.values()}
    if len(numbers) != 1 or 0 in numbers:
        received = [f"{len(rows)} of `{n}`" for n, rows in arrays.items()]
        raise ValueError(
            "The arrays of a batch must have one number of rows, at least 1. "
            f"Received: {', '.join(received) or 'no arrays'}"
        )
    return arrays


def _check_embeddings(elements: dict[str, Any], text_encoder: Any) -> None:
    size = getattr(text_encoder, "output_shape", (None,))[-1]
    for name in ("text_embeddings", "mismatched_text_embeddings"):
        found = elements[name].shape[-1] if name in elements else None
        if None not in (size, found) and found != size:
            raise ValueError(
                f"`{name}` must have the size of what the text encoder "
                f"returns, {size}. Received: {found}"
            )


def _checked_batch(batch: Any, image_size: int | None, num_devices: int) -> Any:
    """Returns what a generator or a `PyDataset` has made, and checks it."""
    inputs, *_ = keras.utils.unpack_x_y_sample_weight(batch)
    if not isinstance(inputs, dict):
        raise not_a_dict(batch)
    if "images" in inputs:
        images = np.asarray(inputs["images"])
        _with_checked_images({"images": images}, images, image_size)
    size = max((len(rows) for rows in inputs.values()), default=0)
    if has_rows_for_all(size, num_devices):
        return batch
    rows = np.arange(full_size(size, num_devices)) % size
    return {name: np.asarray(values)[rows] for name, values in inputs.items()}


class _CheckedPyDataset(keras.utils.PyDataset):
    def __init__(
        self,
        batches: keras.utils.PyDataset,
        image_size: int | None,
        num_devices: int,
    ) -> None:
        super().__init__(
            batches.workers,
            batches.use_multiprocessing,
            batches.max_queue_size,
        )
        self._batches = batches
        self._image_size = image_size
        self._num_devices = num_devices

    @property
    def num_batches(self) -> int | None:
        return self._batches.num_batches

    def __getitem__(self, index: int) -> Any:
        return _checked_batch(
            self._batches[index], self._image_size, self._num_devices
        )

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()


def words_of(encoder: Any) -> tuple[str, ...] | None:
    """Returns the vocabulary of a text encoder, none if it reads characters.

    `None` for other objects.
    """
    if not hasattr(encoder, "vocabulary"):
        return None
    return tuple(encoder.vocabulary or ())


def _check_tokens(
    made: tuple[str, ...] | None, read: tuple[str, ...] | None
) -> None:
    # The ids of words and of characters look alike.
    if made is None or read is None or made == read:
        return
    raise ValueError(
        "`token_ids` must be those that the text encoder reads, of "
        f"{_kind(read)}. Received: a data set of {_kind(made)}. Make it with "
        "tokenize=text_encoder.tokenize."
    )


def _kind(vocabulary: tuple[str, ...]) -> str:
    if not vocabulary:
        return "characters"
    return f"a vocabulary of {len(vocabulary)} words, {vocabulary[0]!r} first"


def _with_checked_images(data: Any, images: Any, image_size: int | None) -> Any:
    """Checks images now, and those of a stream while it is read.

    Reading a batch only to check it would use up an epoch of a stream whose
    epochs differ.
    """
    shape = tuple(images.shape)
    if image_size is not None and len(shape) == 4:
        expected = (image_size, image_size, 3)
        if any(
            side not in (None, size) for side, size in zip(shape[1:], expected)
        ):
            raise ValueError(
                "`images` must be as those of the model, of shape (batch, "
                f"{image_size}, {image_size}, 3). Received: {shape}. Pass "
                f"image_size={image_size} to what makes the batches, or make "
                "a model for larger or smaller images."
            )
    # Others are features of images.
    if len(shape) != 4 or shape[-1] != 3:
        return data
    if not tf.as_dtype(images.dtype).is_floating:
        raise _out_of_range(tf.as_dtype(images.dtype).name)
    if isinstance(data, dict):
        largest = np.abs(images).max()
        if largest > _LARGEST_VALUE:
            raise _out_of_range(_values(largest))
        return data

    @tf.autograph.experimental.do_not_convert
    def check(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        largest = tf.reduce_max(tf.abs(batch["images"]))
        # NaN passes: `StopOnNaN` names it.
        in_range = tf.logical_not(largest > _LARGEST_VALUE)
        check = tf.debugging.Assert(in_range, [_OUT_OF_RANGE, largest])
        with tf.control_dependencies([check]):
            return {**batch, "images": tf.identity(batch["images"])}

    return data.map(check)


@contextlib.contextmanager
def images_in_range() -> Iterator[None]:
    """Says what a stream of `checked_batches` fails at."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(
            re.escape(f"[{_OUT_OF_RANGE}] [") + r"([^]]*)", str(error)
        )
        if found is None:
            raise
        raise _out_of_range(_values(float(found[1]))) from None


def _values(largest: float) -> str:
    return f"values as large as {largest:g}"


def _out_of_range(received: str) -> ValueError:
    return ValueError(
        f"{_OUT_OF_RANGE}. Received: {received}. Rescale images of 0 to 255 by "
        "`images / 127.5 - 1`."
    )


def _on_all_devices(data: Any, num_devices: int, batch_size: int) -> Any:
    """Returns data whose batches have rows for each device.

    Each device takes the same number of rows, rounded up, and the last one
    what is left. That may be nothing.
    """
    if isinstance(data, tf.data.Dataset):
        # Each worker makes every batch, and keeps its rows of it.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        data = data.with_options(options)

    @tf.autograph.experimental.do_not_convert
    def fill(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        size = tf.shape(next(iter(batch.values())))[0]
        is_whole = has_rows_for_all(size, num_devices)
        wanted = tf.where(is_whole, size, full_size(size, num_devices))
        rows = tf.range(wanted) % size
        return {name: tf.gather(value, rows) for name, value in batch.items()}

    if isinstance(data, dict):
        num_rows = len(next(iter(data.values())))
        sizes = [min(batch_size, num_rows), num_rows % batch_size or batch_size]
    else:
        sizes = [next(iter(data.element_spec.values())).shape[0]]
        if sizes == [None]:
            return data.map(fill)
    for size in sizes:
        if not has_rows_for_all(size, num_devices):
            raise ValueError(
                "Each batch must have rows for all devices. Received: a batch "
                f"of {size} rows for {num_devices} devices. Take another "
                "`batch_size`, or leave these rows out."
            )
    return data


def full_size(size: Any, num_devices: int) -> Any:
    """Returns the smallest multiple of `num_devices` from `size` on."""
    return -(-size // num_devices) * num_devices


def has_rows_for_all(size: Any, num_devices: int) -> Any:
    """Whether each device gets at least one row of a batch of this size."""
    full = full_size(size, num_devices)
    return full - size < full // num_devices


def check_callbacks(model: Any, callbacks: Any) -> None:
    """Raises `ValueError` for callbacks of Keras that would do nothing.

    `model` is compiled. `callbacks` are a list, a
    `keras.callbacks.CallbackList`, or `None`.
    """
    kind = type(model).__name__
    for callback in keras.tree.flatten(
        getattr(callbacks, "callbacks", callbacks or [])
    ):
        name = type(callback).__name__
        if isinstance(
            callback,
            keras.callbacks.LearningRateScheduler
            | keras.callbacks.ReduceLROnPlateau,
        ):
            for schedule in schedules_of(model):
                raise ValueError(
                    f"`{name}` sets the learning rate, which must be a number "
                    "and not a schedule. Received: a "
                    f"{type(schedule).__name__}. Compile with numbers, or "
                    "leave the callback out."
                )
        if (
            isinstance(callback, keras.callbacks.TerminateOnNaN)
            and "optimizer" not in model.compiled_objects
        ):
            raise ValueError(
                f"`{name}` watches `loss`, which a `{kind}` does not have. "
                "Received: such a callback. Use "
                "`keras_t2i.callbacks.StopOnNaN`."
            )
        if not isinstance(callback, keras.callbacks.SwapEMAWeights):
            continue
        if model.why_no_use_ema is not None:
            raise ValueError(
                f"`{name}` is not for a `{kind}`: {model.why_no_use_ema}. "
                "Received: such a callback. Leave it out."
            )
        if not uses_ema(model.optimizer):
            raise ValueError(
                f"`{name}` is for an optimizer with `use_ema=True`. Received: "
                f"{model.optimizer.name} without. Compile with such an "
                "optimizer, or leave the callback out."
            )


def uses_ema(optimizer: Any) -> bool:
    """Whether an optimizer averages the weights."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(inner, "use_ema", False)
