import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.images import encode_png
from keras_t2i.datasets.images import model_square
from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.images import read_square
from keras_t2i.datasets.images import stored_side
from keras_t2i.reading import UnusableFileError
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import noise_image
from tests.datasets.prepared_sets import write_prepared_set


def _read(path, side):
    """Decodes what `read_image` stores, as training does."""
    return tf.io.decode_image(read_image(path, side)).numpy()


def _save(path, image, **options):
    image.save(path, **options)
    return path


def _jpeg(path, size=(20, 16), mode="RGB", **options):
    image = Image.new("RGB", size, (200, 30, 40)).convert(mode)
    return _save(path, image, format="JPEG", quality=90, **options)


def _png_claiming(path, width, height):
    """A PNG of few bytes whose header says it has many pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk
    header += struct.pack(">I", zlib.crc32(chunk))
    png = encode_png(np.zeros((2, 2, 3), "uint8"))
    path.write_bytes(png[:8] + header + png[8 + 25 :])
    return path


@pytest.mark.parametrize(
    ("image_size", "side"), [(32, 38), (64, 76), (128, 152), (256, 304)]
)
def test_stored_side(image_size, side):
    assert stored_side(image_size) == side


def test_png_holds_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), "uint8")
    np.testing.assert_array_equal(tf.io.decode_png(encode_png(pixels)), pixels)


# === A JPEG that needs no change stays as it was ===


def test_ready_jpeg_is_kept(tmp_path):
    path = _jpeg(tmp_path / "a.jpg", size=(20, 16))
    assert read_image(path, 16) == path.read_bytes()


def test_jpeg_of_another_size_is_resized(tmp_path):
    path = _jpeg(tmp_path / "a.jpg", size=(20, 16))
    assert _read(path, 8).shape == (8, 10, 3)
    assert read_image(path, 8).startswith(b"\x89PNG")


def test_ready_png_is_stored_without_its_metadata(tmp_path):
    image = Image.new("RGB", (20, 16), "red")
    path = _save(tmp_path / "a.png", image, dpi=(300, 300))
    assert b"pHYs" in path.read_bytes()
    assert b"pHYs" not in read_image(path, 16)
    assert np.all(_read(path, 16) == [255, 0, 0])


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_of_other_channels_becomes_rgb(tmp_path, mode):
    path = _jpeg(tmp_path / "a.jpg", size=(20, 16), mode=mode)
    assert read_image(path, 16).startswith(b"\x89PNG")
    assert _read(path, 16).shape == (16, 20, 3)


def test_rotated_jpeg_is_turned_upright(tmp_path):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # Shown after a quarter turn clockwise.
    path = _save(tmp_path / "a.jpg", image, exif=exif)
    pixels = _read(path, 16)
    assert pixels.shape == (32, 16, 3)
    assert pixels[:12].min() > 230
    assert pixels[20:].max() < 25


def test_upright_jpeg_with_exif_is_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 1
    path = _jpeg(tmp_path / "a.jpg", size=(20, 16), exif=exif)
    assert read_image(path, 16) == path.read_bytes()


# === Kinds of pixels ===


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 0), (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        # 128 / 255 of red, the rest of white.
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
    ],
)
def test_png_modes(tmp_path, mode, color, expected):
    path = _save(tmp_path / "a.png", Image.new(mode, (6, 4), color))
    pixels = _read(path, 4)
    assert pixels.shape == (4, 6, 3)
    assert np.all(pixels == expected)


@pytest.mark.parametrize(
    ("transparency", "expected"), [(None, (10, 20, 30)), (0, (255, 255, 255))]
)
def test_palette(tmp_path, transparency, expected):
    image = Image.new("P", (6, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    options = {} if transparency is None else {"transparency": transparency}
    path = _save(tmp_path / "a.png", image, **options)
    assert np.all(_read(path, 4) == expected)


def test_one_transparent_color(tmp_path):
    image = Image.new("RGB", (6, 4), (1, 2, 3))
    path = _save(tmp_path / "a.png", image, transparency=(1, 2, 3))
    assert np.all(_read(path, 4) == 255)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray_is_scaled(tmp_path, suffix):
    gray = np.array([[0, 32896], [65535, 257]], "uint16")
    path = _save(tmp_path / f"a{suffix}", Image.fromarray(gray))
    np.testing.assert_array_equal(_read(path, 2)[..., 0], [[0, 128], [255, 1]])


def test_cmyk_tiff(tmp_path):
    image = Image.new("CMYK", (6, 4), (0, 255, 255, 0))
    path = _save(tmp_path / "a.tif", image)
    assert np.all(_read(path, 4) == [255, 0, 0])


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".webp", ".ppm"])
def test_formats(tmp_path, suffix):
    image = Image.new("RGB", (6, 4), (255, 0, 0))
    options = {"lossless": True} if suffix == ".webp" else {}
    path = _save(tmp_path / f"a{suffix}", image, **options)
    assert np.all(_read(path, 4) == [255, 0, 0])


def test_the_content_counts_and_not_the_suffix(tmp_path):
    image = Image.new("RGB", (6, 4), (255, 0, 0))
    path = _save(tmp_path / "a.jpg", image, format="PNG")
    assert np.all(_read(path, 4) == [255, 0, 0])


# === Size ===


@pytest.mark.parametrize(
    ("size", "shape"),
    [((200, 100), (38, 76)), ((100, 57), (38, 67)), ((10, 25), (95, 38))],
)
def test_shorter_side_is_exact_and_aspect_kept(tmp_path, size, shape):
    path = _save(tmp_path / "a.png", Image.new("RGB", size))
    assert _read(path, 38).shape == (*shape, 3)


def test_shrinking_is_antialiased(tmp_path):
    checkerboard = np.indices((160, 160)).sum(axis=0) % 2 * 255
    image = Image.fromarray(checkerboard.astype("uint8"))
    path = _save(tmp_path / "a.png", image)
    # Away from the border, where the pattern is cut.
    inside = _read(path, 40)[2:-2, 2:-2].astype(int)
    assert np.abs(inside - 127.5).max() < 3


# === Files that can not be used ===


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tif"])
def test_truncated(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    path = _save(tmp_path / f"a{suffix}", Image.fromarray(noise))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableFileError, match=f"a{suffix}: cannot be read"):
        read_image(path, 64)


def test_a_damaged_jpeg_that_pillow_reads_is_decodable(tmp_path):
    """TensorFlow refuses some of them, but not the pixels that Pillow reads."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 10, 3), "uint8")
    image = Image.fromarray(noise).resize((90, 76))
    content = _save(tmp_path / "a.jpg", image).read_bytes()
    num_stored = num_changed = 0
    for start in range(620, len(content) - 16, 7):
        damaged = content[:start] + 16 * b"\xff" + content[start + 16 :]
        (tmp_path / "b.jpg").write_bytes(damaged)
        try:
            stored = read_image(tmp_path / "b.jpg", 76)
        except UnusableFileError:
            continue
        assert tf.io.decode_image(stored).shape == (76, 90, 3)
        num_stored += 1
        num_changed += stored != damaged
    assert 0 < num_changed < num_stored


def test_every_kept_truncation_of_a_jpeg_is_decodable(tmp_path):
    path = _jpeg(tmp_path / "a.jpg", size=(20, 16))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UnusableFileError):
            read_image(path, 16)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_no_image(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnusableFileError, match="a.jpg: is not an image"):
        read_image(path, 16)


def test_missing_file(tmp_path):
    with pytest.raises(UnusableFileError, match="a.jpg: No such file"):
        read_image(tmp_path / "a.jpg", 16)


def test_folder_instead_of_a_file(tmp_path):
    with pytest.raises(UnusableFileError, match="Is a directory"):
        read_image(tmp_path, 16)


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_decompression_bomb(tmp_path, side):
    path = _png_claiming(tmp_path / "a.png", side, side)
    with pytest.raises(UnusableFileError, match="decompression bomb"):
        read_image(path, 16)


def test_thin_image(tmp_path):
    path = _save(tmp_path / "a.png", Image.new("1", (101, 2)))
    with pytest.raises(UnusableFileError, match="101 x 2 pixels are too thin"):
        read_image(path, 16)


def test_float_pixels(tmp_path):
    path = _save(tmp_path / "a.tif", Image.new("F", (8, 8)))
    with pytest.raises(UnusableFileError, match="no known range"):
        read_image(path, 8)


def test_32_bit_pixels(tmp_path):
    path = _save(tmp_path / "a.tif", Image.new("I", (8, 8), 70_000))
    with pytest.raises(UnusableFileError, match=r"in \[0, 65535\]"):
        read_image(path, 8)


def test_postscript_is_not_run(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="EPS")
    path = tmp_path / "a.png"
    path.write_bytes(file.getvalue())
    with pytest.raises(UnusableFileError, match="is not an image"):
        read_image(path, 8)


# === Squares ===


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (20, 20)])
def test_a_square_is_the_center_of_the_resized_image(tmp_path, width, height):
    pixels = np.random.default_rng(0).integers(
        0, 256, (height, width, 3), dtype="uint8"
    )
    path = _save(tmp_path / "a.png", Image.fromarray(pixels))
    left, top = (width - 20) // 2, (height - 20) // 2
    center = pixels[top : top + 20, left : left + 20]
    np.testing.assert_array_equal(read_square(path, 20), center)
    # Antialiased: a fine pattern becomes its mean, not some of its pixels.
    pixels[:] = 0
    pixels[::2] = 200
    path = _save(tmp_path / "stripes.png", Image.fromarray(pixels))
    small = read_square(path, 5)
    assert small.shape == (5, 5, 3)
    assert np.abs(small[1:-1].astype(int) - 100).max() < 15


def test_a_square_of_a_gray_image_and_of_a_jpeg_that_is_ready(tmp_path):
    path = _save(tmp_path / "a.png", Image.new("L", (30, 50), 77))
    np.testing.assert_array_equal(read_square(path, 16), 77)
    square = read_square(_jpeg(tmp_path / "a.jpg", size=(20, 16)), 16)
    assert square.shape == (16, 16, 3) and square.dtype == np.uint8
    assert np.abs(square.astype(int) - (200, 30, 40)).max() <= 8


def test_a_small_image_becomes_a_larger_square(tmp_path):
    path = _save(tmp_path / "a.png", Image.new("RGB", (3, 2), (9, 8, 7)))
    np.testing.assert_array_equal(
        read_square(path, 32), np.broadcast_to((9, 8, 7), (32, 32, 3))
    )


def test_no_square(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UnusableFileError, match="a.png: is not an image"):
        read_square(tmp_path / "a.png", 16)


@pytest.mark.parametrize("image_size", [32, 16, 64])
def test_what_a_model_sees_is_what_it_is_trained_on(tmp_path, image_size):
    stored = example(7, height=38, width=43)
    write_prepared_set(tmp_path, {"test": [[stored]]}, image_size=32)
    stream = make_dataset(
        tmp_path, "test", 1, image_size=image_size, mismatched=False
    )
    expected = (next(iter(stream))["images"].numpy()[0] + 1) * 127.5
    square = model_square(stored.image, 32, image_size)
    assert square.shape == (image_size, image_size, 3)
    assert square.dtype == np.uint8
    # Resized bilinearly by two libraries, which round differently.
    np.testing.assert_allclose(square, expected, atol=1.01)
    if image_size == 32:
        pixels = noise_image(7, 38, 43)
        np.testing.assert_array_equal(square, pixels[3:35, 6:38])


def test_a_model_sees_the_whole_shorter_side_of_a_small_image():
    pixels = noise_image(7, 8, 11)
    np.testing.assert_array_equal(
        model_square(encode_png(pixels), 32, 8), pixels[:, 2:10]
    )
