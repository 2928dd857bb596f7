"""Image files of any kind, the images of data sets, and those of models."""

import io
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from PIL import ImageOps

from keras_t2i.reading import UnusableFileError
from keras_t2i.reading import read_file
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

# Maps the width and height of an image to the left, top, right and bottom of
# the part to keep. Raises `ValueError` if there is none.
CropOf = Callable[[int, int], tuple[int, int, int, int]]

# Not every format Pillow knows: reading EPS would run Ghostscript.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# Those of the files of these formats.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    ".ppm",
)
# An RGB image of as many pixels as Pillow reads, without compression.
_MAX_IMAGE_BYTES = 2**28
_EXIF_ORIENTATION = 0x0112
_EXIF_UPRIGHT = 1
# Longer side over shorter side. A file of few bytes can be a line of millions
# of pixels, which resizing would make thick.
_MAX_ASPECT_RATIO = 50
# What a pixel without a value becomes, in [-1, 1].
_MID_GRAY = 0.0


def to_model_range(images: Tensor) -> Tensor:
    """Brings uint8 images, of any shape, to float32 in [-1, 1] for models.

    Example:

    >>> from keras_t2i.datasets.images import to_model_range
    >>> to_model_range(np.array([0, 255], "uint8")).numpy()
    array([-1.,  1.], dtype=float32)
    """
    # No division: in a graph, but not outside of one, TensorFlow makes it this
    # product, which can round differently.
    return keras.ops.cast(images, "float32") * (1 / 127.5) - 1.0


def to_uint8(images: Tensor) -> Tensor:
    """Brings float images, of any shape, from [-1, 1] back to uint8.

    Values outside are clipped; NaN becomes mid-gray.

    Example:

    >>> from keras_t2i.datasets.images import to_uint8
    >>> to_uint8(np.array([-1.0, 1.0, 1.5])).numpy()
    array([  0, 255, 255], dtype=uint8)
    """
    # Half-precision floats have too few digits for 256 levels and rounding.
    images = keras.ops.cast(images, "float32")
    images = keras.ops.nan_to_num(
        images, nan=_MID_GRAY, posinf=1.0, neginf=-1.0
    )
    images = keras.ops.clip(images, -1.0, 1.0)
    return keras.ops.cast(keras.ops.round((images + 1.0) * 127.5), "uint8")


def without_image_suffix(name: str) -> str:
    """Returns a name without the suffix of an image file, if it has one.

    Example:

    >>> from keras_t2i.datasets.images import without_image_suffix
    >>> [without_image_suffix(name) for name in ["jpg/a.JPG", "a.b"]]
    ['jpg/a', 'a.b']
    """
    for suffix in IMAGE_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def stored_side(image_size: int) -> int:
    """Returns the shorter side of a prepared image, in pixels.

    It is a fifth more than a model's images have, which leaves room to crop.
    """
    return round(image_size * 76 / 64)


def read_image(
    path: StrPath,
    side: int,
    crop_of: CropOf | None = None,
) -> bytes:
    """Reads an image file for a prepared data set.

    Gray, palette, transparent (shown on white), CMYK, 16-bit and EXIF-rotated
    images become plain upright RGB, the shorter side as many pixels as `side`.
    `crop_of` sees the upright image.

    Returns a PNG file, or the file as it was if it is a JPEG that needs no
    change. Raises `UnusableFileError` if the file is missing, no regular one,
    no image, truncated, far too large or extremely thin.
    """
    try:
        content = read_file(path, _MAX_IMAGE_BYTES)
    except OSError as error:
        raise UnusableFileError(str(path), str(error.strerror)) from None
    return _prepared(content, str(path), side, crop_of)


def _prepared(
    content: bytes,
    name: str,
    side: int,
    crop_of: CropOf | None = None,
) -> bytes:
    try:
        with warnings.catch_warnings():
            # Pillow warns about metadata, which nothing here uses.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
                _check_aspect_ratio(opened)
                # Truncation shows only now.
                opened.load()
                is_ready = crop_of is None and _is_ready(opened, side)
                if is_ready and _is_read_in_training(content):
                    return content
                image = _to_upright_rgb(opened)
                if crop_of is not None:
                    image = image.crop(crop_of(*image.size))
                image = _resize(image, side)
                return encode_png(np.asarray(image))
    except Image.UnidentifiedImageError:
        reason = "is not an image"
    # Pillow's readers raise many kinds of exceptions for damaged files.
    except Exception as error:
        reason = f"cannot be read as an image ({error})"
    raise UnusableFileError(name, reason)


def read_square(path: StrPath, side: int) -> np.ndarray:
    """Reads an image file as a square for a model.

    The image becomes plain upright RGB, as in `read_image`. Its shorter side
    is resized, antialiased, and its center is cropped.

    Args:
        path: path of a JPEG, PNG, GIF, BMP, TIFF, WebP or PPM file.
        side: int. Pixels of the square's side.

    Returns:
        uint8 array of shape `(side, side, 3)`.

    Raises:
        UnusableFileError: the file cannot be used, as in `read_image`.
    """
    return _central_square(read_image(path, side), side)


def decoded_square(content: bytes, name: str, side: int) -> np.ndarray:
    """Decodes the content of a file as `read_square` does; errors name it."""
    return _central_square(_prepared(content, name, side), side)


def _central_square(encoded: bytes, side: int) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        left, top = ((length - side) // 2 for length in image.size)
        return np.asarray(image.crop((left, top, left + side, top + side)))


def model_square(encoded: bytes, crop_size: int, image_size: int) -> np.ndarray:
    """Crops a prepared image to the square that a model sees of it.

    It is the central one of the squares that training crops at random, resized
    as there (bilinear, antialiased) if the model has another size. The result
    is uint8 of shape `(image_size, image_size, 3)`.

    `encoded` is the JPEG or PNG file of a prepared data set, `crop_size` is the
    `image_size` of the data set, in pixels. A smaller image is cropped to its
    shorter side.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        side = min(crop_size, *image.size)
        # An odd pixel is left over on the same side as in training.
        left, top = ((length - side + 1) // 2 for length in image.size)
        square = image.convert("RGB").crop((left, top, left + side, top + side))
    if side != image_size:
        square = square.resize(
            (image_size, image_size), Image.Resampling.BILINEAR
        )
    return np.asarray(square)


def encode_png(pixels: np.ndarray, compress_level: int = -1) -> bytes:
    """Encodes uint8 pixels of shape `(height, width, 3)` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, format="PNG", compress_level=compress_level
    )
    return file.getvalue()


def _check_aspect_ratio(image: Image.Image) -> None:
    if max(image.size) > _MAX_ASPECT_RATIO * min(image.size):
        raise ValueError(
            f"{image.width} x {image.height} pixels are too thin: the longer "
            f"side may be at most {_MAX_ASPECT_RATIO} times the shorter"
        )


def _is_ready(image: Image.Image, side: int) -> bool:
    orientation = image.getexif().get(_EXIF_ORIENTATION, _EXIF_UPRIGHT)
    return (
        image.format == "JPEG"
        and image.mode == "RGB"
        and orientation == _EXIF_UPRIGHT
        and min(image.size) == side
    )


def _is_read_in_training(content: bytes) -> bool:
    """Whether TensorFlow reads a JPEG, too: Pillow reads more damaged ones."""
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _to_upright_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow clips 16-bit values to 255 instead of scaling them.
        pixels = np.asarray(image).astype(np.int64)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("gray values must be in [0, 65535]")
        return Image.fromarray((pixels // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("float pixels have no known range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _resize(image: Image.Image, side: int) -> Image.Image:
    shorter = min(image.size)
    if shorter == side:
        return image
    width, height = (round(length * side / shorter) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
