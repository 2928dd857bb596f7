import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
from keras_t2i.export.signatures import decode_style_images
from tests.export.tiny_served import claiming_png
from tests.export.tiny_served import encode
from tests.export.tiny_served import png_chunk

_SIZE = 16


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _decoded(files):
    return decode_style_images(files, _SIZE)


def _decode(*files):
    return _decoded(tf.constant(files, tf.string, [len(files)])).numpy()


def _smooth(width, height):
    """An image without edges, where kinds of resizing would differ."""
    generator = np.random.default_rng(0)
    small = generator.integers(60, 196, (5, 6, 3), "uint8")
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def _as_pillow_does(image, box):
    small = image.crop(box).resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)
    return np.asarray(small.convert("RGB")).astype(int)


def test_an_image_of_the_size_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")
    np.testing.assert_array_equal(_decode(encode(pixels))[0], pixels)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((80, 60), (10, 0, 70, 60)),
        ((60, 81), (0, 10, 60, 70)),
        ((8, 11), (0, 1, 8, 9)),
    ],
)
def test_the_middle_is_resized_as_for_training(size, box):
    image = _smooth(*size)
    found = _decode(encode(image))[0].astype(int)
    assert np.abs(found - _as_pillow_does(image, box)).max() <= 1


def test_shrinking_is_antialiased():
    checkerboard = np.indices((160, 160)).sum(axis=0) % 2 * 255
    image = Image.fromarray(checkerboard.astype("uint8"))
    inside = _decode(encode(image))[0][2:-2, 2:-2].astype(int)
    assert np.abs(inside - 127.5).max() < 3


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_kinds_of_png(mode):
    image = _smooth(_SIZE, _SIZE)
    if mode == "I;16":
        gray = np.asarray(image.convert("L")).astype("uint16") * 257
        image = Image.fromarray(gray)
        expected = np.repeat((gray // 257)[..., None], 3, axis=-1)
    else:
        image = image.convert(mode)
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(_decode(encode(image))[0], expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_palettes_of_any_depth(bits, transparent):
    image = _smooth(_SIZE, _SIZE).quantize(2**bits)
    options = {"transparency": 0} if transparent else {}
    file = encode(image, bits=bits, **options)
    assert file[24] == bits
    expected = np.array(image.convert("RGB"))
    if transparent:
        expected[np.asarray(image) == 0] = 255
    np.testing.assert_array_equal(_decode(file)[0], expected)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_kinds_of_jpeg(mode, progressive):
    image = _smooth(50, 50).convert(mode)
    file = encode(image, "JPEG", quality=95, progressive=progressive)
    with Image.open(io.BytesIO(file)) as decoded:
        expected = _as_pillow_does(decoded.convert("RGB"), (0, 0, 50, 50))
    # Both decode JPEG in ways of their own.
    assert np.abs(_decode(file)[0].astype(int) - expected).mean() < 2


def test_what_is_transparent_is_shown_on_white():
    image = _smooth(40, 40).convert("RGBA")
    image.putalpha(_smooth(40, 40).convert("L"))
    white = Image.new("RGBA", image.size, "white")
    shown = Image.alpha_composite(white, image).convert("RGB")
    found = _decode(encode(image))[0].astype(int)
    expected = _as_pillow_does(shown, (0, 0, 40, 40))
    assert np.abs(found - expected).max() <= 2
    invisible = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert np.all(_decode(encode(invisible)) == 255)


def _bad_files():
    image = _smooth(40, 40)
    png, jpeg = encode(image), encode(image, "JPEG")
    damaged = bytearray(png)
    damaged[60:90] = bytes(30)
    # Before the header, a chunk that looks like a header of one pixel.
    large = claiming_png(20_000, 20_000, bytes(60_001) * 20)
    hidden = (
        png[:8] + png_chunk(b"teSt", struct.pack(">II5x", 1, 1)) + large[8:]
    )
    return {
        "empty": b"",
        "20,000 x 20,000 behind another chunk": hidden,
        "text": b"no image",
        "half a PNG": png[: len(png) // 2],
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "start of a PNG": png[:8],
        "header of a PNG": png[:24],
        "start of a JPEG": jpeg[:3],
        "damaged PNG": bytes(damaged),
        "GIF": encode(image, "GIF"),
        "BMP": encode(image, "BMP"),
        "no pixels": claiming_png(0, 0),
        "no height": claiming_png(5, 0),
        "negative": claiming_png(2**32 - 1, 2**32 - 1),
        "20,000 x 20,000 PNG": large,
        "very thin": claiming_png(MAX_STYLE_PIXELS + 1, 1),
        "one pixel too many": claiming_png(4096, 4097),
    }


@pytest.mark.parametrize("kind", _bad_files())
def test_what_is_no_image_is_gray_and_its_neighbors_are_not(kind):
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), "uint8")
    good = encode(pixels)
    first, bad, last = _decode(good, _bad_files()[kind], good)
    np.testing.assert_array_equal(first, pixels)
    np.testing.assert_array_equal(last, pixels)
    assert np.all(bad == 128)


@pytest.mark.parametrize("limit", [63, 64, 10**20])
def test_the_limit_of_pixels(limit):
    for kind in ("PNG", "JPEG"):
        file = tf.constant([encode(Image.new("RGB", (8, 8)), kind)])
        is_gray = np.all(decode_style_images(file, 4, limit) == 128)
        assert is_gray == (limit < 64)


def test_a_jpeg_of_20_000_x_20_000_pixels_takes_no_memory():
    """A JPEG is refused by its header as well; decoding takes seconds."""
    small = encode(Image.new("L", (16, 16)), "JPEG")
    size = small.index(b"\xff\xc0") + 5
    side = struct.pack(">H", 20_000)
    claiming = small[:size] + side + side + small[size + 4 :]
    shape = tf.io.extract_jpeg_shape(claiming).numpy().tolist()
    assert shape == [20_000, 20_000, 1]
    assert np.all(_decode(claiming) == 128)


def test_no_rows():
    assert _decode().shape == (0, _SIZE, _SIZE, 3)
