"""The page's images, as HTML that holds them and their downloads.

Nothing of it is a file: images are in the text itself, and the browser writes
what is downloaded.
"""

import base64
import html
import urllib.parse
from collections.abc import Iterable

import numpy as np

from keras_t2i.captions import file_name
from keras_t2i.datasets.images import encode_png
from keras_t2i.plots.grids import animated_gif
from keras_t2i.terminal import visible

# Servers and programs that share addresses cut off longer ones.
_LONGEST_ADDRESS = 2000
_LONGEST_SHOWN = 200


def problem_shown(message: str) -> str:
    """Shows why there are no images. A screen reader reads it at once."""
    return f'<p class="problem" role="alert">{escaped(message)}</p>'


def address(caption: str, seed: int, count: int) -> str:
    """Returns the query string of the page that shows these images.

    It is empty for captions that are too long for an address.

    Example:

    >>> from keras_t2i.play.page_images import address
    >>> address("a red flower", 3, 1)
    '?caption=a+red+flower&seed=3&images=1'
    """
    query = "?" + urllib.parse.urlencode(
        {"caption": caption, "seed": seed, "images": count},
        errors="replace",
    )
    return query if len(query) <= _LONGEST_ADDRESS else ""


def generated_images(
    images: np.ndarray, caption: str, seed: int, note: str = ""
) -> str:
    """Shows images of one caption, with their seeds.

    `images` is uint8 of shape `(count, height, width, 3)`. `seed` is that of
    the first image, and `note` stands above the images.
    """
    last = seed + len(images) - 1
    seeds = f"seed {seed}" if last == seed else f"seeds {seed} to {last}"
    figures = []
    for number, image in enumerate(images, seed):
        link = address(caption, number, 1)
        shown = f"seed {number}"
        if link:
            shown = f'<a href="{html.escape(link)}">{shown}</a>'
        name = f"{file_name(caption)}-seed{number}.png"
        alt = f"{_short(caption)}, seed {number}"
        figures.append(_figure(image, alt, shown, name))
    link = address(caption, seed, len(images))
    if link:
        note = f"The address of this page leads back to them. {note}"
    heading = _heading(f"{_short(caption)}, {seeds}", note)
    return (
        f'<div data-address="{html.escape(link)}">{heading}'
        f'<div class="images">{"".join(figures)}</div></div>'
    )


def interpolated_images(
    images: np.ndarray, label_from: str, label_to: str
) -> str:
    """Shows the image that a slider chooses; a script moves them.

    `images` is uint8 of shape `(steps, height, width, 3)`. `label_from` and
    `label_to` say what the first and the last image show.
    """
    last = len(images) - 1
    middle = last // 2
    name = file_name(label_from) + "-to-" + file_name(label_to)
    label_from, label_to = _short(label_from), _short(label_to)
    way = f"from {label_from} to {label_to}"
    shown = []
    for step, image in enumerate(images):
        alt = f"{round(100 * step / last)}% of the way {way}"
        hidden = "" if step == middle else "hidden"
        shown.append(_image(encode_png(image), image, alt, hidden))
    png = _data_url("png", encode_png(images[middle]))
    gif = _data_url("gif", animated_gif(images))
    return (
        f'<div class="way">{_heading(f"{label_from} to {label_to}")}'
        f'<div class="steps">{"".join(shown)}</div>'
        f'<input type="range" min="0" max="{last}" value="{middle}"'
        f' aria-label="{escaped(way)}" aria-valuetext="50% of the way">'
        '<div class="ends" aria-hidden="true">'
        f"<span>{escaped(label_from)}</span>"
        f"<span>{escaped(label_to)}</span></div>"
        f'<p><a class="png" download="{name}.png" href="{png}">PNG of this'
        f' image</a> <a class="gif" download="{name}.gif" href="{gif}">GIF of'
        " all images</a></p></div>"
    )


def images_in_style(
    style: np.ndarray, captions: Iterable[str], images: np.ndarray
) -> str:
    """Shows a style image, and beside it captions in its style."""
    figures = [
        f"<figure>{_image(encode_png(style), style, 'The style image')}"
        "<figcaption>style image</figcaption></figure>"
    ]
    for caption, image in zip(captions, images):
        name = file_name(caption) + "-in-style.png"
        alt = _short(caption) + ", in the style of the style image"
        figures.append(_figure(image, alt, escaped(_short(caption)), name))
    return (
        f"{_heading('Captions in the style of the image')}"
        f'<div class="images">{"".join(figures)}</div>'
    )


def _heading(text: str, note: str = "") -> str:
    # Read to who cannot see that images have come.
    note = f" <span>{escaped(note)}</span>" if note else ""
    return f'<p class="shown" role="status">{escaped(text)}.{note}</p>'


def _figure(image: np.ndarray, alt: str, shown: str, name: str) -> str:
    png = encode_png(image)
    return (
        f"<figure>{_image(png, image, alt)}<figcaption>{shown}"
        f' <a class="png" download="{name}" href="{_data_url("png", png)}"'
        f' aria-label="PNG of {escaped(alt)}">PNG</a></figcaption></figure>'
    )


def _image(png: bytes, image: np.ndarray, alt: str, more: str = "") -> str:
    height, width = image.shape[:2]
    return (
        f'<img src="{_data_url("png", png)}" width="{width}"'
        f' height="{height}" alt="{escaped(alt)}" {more}>'
    )


def _data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _short(text: str) -> str:
    # Not at a space: texts of some languages have none.
    text = " ".join(text.split())
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 4].rstrip() + " ..."
    return text


def escaped(text: str) -> str:
    """Escapes a text for HTML and for the templates that Gradio fills."""
    safe = html.escape(visible(text))
    for character in "{}$`\\":
        safe = safe.replace(character, f"&#{ord(character)};")
    return safe
