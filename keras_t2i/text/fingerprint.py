"""Tells whether embeddings belong to a data set and an encoder."""

import hashlib

from keras_t2i.datasets.embedding_manifest import data_fingerprint
from keras_t2i.datasets.manifest import Manifest


def embeddings_fingerprint(manifest: Manifest, encoder) -> str:
    """Returns a digest of a prepared data set and of a text encoder.

    Args:
        manifest: `Manifest` of the data set.
        encoder: `keras.Model`.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    for weight in encoder.get_weights():
        digest.update(str(weight.shape).encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()
