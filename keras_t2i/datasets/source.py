"""What a data set's raw files are read through."""

from typing import Protocol

from keras_t2i.datasets.records import CaptionedImage

# Whatever a source's `read` needs to know to find one example, as JSON values.
Key = tuple


class UnusableFileError(ValueError):
    """One file of a source can not be used; the others still can.

    Args:
        file: string. The file, as the user would look for it.
        reason: string. What is wrong with it.
    """

    def __init__(self, file: str, reason: str):
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self):
        return f"{self.file}: {self.reason}"


class Source(Protocol):
    """Raw captioned images, as `prepare` reads them.

    A source lists its files when it is made and reads one only in `read`,
    which may run in another process: a source must be picklable, and its
    pickle small, so the listing need not be in it.

    Attributes:
        name: string. The manifest's name.
        class_names: list of strings. Empty without classes.
        unusable: list of `UnusableFileError`. What the listing had to leave
            out, such as an image without captions.
    """

    name: str
    class_names: list[str]
    unusable: list[UnusableFileError]

    def splits(self) -> dict[str, list[Key]]:
        """Returns the keys of each split, in the order they are written."""

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one example, its image ready for models of `image_size`.

        Raises:
            UnusableFileError: the image or its captions can not be used.
        """
