"""What a folder of extracted embeddings holds: its `manifest.json`."""

import dataclasses
import hashlib
import json
import os
import pathlib

from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import read_checked
from keras_t2i.files import replace_when_whole


@dataclasses.dataclass(frozen=True)
class EmbeddingManifest:
    """Embeddings of the captions of a prepared data set.

    Args:
        embedding_dim: int.
        data_fingerprint: string. Digest of the data set.
        fingerprint: string. Digest of the data set and of the text encoder.
        splits: dict of split names to `Split`. As many records, in the same
            order, as the data set's own splits.
    """

    embedding_dim: int
    data_fingerprint: str
    fingerprint: str
    splits: dict[str, Split]


def data_fingerprint(manifest: Manifest) -> str:
    """Returns a digest of all that a prepared data set holds.

    Args:
        manifest: `Manifest` of the data set.

    Returns:
        64 hexadecimal digits.
    """
    digests = {
        name: [shard.sha256 for shard in split.shards]
        for name, split in manifest.splits.items()
    }
    text = json.dumps(digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_embedding_manifest(
    directory: str | os.PathLike, manifest: EmbeddingManifest
) -> None:
    """Writes the manifest of a folder of extracted embeddings.

    Args:
        directory: path of the folder.
        manifest: `EmbeddingManifest`.
    """
    text = json.dumps(dataclasses.asdict(manifest), indent=2)
    path = pathlib.Path(directory) / MANIFEST_FILE
    with replace_when_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_embedding_manifest(directory: str | os.PathLike) -> EmbeddingManifest:
    """Reads and checks the manifest of a folder of extracted embeddings.

    Args:
        directory: path of the folder.

    Returns:
        `EmbeddingManifest`.

    Raises:
        ValueError: there is no manifest, or it is damaged.
    """
    fields, splits = read_checked(directory, made_by="keras-t2i embed")
    return EmbeddingManifest(
        fields.get_count("embedding_dim", 1),
        fields.get("data_fingerprint", str),
        fields.get("fingerprint", str),
        splits,
    )
