"""What a folder of shards holds: its `manifest.json`."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re

from keras_t2i.files import atomic_write

MANIFEST_FILE = "manifest.json"

_SHA256 = re.compile("[0-9a-f]{64}")
_BARE_NAME = re.compile(r"(?!\.\.?$)[^/\\\0]+")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file of a split.

    Args:
        file: string. Name inside the data set's folder.
        sha256: string. 64 hexadecimal digits, of the whole file.
        num_records: int. At least 1.
    """

    file: str
    sha256: str
    num_records: int


@dataclasses.dataclass(frozen=True)
class Split:
    """One split, such as `train`.

    Args:
        num_images: int. The records of all shards together.
        num_captions: int. At least one an image.
        shards: tuple of `Shard`, in reading order.
    """

    num_images: int
    num_captions: int
    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A whole prepared data set.

    Args:
        name: string. What it was made of, such as `oxford_flowers`.
        image_size: int. Pixels of the square images it is meant for.
        class_names: tuple of strings. A record's `class_id` is a place in it.
            Empty for data without classes.
        splits: dict of split names to `Split`.
    """

    name: str
    image_size: int
    class_names: tuple[str, ...]
    splits: dict[str, Split]


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


def write_manifest(
    directory: str | os.PathLike, manifest: Manifest | EmbeddingManifest
) -> None:
    """Writes the manifest of a folder of shards.

    Args:
        directory: path of the folder.
        manifest: `Manifest` or `EmbeddingManifest`.
    """
    text = json.dumps(
        dataclasses.asdict(manifest), indent=2, ensure_ascii=False
    )
    path = pathlib.Path(directory) / MANIFEST_FILE
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: str | os.PathLike) -> Manifest:
    """Reads and checks the manifest of a prepared data set.

    The shards must be there, but are not read.

    Args:
        directory: path of the data set's folder.

    Returns:
        `Manifest`.

    Raises:
        ValueError: there is no manifest, or it is damaged.

    Example:

    >>> import tempfile
    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> from keras_t2i.datasets.manifest import read_manifest
    >>> from keras_t2i.datasets.preparation import prepare
    >>> folder = tempfile.mkdtemp()
    >>> _ = prepare(BloomsSource(num_images=10), folder, image_size=32)
    >>> read_manifest(folder).splits["test"].num_images
    1
    """
    fields, splits = read_checked(directory, made_by="keras-t2i prepare")
    class_names = fields.get("class_names", list)
    if not all(isinstance(name, str) for name in class_names):
        raise _damaged(
            fields.path,
            "`class_names` must be a list of strings. Received: "
            f"{class_names!r}",
        )
    return Manifest(
        name=fields.get("name", str),
        image_size=fields.get_count("image_size", at_least=1),
        class_names=tuple(class_names),
        splits=splits,
    )


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


def read_checked(
    directory: str | os.PathLike, made_by: str
) -> tuple["Fields", dict[str, Split]]:
    """Reads the manifest of a folder of shards and checks its splits.

    Args:
        directory: path of the folder.
        made_by: string. The command that makes such folders.

    Returns:
        `Fields` of the whole manifest, and its splits.

    Raises:
        ValueError: there is no manifest, or it is damaged.
    """
    directory = pathlib.Path(directory)
    path = directory / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"Expected a folder made by `{made_by}`, with a {MANIFEST_FILE}. "
            f"Received: {str(directory)!r}, which has none."
        ) from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"must be JSON. Received: {error}") from None
    fields = Fields(path, "manifest", values)
    names = Fields(path, "splits", fields.get("splits", dict))
    splits = {name: _read_split(names, name) for name in names.values}
    if not splits:
        raise _damaged(
            path, "`splits` must name at least one split. Received: {}"
        )
    for split in splits.values():
        for shard in split.shards:
            _check_shard_file(path, directory, shard)
    return fields, splits


def _damaged(path, what):
    return ValueError(f"{path}: {what}. Make the folder again.")


class Fields:
    """A JSON object whose values are checked as they are taken.

    Args:
        path: path of the file it is from.
        name: string. What error messages call it.
        values: the JSON value, which must be an object.
    """

    def __init__(self, path, name, values):
        self.path, self.name, self.values = path, name, values
        if not isinstance(values, dict):
            raise _damaged(
                path, f"`{name}` must be a JSON object. Received: {values!r}"
            )

    def get(self, key: str, kind: type):
        """Returns the value of a key, which must be of a type."""
        if key not in self.values:
            raise _damaged(
                self.path,
                f"`{self.name}` must have `{key}`. Received: "
                f"{sorted(self.values)}",
            )
        value = self.values[key]
        # JSON's true is an int in Python.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _damaged(
                self.path,
                f"`{key}` of `{self.name}` must be of type {kind.__name__}. "
                f"Received: {value!r}",
            )
        return value

    def get_count(self, key: str, at_least: int) -> int:
        """Returns the value of a key, which must be an int."""
        value = self.get(key, int)
        if value < at_least:
            raise _damaged(
                self.path,
                f"`{key}` of `{self.name}` must be at least {at_least}. "
                f"Received: {value}",
            )
        return value


def _read_split(splits, name):
    split = Fields(splits.path, f"splits.{name}", splits.get(name, dict))
    shards = []
    for place, values in enumerate(split.get("shards", list)):
        fields = Fields(split.path, f"{split.name}.shards[{place}]", values)
        shard = Shard(
            file=fields.get("file", str),
            sha256=_get_sha256(fields),
            num_records=fields.get_count("num_records", at_least=1),
        )
        shards.append(shard)
    num_images = split.get_count("num_images", at_least=1)
    num_records = sum(shard.num_records for shard in shards)
    if num_images != num_records:
        raise _damaged(
            split.path,
            f"`num_images` of `{split.name}` must be the records of its "
            f"shards, {num_records}. Received: {num_images}",
        )
    num_captions = split.get_count("num_captions", at_least=num_images)
    return Split(num_images, num_captions, tuple(shards))


def _get_sha256(fields):
    sha256 = fields.get("sha256", str)
    if not _SHA256.fullmatch(sha256):
        raise _damaged(
            fields.path,
            f"`sha256` of `{fields.name}` must be 64 hexadecimal digits. "
            f"Received: {sha256!r}",
        )
    return sha256


def _check_shard_file(path, directory, shard):
    # A manifest may come from a stranger: it must not name files elsewhere.
    if not _BARE_NAME.fullmatch(shard.file):
        raise _damaged(
            path,
            "`file` of a shard must be the bare name of a file in the same "
            f"folder. Received: {shard.file!r}",
        )
    shard_path = directory / shard.file
    if not shard_path.is_file():
        raise _damaged(
            path, f"must list files that are there. Received: {shard.file!r}"
        )
    if shard_path.stat().st_size == 0:
        raise _damaged(
            path,
            f"must list files that are not empty. Received: {shard.file!r}, "
            "of 0 bytes",
        )
