"""Which shards of an unfinished preparation are whole."""

import dataclasses
import json
import pathlib

from keras_t2i.datasets.shard_writer import WrittenShard
from keras_t2i.datasets.shard_writer import file_sha256
from keras_t2i.files import replace_when_whole

_JOURNAL_FILE = "preparing.json"
# Not those that are being written: their names start with a dot.
_WHOLE_SHARDS = "[!.]*.tfrecord"


class Journal:
    """A file in the data set's folder, for as long as it is unfinished.

    Args:
        directory: path of the data set's folder, which is made.
        fingerprint: string. Stands for everything that shards depend on.

    Raises:
        ValueError: the folder holds shards of something else.
    """

    def __init__(self, directory: pathlib.Path, fingerprint: str):
        self._directory = directory
        self._fingerprint = fingerprint
        self._path = directory / _JOURNAL_FILE
        self._shards = {}
        directory.mkdir(parents=True, exist_ok=True)
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

    def whole_shard(self, file: str) -> WrittenShard | None:
        """Returns what is known of a shard, or None to have it written.

        A shard with skipped images is written again, since their files may
        have been put right meanwhile.
        """
        written = self._shards.get(file)
        path = self._directory / file
        if written is None or written.skipped or not path.exists():
            return None
        return written if file_sha256(path) == written.sha256 else None

    def add(self, file: str, written: WrittenShard) -> None:
        """Notes that a shard is whole."""
        self._shards[file] = written
        self._write()

    def remove(self) -> None:
        """Removes the journal, when the manifest takes its place."""
        self._path.unlink()

    def remove_if_empty(self) -> None:
        """Removes the journal if there is no shard, to leave nothing behind."""
        # A shard may be whole without being noted yet.
        if not any(self._directory.glob(_WHOLE_SHARDS)):
            self.remove()

    def _read(self):
        try:
            journal = json.loads(self._path.read_text(encoding="utf-8"))
            fingerprint = journal["fingerprint"]
            self._shards = {
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
                "Expected to go on with the same source and options. "
                f"Received: {self._directory}, which was begun with others. "
                "Empty the folder or choose another."
            )

    def _write(self):
        shards = {
            file: dataclasses.asdict(written)
            for file, written in self._shards.items()
        }
        journal = {"fingerprint": self._fingerprint, "shards": shards}
        with replace_when_whole(self._path) as temporary:
            temporary.write_text(json.dumps(journal), encoding="utf-8")
