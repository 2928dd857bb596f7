"""What a folder of shards holds: its `manifest.json`."""

import dataclasses
import hashlib
import json
import pathlib
import re
from typing import Any

from keras_t2i.files import atomic_write
from keras_t2i.reading import read_json
from keras_t2i.types import StrPath

MANIFEST_FILE = "manifest.json"

# Last in the file. Manifests of earlier versions have none.
_CHECKSUM = "checksum"
_SHA256 = re.compile("[0-9a-f]{64}")
_BARE_NAME = re.compile(r"(?!\.\.?$)[^/\\\0]+")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file of a split: its name in the folder, and what it holds.

    `sha256` has 64 hexadecimal digits.
    """

    file: str
    sha256: str
    num_records: int


@dataclasses.dataclass(frozen=True)
class Split:
    """One split, such as `train`: its shards, and what they hold together."""

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
        source_fingerprint: string. Digest of the source and the options that
            it was made with. Empty if unknown, as in data sets made before
            there was one.
    """

    name: str
    image_size: int
    class_names: tuple[str, ...]
    splits: dict[str, Split]
    source_fingerprint: str = ""


@dataclasses.dataclass(frozen=True)
class EmbeddingManifest:
    """Embeddings of the captions of a prepared data set.

    `data_fingerprint` is a digest of the data set, `fingerprint` of the text
    encoder too. `splits` have as many records, in the same order, as those of
    the data set.
    """

    embedding_dim: int
    data_fingerprint: str
    fingerprint: str
    splits: dict[str, Split]


def write_manifest(
    directory: StrPath, manifest: Manifest | EmbeddingManifest
) -> None:
    """Writes the manifest of a folder of shards."""
    values = dataclasses.asdict(manifest)
    if not values.get("source_fingerprint", True):
        del values["source_fingerprint"]
    values[_CHECKSUM] = _checksum(values)
    text = json.dumps(values, indent=2, ensure_ascii=False)
    with atomic_write(pathlib.Path(directory) / MANIFEST_FILE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: StrPath) -> Manifest:
    """Reads and checks the manifest of a prepared data set.

    The shards must be there, but are not read. Raises `ValueError` if there is
    no manifest, or it is damaged.
    """
    fields = _read_fields(directory, made_by="keras-t2i prepare")
    if "embedding_dim" in fields.values:
        raise ValueError(
            "Expected a data set, made by `keras-t2i prepare`. Received: "
            f"{str(directory)!r}, which holds embeddings or features of one."
        )
    class_names = fields.get("class_names", list)
    if not all(isinstance(name, str) for name in class_names):
        raise fields.error(
            "`class_names` must be a list of strings. Received: "
            f"{class_names!r}"
        )
    manifest = Manifest(
        name=fields.get("name", str),
        image_size=fields.get("image_size", int, at_least=1),
        class_names=tuple(class_names),
        splits=_read_splits(fields),
        source_fingerprint=fields.get("source_fingerprint", str, default=""),
    )
    _check_values(fields)
    return manifest


def read_embedding_manifest(directory: StrPath) -> EmbeddingManifest:
    """Reads and checks the manifest of a folder of embeddings.

    Raises `ValueError` if there is no manifest, or it is damaged.
    """
    fields = _read_fields(directory, made_by="keras-t2i embed")
    if "image_size" in fields.values:
        raise ValueError(
            "Expected embeddings of a data set, made by `keras-t2i embed`. "
            f"Received: {str(directory)!r}, which is a data set itself."
        )
    manifest = EmbeddingManifest(
        embedding_dim=fields.get("embedding_dim", int, at_least=1),
        data_fingerprint=fields.get("data_fingerprint", str),
        fingerprint=fields.get("fingerprint", str),
        splits=_read_splits(fields),
    )
    _check_values(fields)
    return manifest


def data_fingerprint(manifest: Manifest) -> str:
    """Returns a digest, in hexadecimal, of all that a data set holds."""
    digests = {
        name: [shard.sha256 for shard in split.shards]
        for name, split in manifest.splits.items()
    }
    text = json.dumps(digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class _Fields:
    """A JSON object of a manifest, whose values are checked when taken."""

    def __init__(self, path: pathlib.Path, name: str, values: Any):
        # `name` is what error messages call the object.
        self.path, self.name, self.values = path, name, values
        if not isinstance(values, dict):
            raise self.error(
                f"`{name}` must be a JSON object. Received: {values!r}"
            )

    def error(self, what: str) -> ValueError:
        return ValueError(f"{self.path}: {what}. Make the folder again.")

    def get(
        self,
        key: str,
        kind: type,
        at_least: int | None = None,
        default: Any = None,
    ) -> Any:
        if key not in self.values:
            if default is not None:
                return default
            raise self.error(
                f"`{self.name}` must have `{key}`. Received: "
                f"{sorted(self.values)}"
            )
        value = self.values[key]
        # JSON's true is an int in Python.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(
                f"`{key}` of `{self.name}` must be of type {kind.__name__}. "
                f"Received: {value!r}"
            )
        if at_least is not None and self.values[key] < at_least:
            raise self.error(
                f"`{key}` of `{self.name}` must be at least {at_least}. "
                f"Received: {value}"
            )
        return value


def _read_fields(directory: StrPath, made_by: str) -> _Fields:
    path = pathlib.Path(directory) / MANIFEST_FILE
    try:
        values = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"Expected a folder made by `{made_by}`, with a {MANIFEST_FILE}. "
            f"Received: {str(directory)!r}, which has none."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path}: must be JSON. Received: {error}. Make the folder again."
        ) from None
    return _Fields(path, "manifest", values)


def _check_values(fields: _Fields) -> None:
    """Checks that the values are those that were written.

    Afterwards: of a value that cannot be right, an error tells more.
    """
    values = dict(fields.values)
    received = values.pop(_CHECKSUM, None)
    if received is not None and received != (right := _checksum(values)):
        raise fields.error(
            f"`{_CHECKSUM}` must be that of the other values, {right}. "
            f"Received: {received!r}. The file is damaged or was changed"
        )


def _checksum(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_splits(fields: _Fields) -> dict[str, Split]:
    splits = _Fields(fields.path, "splits", fields.get("splits", dict))
    if not splits.values:
        raise fields.error(
            "`splits` must name at least one split. Received: {}"
        )
    return {
        name: _read_split(
            _Fields(fields.path, f"splits.{name}", splits.get(name, dict))
        )
        for name in splits.values
    }


def _read_split(split: _Fields) -> Split:
    shards = tuple(
        _read_shard(_Fields(split.path, f"{split.name}.shards[{place}]", shard))
        for place, shard in enumerate(split.get("shards", list))
    )
    num_images = split.get("num_images", int, at_least=1)
    num_records = sum(shard.num_records for shard in shards)
    if num_images != num_records:
        raise split.error(
            f"`num_images` of `{split.name}` must be the records of its "
            f"shards, {num_records}. Received: {num_images}"
        )
    num_captions = split.get("num_captions", int, at_least=num_images)
    return Split(num_images, num_captions, shards)


def _read_shard(fields: _Fields) -> Shard:
    file, sha256 = fields.get("file", str), fields.get("sha256", str)
    if not _SHA256.fullmatch(sha256):
        raise fields.error(
            f"`sha256` of `{fields.name}` must be 64 hexadecimal digits. "
            f"Received: {sha256!r}"
        )
    # A manifest may come from a stranger: it must not name files elsewhere.
    if not _BARE_NAME.fullmatch(file):
        raise fields.error(
            "`file` of a shard must be the bare name of a file in the same "
            f"folder. Received: {file!r}"
        )
    path = fields.path.parent / file
    if not path.is_file():
        raise fields.error(
            f"must list files that are there. Received: {file!r}"
        )
    if path.stat().st_size == 0:
        raise fields.error(
            f"must list files that are not empty. Received: {file!r}, of 0 "
            "bytes"
        )
    return Shard(file, sha256, fields.get("num_records", int, at_least=1))
