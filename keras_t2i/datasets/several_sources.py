"""Several raw data sets as one."""

import dataclasses
from collections.abc import Mapping

from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import ListedSource
from keras_t2i.datasets.source import Source


class SeveralSources(ListedSource):
    """Several sources, prepared as one data set.

    Each keeps its splits. The name of its source comes before an image's id,
    and before its class.

    Args:
        sources: mapping of names to `Source`.

    Raises:
        ValueError: there is none, or some have classes and others do not.

    Example:

    >>> blooms = {
    ...     str(seed): keras_t2i.datasets.BloomsSource(num_images=10, seed=seed)
    ...     for seed in (1, 2)
    ... }
    >>> both = keras_t2i.datasets.SeveralSources(blooms)
    >>> [both.read(key, 32).id for key in both.splits()["test"]]
    ['1/test-000000', '2/test-000000']
    """

    def __init__(self, sources: Mapping[str, Source]):
        super().__init__()
        if len({bool(s.class_names) for s in sources.values()}) != 1:
            with_classes = [n for n, s in sources.items() if s.class_names]
            raise ValueError(
                "Expected sources that all have classes, or all have none. "
                f"Received: {list(sources)}, of which {with_classes} have. "
                "Prepare them on their own, or move the images of each into "
                "one folder."
            )
        self._sources = dict(sources)
        self.name = next(iter(sources.values())).name
        for name, source in sources.items():
            self.class_names += [f"{name}/{c}" for c in source.class_names]
            self.unusable += source.unusable
            self.notes += [f"{name}: {note}" for note in source.notes]
            for split, keys in source.splits().items():
                self._splits.setdefault(split, []).extend(
                    (name, *key) for key in keys
                )

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one example of one of the sources."""
        name, *rest = key
        source = self._sources[name]
        record = source.read(tuple(rest), image_size)
        class_id = record.class_id
        if self.class_names:
            class_name = f"{name}/{source.class_names[class_id]}"
            class_id = self.class_names.index(class_name)
        return dataclasses.replace(
            record, id=f"{name}/{record.id}", class_id=class_id
        )
