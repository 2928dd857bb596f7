"""Whether what judges a model has not trained it."""

import numpy as np


def check_independence(images, judge, caption_match=None):
    """Raises `ValueError` where what judges has trained what is judged.

    A model learns to please the networks that it is trained with: what these
    say of its images is too good.

    Args:
        images: `ModelImages` or `FolderImages`.
        judge: `Judge`.
        caption_match: `CaptionMatch`. Defaults to `None`.

    Raises:
        ValueError: the judge, or the network of the text encoder's image side,
            has trained the model, or the text encoder is the model's own.
    """
    if judge.known_as & images.trained_with:
        raise ValueError(
            "A model must be judged by a network that it was not trained with. "
            f"Received: {judge.name!r}, and a model trained with "
            f"{', '.join(sorted(images.trained_with))}. Name another network."
        )
    if caption_match is None:
        return
    if caption_match.image_network in images.trained_with:
        raise ValueError(
            "R-precision needs a text encoder with image features of a network "
            "that the model was not trained with. Received: those of "
            f"{caption_match.image_network!r}, and a model trained with "
            f"{', '.join(sorted(images.trained_with))}. Train another one by "
            "`keras-t2i train-text --image-encoder`."
        )
    own = images.text_encoder
    if own is not None and _share_weights(own, caption_match.text_encoder):
        raise ValueError(
            "R-precision needs another text encoder than the model's own, "
            "whose embeddings the model was trained with. Received: one with "
            "its weights. Train another one by `keras-t2i train-text`."
        )


def _share_weights(first, second):
    # Any of them, as the last layer's scale changes when a training ends.
    # Zeros and ones are what several encoders may begin with and keep.
    return any(
        a.shape == b.shape and np.ptp(a) > 0 and np.array_equal(a, b)
        for a, b in zip(first.get_weights(), second.get_weights())
    )
