import base64
import io
import re

import numpy as np
import PIL.Image

from keras_t2i.play.page_images import address
from keras_t2i.play.page_images import escaped
from keras_t2i.play.page_images import generated_images
from keras_t2i.play.page_images import images_in_style
from keras_t2i.play.page_images import interpolated_images
from keras_t2i.play.page_images import problem_shown
from tests.export.tiny_served import style_images

_EVIL = "<b onload='x'>${alert(1)} {{value}}\x1b[31m `a`"


def _links(text):
    """Pairs of the name and the content of each download."""
    pattern = r'download="(.*?)" href="data:image/\w+;base64,(.*?)"'
    return [
        (name, PIL.Image.open(io.BytesIO(base64.b64decode(content))))
        for name, content in re.findall(pattern, text)
    ]


def test_generated_images():
    images = style_images(2)
    text = generated_images(images, "A red rose", 7, "A note.")
    assert 'alt="A red rose, seed 8"' in text
    assert "A red rose, seeds 7 to 8. " in text
    assert "A note." in text
    assert 'href="?caption=A+red+rose&amp;seed=8&amp;images=1"' in text
    assert 'data-address="?caption=A+red+rose&amp;seed=7&amp;images=2"' in text
    (first, image), (second, _) = _links(text)
    assert (first, second) == ("a-red-rose-seed7.png", "a-red-rose-seed8.png")
    np.testing.assert_array_equal(image, images[0])


def test_long_captions_are_cut_and_have_no_address():
    text = generated_images(style_images(1), "a rose " * 1000, 7)
    assert len(address("a rose " * 1000, 7, 1)) == 0
    assert 'data-address=""' in text
    assert "?caption" not in text
    assert len(text) < 10_000
    # Half a surrogate pair, which no address can have.
    assert address("\ud800", 0, 1) == "?caption=%3F&seed=0&images=1"


def test_long_captions_without_spaces_are_cut():
    images = style_images(2)
    text = generated_images(images, "花" * 300, 7)
    assert 'alt="' + "花" * 196 + ' ..., seed 7"' in text
    text = interpolated_images(images, "x" * 300, "y" * 300)
    assert f">{'x' * 196} ... to {'y' * 196} ....</p>" in text
    (png, _), _ = _links(text)
    assert png.startswith("x" * 20)


def test_interpolated_images():
    images = style_images(5)
    text = interpolated_images(images, "a rose", "a tulip")
    assert re.findall(r'alt="(\d+)% of the way from a rose to a tulip"', text)
    assert text.count("<img") == 5
    assert text.count("hidden>") == 4
    assert 'max="4" value="2"' in text
    (png, image), (gif, animation) = _links(text)
    assert (png, gif) == ("a-rose-to-a-tulip.png", "a-rose-to-a-tulip.gif")
    np.testing.assert_array_equal(image, images[2])
    assert (animation.format, animation.n_frames) == ("GIF", 5)


def test_images_in_style():
    style, *images = style_images(3)
    text = images_in_style(style, ["a rose", "a tulip"], np.stack(images))
    assert text.count("<figure>") == 3
    assert 'alt="a tulip, in the style of the style image"' in text
    (name, image), _ = _links(text)
    assert name == "a-rose-in-style.png"
    np.testing.assert_array_equal(image, images[0])


def test_nothing_of_a_text_is_code():
    safe = escaped(_EVIL)
    assert not set("<>'\"{}$`\x1b\\") & set(safe)
    for text in (
        problem_shown(_EVIL),
        generated_images(style_images(1), _EVIL, 0, _EVIL),
        interpolated_images(style_images(2), _EVIL, _EVIL),
        images_in_style(style_images(1)[0], [_EVIL], style_images(1)),
    ):
        assert "<b " not in text
        assert not set("{}$`\x1b") & set(text)
