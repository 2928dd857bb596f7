"""What `generate` and its like are asked for."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from keras_t2i.captions import check_captions


def checked_captions(captions):
    """Returns captions of any accepted kind as an array of bytes.

    Args:
        captions: string, or list, NumPy array or tensor of strings.

    Raises:
        ValueError: there is none, or one is empty or no string.
    """
    if tf.is_tensor(captions):
        captions = captions.numpy()
    is_text = isinstance(captions, (str, bytes))
    if is_text or not isinstance(captions, Iterable):
        captions = [captions]
    if isinstance(captions, np.ndarray):
        captions = captions.reshape(-1) if captions.ndim < 2 else captions
    captions = list(captions)
    if not captions:
        raise ValueError("`captions` must hold at least one. Received: none")
    encoded = []
    for caption in captions:
        if isinstance(caption, str):
            # Half a surrogate pair, which Python allows, is invalid UTF-8 and
            # replaced later like any other.
            caption = caption.encode("utf-8", "surrogatepass")
        if not isinstance(caption, bytes):
            raise ValueError(
                "`captions` must be a string or a flat sequence of strings. "
                f"Received: {caption!r} among them"
            )
        check_captions([caption.decode("utf-8", "replace")])
        encoded.append(caption)
    return np.array(encoded, object)


def checked_seeds(seed, num_captions, name="seed"):
    """Returns one int64 seed a caption.

    Args:
        seed: int, the first of consecutive seeds, or one int a caption.
        num_captions: int.
        name: string. The argument, for the errors. Defaults to `"seed"`.

    Raises:
        ValueError: the seeds are no such ints, or too few or many.
    """
    if tf.is_tensor(seed):
        seed = seed.numpy()
    seeds = np.asarray(seed, object)
    whole = all(
        isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        for value in seeds.flat
    )
    if whole and seeds.ndim == 0:
        seeds = seeds + np.arange(num_captions).astype(object)
    if not whole or not all(-(2**63) <= value < 2**63 for value in seeds.flat):
        raise ValueError(
            f"`{name}` must be whole numbers of 64 bits. Received: "
            f"{seed!r} for {num_captions} captions"
        )
    if seeds.shape != (num_captions,):
        raise ValueError(
            f"`{name}` must be one int, or one int for each of the "
            f"{num_captions} captions. Received: {seed!r}"
        )
    return seeds.astype(np.int64)
