"""Raw files -> a prepared data set."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.shard_writing import WrittenShard
from keras_t2i.datasets.shard_writing import write_shards
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import check_several_classes
from keras_t2i.datasets.source import read_captions
from keras_t2i.files import atomic_write
from keras_t2i.files import file_sha256
from keras_t2i.files import locked_folder
from keras_t2i.files import remove_temporaries
from keras_t2i.reading import MAX_TABLE_BYTES
from keras_t2i.reading import read_json
from keras_t2i.reading import read_text
from keras_t2i.tokenizers import Unread
from keras_t2i.tokenizers import sum_unread
from keras_t2i.types import StrPath
from keras_t2i.version import __version__

_IMAGES_PER_SHARD = 1000
# A process first imports TensorFlow, which takes as long as preparing this many
# images.
_IMAGES_PER_WORKER = 4000
# Each takes several hundred MB of memory.
_MAX_WORKERS = 8
_JOURNAL_FILE = "preparing.json"
# Not those that are being written: their names start with a dot.
_WHOLE_SHARDS = "[!.]*.tfrecord"


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What `prepare` did.

    Args:
        manifest: `Manifest`.
        skipped: tuple of strings. What could not be used, with the reasons.
        num_skipped: int. How many files that is: a class that is not used is
            one of `skipped`, and has many files.
        was_there: bool. Whether the same data set had been prepared before.
            Then nothing was read, `skipped` is empty and the counts are 0.
        unread: `keras_t2i.tokenizers.Unread`. What text encoders that read
            characters do not read of the captions.
    """

    manifest: Manifest
    skipped: tuple[str, ...]
    num_skipped: int
    was_there: bool = False
    unread: Unread = Unread()


def prepare(
    source: Source,
    out: StrPath,
    *,
    image_size: int = 64,
    strict: bool = False,
    num_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Preparation:
    """Writes a prepared data set: TFRecord shards and a manifest.

    If a run was interrupted, the same call resumes it; if it has ended, the
    same call does nothing. The same source and options give the same bytes.
    Several processes (`num_workers`) import the script that calls this, which
    must do its work under `if __name__ == "__main__":`.

    Args:
        source: `Source`, such as `OxfordFlowers("data/oxford")`.
        out: path of a folder to make. It is complete once it holds a
            `manifest.json`.
        image_size: int. Pixels of the square images of the models to train.
            Defaults to `64`.
        strict: bool. Whether a file that cannot be used is an error; it is
            skipped otherwise. Defaults to `False`.
        num_workers: int. Processes to use. Defaults to `None`: this one alone
            for a few thousand images, up to one per CPU core for more.
        progress: function called with the images done and all images.
            Defaults to `None`.

    Returns:
        `Preparation`.

    Raises:
        ValueError: `source` is no `Source`, `out` holds something else
            already, another process writes to it, a split has no usable image,
            the training images are all of one class, or, with `strict`, a file
            cannot be used.
        OSError: a file cannot be written.

    Example:

    >>> import tempfile
    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> from keras_t2i.datasets.preparation import prepare
    >>> blooms = BloomsSource(num_images=20)
    >>> preparation = prepare(blooms, tempfile.mkdtemp(), image_size=32)
    >>> preparation.manifest.splits["train"].num_images
    16
    """
    if not hasattr(source, "splits"):
        raise ValueError(
            "`source` must be a `Source`, such as `OxfordFlowers(folder)`. "
            f"Received: {source!r:.100}"
        )
    check_whole_number(image_size, "image_size", at_least=1)
    # JSON knows no whole numbers of NumPy.
    image_size = int(image_size)
    if num_workers is not None:
        check_whole_number(num_workers, "num_workers", at_least=1)
    out = pathlib.Path(out)
    if strict and source.unusable:
        raise source.unusable[0]
    splits = source.splits()
    for split, keys in splits.items():
        if not keys:
            raise _empty_split(split, source.unusable)
    fingerprint = _fingerprint(source, splits, image_size)
    plan = {split: _plan_shards(split, keys) for split, keys in splits.items()}
    files = {
        file: keys for part in plan.values() for file, keys in part.items()
    }
    captions = {
        file: _captions_digest(source, keys) for file, keys in files.items()
    }
    whole_fingerprint = _with_captions(fingerprint, captions)
    if out.is_file():
        raise ValueError(
            f"`out` must name a folder. Received: {str(out)!r}, which is a "
            "file. Name another one."
        )
    out.mkdir(parents=True, exist_ok=True)
    with locked_folder(out, wait=False):
        if (out / MANIFEST_FILE).exists():
            manifest = _already_there(out, whole_fingerprint, image_size)
            if strict:
                _check_nothing_skipped(source, splits, out, manifest)
            return Preparation(manifest, (), 0, was_there=True)
        remove_temporaries(out)
        journal = _Journal(out, fingerprint, captions)
        _write_missing(
            source,
            {out / file: keys for file, keys in files.items()},
            journal,
            image_size=image_size,
            strict=strict,
            num_workers=num_workers,
            progress=progress,
        )
        try:
            preparation = _summarize(
                source, plan, journal.shards, image_size, whole_fingerprint
            )
        except ValueError:
            for file in files:
                (out / file).unlink(missing_ok=True)
            journal.remove()
            raise
        write_manifest(out, preparation.manifest)
        journal.remove()
        return preparation


def _already_there(
    out: pathlib.Path, fingerprint: str, image_size: int
) -> Manifest:
    manifest = read_manifest(out)
    if manifest.source_fingerprint != fingerprint:
        how = "from another source, captions or options, or by another version"
        if manifest.image_size != image_size:
            how = f"with `image_size` {manifest.image_size}"
        raise ValueError(
            "Expected a folder to fill, or a data set prepared from the same "
            f"source with the same options. Received: {out}, which is a "
            f"prepared data set already, {how}. Use it, or name another folder."
        )
    return manifest


def _check_nothing_skipped(
    source: Source,
    splits: Mapping[str, list[Key]],
    out: pathlib.Path,
    manifest: Manifest,
) -> None:
    """Checks a data set that may have been prepared without `strict`."""
    for split, keys in splits.items():
        num_skipped = len(keys) - manifest.splits[split].num_images
        if num_skipped:
            raise ValueError(
                f"{out} must have all images of its source. Received: a data "
                f"set that was prepared without {num_skipped} images of "
                f"{split!r}. Prepare it in another folder to see which."
            )
        for path in filter(None, map(source.caption_file, keys)):
            for error in read_captions(path)[1]:
                raise error


def _write_missing(
    source: Source,
    shards: Mapping[pathlib.Path, list[Key]],
    journal: "_Journal",
    *,
    image_size: int,
    strict: bool,
    num_workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes the shards that an earlier run has not left whole."""
    missing = {
        path: keys
        for path, keys in shards.items()
        if not journal.is_whole(path.name)
    }
    num_images = sum(map(len, shards.values()))
    num_missing = sum(map(len, missing.values()))

    def on_images(num_done: int) -> None:
        if progress is not None:
            progress(num_images - num_missing + num_done, num_images)

    if num_workers is None:
        num_workers = min(
            num_missing // _IMAGES_PER_WORKER, os.cpu_count() or 1, _MAX_WORKERS
        )
    try:
        write_shards(
            source,
            missing,
            num_workers=min(num_workers, len(missing)),
            image_size=image_size,
            strict=strict,
            on_images=on_images,
            on_shard=journal.add,
        )
    except BaseException:
        journal.remove_if_empty()
        raise


def _plan_shards(split: str, keys: list[Key]) -> dict[str, list[Key]]:
    starts = range(0, len(keys), _IMAGES_PER_SHARD)
    return {
        f"{split}-{number:05d}-of-{len(starts):05d}.tfrecord": keys[
            start : start + _IMAGES_PER_SHARD
        ]
        for number, start in enumerate(starts)
    }


def _fingerprint(
    source: Source, splits: Mapping[str, list[Key]], image_size: int
) -> str:
    parts = [
        __version__,
        source.name,
        source.class_names,
        splits,
        image_size,
        _IMAGES_PER_SHARD,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _captions_digest(source: Source, keys: Sequence[Key]) -> str:
    """Returns the digest of the files with captions, "" if there are none."""
    digest = hashlib.sha256()
    has_files = False
    for path in map(source.caption_file, keys):
        if path is not None:
            has_files = True
            # A file that cannot be read is skipped later, and named.
            with contextlib.suppress(OSError, ValueError):
                text = read_text(path).encode(errors="surrogateescape")
                digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest() if has_files else ""


def _with_captions(fingerprint: str, captions: Mapping[str, str]) -> str:
    digests = "".join(captions.values())
    if not digests:
        return fingerprint
    return hashlib.sha256((fingerprint + digests).encode()).hexdigest()


def _summarize(
    source: Source,
    plan: Mapping[str, Mapping[str, Sequence[Key]]],
    written: Mapping[str, WrittenShard],
    image_size: int,
    fingerprint: str,
) -> Preparation:
    """Makes the manifest, or fails if the data set would be of no use."""
    skipped = [str(error) for error in source.unusable]
    splits = {}
    for split, files in plan.items():
        parts = {file: written[file] for file in files}
        for part in parts.values():
            skipped += part.skipped
        num_images = sum(part.num_records for part in parts.values())
        if not num_images:
            raise _empty_split(split, skipped)
        splits[split] = Split(
            num_images=num_images,
            num_captions=sum(part.num_captions for part in parts.values()),
            shards=tuple(
                Shard(file, part.sha256, part.num_records)
                for file, part in parts.items()
                if part.num_records
            ),
        )
    if source.class_names:
        check_several_classes(
            {
                source.class_names[id]
                for file in plan.get("train", ())
                for id in written[file].class_ids
            }
        )
    num_more = sum(error.num_files - 1 for error in source.unusable)
    unread = sum_unread(shard.unread for shard in written.values())
    return Preparation(
        Manifest(
            source.name,
            image_size,
            tuple(source.class_names),
            splits,
            fingerprint,
        ),
        tuple(skipped),
        len(skipped) + num_more,
        unread=unread,
    )


def _empty_split(split: str, skipped: Sequence[object]) -> ValueError:
    reason = f"; the last reason: {skipped[-1]}" if skipped else ""
    return ValueError(
        f"The split {split!r} must have at least one usable image. Received: "
        f"none, {len(skipped)} files were skipped{reason}."
    )


class _Journal:
    """What has been written of a data set, as long as it is unfinished.

    A file in the data set's folder. `fingerprint` stands for everything that
    all shards depend on, `captions` for the files with each shard's captions.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        fingerprint: str,
        captions: Mapping[str, str],
    ):
        self._directory = directory
        self._path = directory / _JOURNAL_FILE
        self._fingerprint = fingerprint
        self._captions = captions
        self.shards: dict[str, WrittenShard] = {}
        if self._path.exists():
            self._read()
        elif any(directory.glob(_WHOLE_SHARDS)):
            raise ValueError(
                f"Expected an empty folder. Received: {directory}, which "
                "holds shards of something else. Empty the folder or choose "
                "another."
            )
        else:
            self._write()

    def is_whole(self, file: str) -> bool:
        """Whether a shard need not be written again.

        One with skipped images must, since their files may have been repaired
        meanwhile, and so must one whose captions have changed.
        """
        written = self.shards.get(file)
        path = self._directory / file
        return (
            written is not None
            and not written.skipped
            and path.exists()
            and written.captions_sha256 == self._captions[file]
            and file_sha256(path) == written.sha256
        )

    def add(self, path: pathlib.Path, written: WrittenShard) -> None:
        self.shards[path.name] = dataclasses.replace(
            written, captions_sha256=self._captions[path.name]
        )
        self._write()

    def remove(self) -> None:
        self._path.unlink()

    def remove_if_empty(self) -> None:
        # A shard may be whole without being noted yet.
        if not any(self._directory.glob(_WHOLE_SHARDS)):
            self.remove()

    def _read(self) -> None:
        try:
            journal = read_json(self._path, MAX_TABLE_BYTES)
            fingerprint = journal["fingerprint"]
            self.shards = {
                file: WrittenShard(**values)
                for file, values in journal["shards"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"{self._path} must say how far the data set is. Received: a "
                f"damaged file. Empty the folder {self._directory}."
            ) from None
        if fingerprint != self._fingerprint:
            raise ValueError(
                "Expected to resume with the same source and options. "
                f"Received: {self._directory}, which was begun with others. "
                "Empty the folder or choose another."
            )

    def _write(self) -> None:
        shards = {
            file: dataclasses.asdict(written)
            for file, written in self.shards.items()
        }
        journal = {"fingerprint": self._fingerprint, "shards": shards}
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(journal), encoding="utf-8")
