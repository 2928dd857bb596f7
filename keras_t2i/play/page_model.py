"""What the page asks of a GAN, in this process or served."""

import base64
import binascii
from typing import Any
from typing import Protocol

import numpy as np

from keras_t2i.captions import caption_damage
from keras_t2i.captions import check_captions
from keras_t2i.datasets.images import decoded_square
from keras_t2i.errors import ServerError
from keras_t2i.models.style_encoder import StyleEncoder
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.tokenizers import unread_by

EXAMPLE = "a pink flower with a yellow center"
OTHER_EXAMPLE = "a white flower with a yellow center"
MAX_IMAGES = 16
# A browser has whole numbers exactly up to here.
MAX_SEED = 2**53 - 1
# Odd: one image is right in the middle.
NUM_STEPS = 17
MAX_STYLE_BYTES = 10 * 2**20


class _Generates(Protocol):
    """What `TextToImageGAN` and `keras_t2i.export.Client` both have."""

    def generate(self, captions: Any, seed: Any = 0) -> np.ndarray: ...

    def interpolate(
        self, captions_from: Any, captions_to: Any, steps: int, seed: Any = 0
    ) -> np.ndarray: ...

    def interpolate_noise(
        self, captions: Any, seed_from: Any, seed_to: Any, steps: int
    ) -> np.ndarray: ...


class PageModel:
    """Answers the page, after a check of what it sends.

    All methods raise `ValueError` for bad input and `ServerError` where a
    served model gives no answer: their messages are for who looks at the page.
    The model is asked for an image at once, so that what cannot work fails
    here, with the same errors. `style_encoder` is for a `TextToImageGAN`, and
    must fit it; a served model has its own, if any.
    """

    def __init__(
        self,
        model: _Generates,
        style_encoder: StyleEncoder | None = None,
    ) -> None:
        self._model = model
        self._style_encoder = style_encoder
        is_gan = isinstance(model, TextToImageGAN)
        if style_encoder is not None and not is_gan:
            raise ValueError(
                "`style_encoder` is for a model in a run folder or a file. "
                "Received: a model that is exported or served. Export it by "
                "`keras-t2i export --style-encoder`."
            )
        self.image_size = model.generate([EXAMPLE]).shape[1]
        self.has_styles = style_encoder is not None
        if not is_gan or self.has_styles:
            gray = np.full((self.image_size, self.image_size, 3), 128, np.uint8)
            try:
                self._in_style(gray, [EXAMPLE])
                self.has_styles = True
            # It has just generated an image: what it lacks are styles.
            except ServerError:
                self.has_styles = False

    def generate(self, caption: str, seed: Any, count: Any) -> np.ndarray:
        """Generates images of one caption, by consecutive seeds.

        `seed`, of the first image, and `count` are what was typed: ints in
        [0, 2**53 - 1] and from 1 to 16 if they are right, else anything. The
        images are uint8 of shape `(count, image_size, image_size, 3)`.
        """
        _check_caption(caption)
        count = checked_number(count, "The number of images", 1, MAX_IMAGES)
        seed = checked_number(seed, "The seed", 0, MAX_SEED - count + 1)
        return self._model.generate([caption] * count, seed)

    def interpolate(
        self, caption: str, other_caption: str, seed: Any
    ) -> np.ndarray:
        """Generates the way between two captions, at one noise.

        The images are uint8 of shape `(NUM_STEPS, image_size, image_size, 3)`.
        """
        _check_caption(caption)
        _check_caption(other_caption)
        seed = checked_number(seed, "The seed", 0, MAX_SEED)
        return self._model.interpolate(
            caption, other_caption, steps=NUM_STEPS, seed=seed
        )[0]

    def interpolate_noise(
        self, caption: str, seed: Any, other_seed: Any
    ) -> np.ndarray:
        """Generates the way between two noises, as `interpolate` does."""
        _check_caption(caption)
        seed = checked_number(seed, "The seed", 0, MAX_SEED)
        other_seed = checked_number(other_seed, "The second seed", 0, MAX_SEED)
        return self._model.interpolate_noise(
            caption, seed, other_seed, steps=NUM_STEPS
        )[0]

    def transfer_style(
        self, style_file: str, name: str, captions: str
    ) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Generates captions in the style of an image.

        `style_file` is the content of an image file in base 64, which errors
        call `name`. `captions` holds one caption per line, at most 16. Returns
        the style image as the model sees it, uint8 of shape
        `(image_size, image_size, 3)`; the captions; and an array of images, one
        per caption.
        """
        lines = [line for line in captions.splitlines() if line.strip()]
        for line in lines or [""]:
            _check_caption(line)
        if len(lines) > MAX_IMAGES:
            raise ValueError(
                f"There may be at most {MAX_IMAGES} captions. Received: "
                f"{len(lines):,}."
            )
        if not style_file:
            raise ValueError(
                "A style image must be chosen. Received: "
                + (f"{name}, which is empty." if name else "none.")
            )
        try:
            content = base64.b64decode(style_file, validate=True)
        except binascii.Error:
            content = b""
        if len(content) > MAX_STYLE_BYTES:
            raise ValueError(too_large(name))
        style = decoded_square(content, name, self.image_size)
        return style, lines, self._in_style(style, lines)

    def note_on(self, caption: str) -> str:
        """Tells what is worth knowing of a caption, if anything is."""
        encoder = getattr(self._model, "text_encoder", None)
        if encoder is None or not unread_by(encoder, [caption]).is_most:
            return ""
        return (
            "The model does not know most of this caption, and may have left "
            "it out."
        )

    def _in_style(self, style: np.ndarray, captions: list[str]) -> np.ndarray:
        more = [] if self._style_encoder is None else [self._style_encoder]
        model: Any = self._model
        return model.transfer_style(style[None], captions, *more)[0]


def too_large(name: str) -> str:
    """Says that a style image is too large."""
    return (
        f"A style image may have at most {MAX_STYLE_BYTES // 2**20} MB. "
        f"Received: {name}, which has more."
    )


def checked_number(value: Any, what: str, least: int, most: int) -> int:
    """Returns a whole number that was typed, or raises `ValueError`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value != int(value):
        raise ValueError(
            f"{what} must be a whole number from {least:,} to {most:,}. "
            f"Received: {'nothing' if value in (None, '') else value}."
        )
    return int(value)


def _check_caption(caption: Any) -> None:
    if not isinstance(caption, str):
        raise ValueError(f"A caption must be a text. Received: {caption!r}.")
    check_captions([caption])
    damage = caption_damage(caption)
    if damage is not None:
        raise ValueError(f"This caption cannot be used: it {damage}.")
