"""What a GAN has for a text encoder if it only knows embeddings."""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class PrecomputedEmbeddings(ConfiguredModel):
    """Stands for a text encoder where embeddings come from elsewhere.

    A GAN with it is trained on such embeddings, of CLIP or a sentence model for
    example, and generates from them by `generate_from_embeddings`. It cannot
    read captions.

    Args:
        embedding_dim: int. Size of the embeddings.

    Call input: tensor of shape `(batch, embedding_dim)`. Output: the same.

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.text.PrecomputedEmbeddings(512),
    ... )
    >>> gan.generate_from_embeddings(np.zeros((2, 512))).shape
    (2, 32, 32, 3)
    """

    def __init__(self, embedding_dim: int, **kwargs: Any):
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        embeddings = keras.Input((embedding_dim,), name="text_embeddings")
        outputs = layers.Identity(dtype=policy)(embeddings)
        super().__init__(inputs=embeddings, outputs=outputs, **kwargs)
        self.set_arguments(policy, embedding_dim=embedding_dim)

    def tokenize(self, texts: Tensor) -> Tensor:
        """Raises `ValueError`: texts cannot be read."""
        check_reads_texts(self)
        return texts


def check_reads_texts(text_encoder: Any) -> None:
    """Raises `ValueError` for `PrecomputedEmbeddings`."""
    if isinstance(text_encoder, PrecomputedEmbeddings):
        raise ValueError(
            "The model was trained on embeddings that were computed elsewhere, "
            "and needs such embeddings, of size "
            f"{text_encoder.embedding_dim}. Received: texts. Embed them by "
            "what made those of the training, and use `generate --embeddings "
            "FILE` or `generate_from_embeddings`."
        )


def checked_embeddings(
    text_embeddings: Any, dim: int | None = None
) -> np.ndarray:
    """Returns text embeddings as a float32 array of a row for each text.

    Args:
        text_embeddings: array of numbers of shape `(num_texts, dim)`.
        dim: int. The size that they must have. Defaults to `None`: any.

    Raises:
        ValueError: they have another shape, there is none, or they hold NaN or
            infinity.
    """
    rows = np.asarray(text_embeddings, np.float32)
    finite = np.isfinite(rows).all()
    fits = rows.ndim == 2 and dim in (None, rows.shape[1])
    if not fits or not rows.size or not finite:
        raise ValueError(
            "`text_embeddings` must be finite numbers of shape (num_texts, "
            f"{dim or 'dim'}), at least one row. Received: shape {rows.shape}"
            f"{'' if finite else ', not all finite'}."
        )
    return rows
