"""Asks an exported model for images."""

import io
import re
import reprlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from keras_t2i.checks import check_number
from keras_t2i.datasets.images import encode_png
from keras_t2i.errors import ServerError
from keras_t2i.export.model_folder import MAX_BATCH_SIZE
from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
from keras_t2i.export.model_folder import REQUEST_SECONDS
from keras_t2i.export.signatures import decode_jpeg
from keras_t2i.export.signatures import decode_png
from keras_t2i.export.transports import GrpcTransport
from keras_t2i.export.transports import ModelAddress
from keras_t2i.export.transports import RestTransport
from keras_t2i.export.transports import SavedModelTransport
from keras_t2i.models.image_generation import Interpolation
from keras_t2i.models.image_generation import between_captions
from keras_t2i.models.image_generation import between_noises
from keras_t2i.models.noise import seeds_of_rows
from keras_t2i.text.embeddings import checked_embeddings
from keras_t2i.text.embeddings import encode_captions
from keras_t2i.types import StrPath

# A request takes no more rows from here on: a server holds several copies.
_MAX_BYTES = 32 * 2**20
# Of one image of an answer: 16 times as many as any model here generates.
_MAX_PIXELS = 2**20
_LONGEST_TIMEOUT = 86_400.0
# Values of names in -bin would be bytes by gRPC.
_HEADER_NAME = re.compile(r"(?!.*-bin$)[\w.-]+", re.ASCII | re.IGNORECASE)


class Client:
    """Asks an exported GAN for images: a served one, or one in a folder.

    Its methods are those of `TextToImageGAN`, and give the same images.
    Captions are checked before anything is sent. Many rows are sent as several
    requests, each of at most 64 rows and about 32 MB. A server that is too
    busy (503, UNAVAILABLE, no free thread) is asked again up to four times,
    after 0.2, 0.4, 0.8 and 1.6 seconds. A request that failed because another
    client's, in the same batch, had other shapes is sent once more. No other
    error is retried.

    Args:
        model: string or path. The address of a served model, or the folder of
            an exported one, such as `"saved_models/NAME"`, whose newest version
            is loaded into this process. `"http://HOST:8501/v1/models/NAME"` is
            an address of TensorFlow Serving's REST API, and
            `"grpc://HOST:8500/v1/models/NAME"` one of gRPC, which needs the
            extra `serving`. `https` and `grpcs` use TLS. `/versions/N` or
            `/labels/LABEL` may follow. The path of a proxy may stand before
            `/v1`, but not by gRPC.
        timeout: float. Seconds that one try of one request may take. By gRPC
            this is the whole request; by the REST API, the time in which the
            server sends nothing, while its whole answer may take twice as
            long. `ModelServer` stops at 60. A folder is asked without a limit.
            Defaults to `60.0`.
        headers: dict of strings to strings, sent with each request (as metadata
            by gRPC), such as `{"Authorization": "Bearer ..."}` for a proxy in
            front of the server. They are sent to no other host, and no error
            shows them. Defaults to `None`.

    Raises:
        ValueError: there is no such model folder, the address has another
            form or holds a password, a header holds a line break or is for a
            folder, or `timeout` is not above 0 and at most a day.

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ... )
    >>> folder = tempfile.mkdtemp() + "/flowers"
    >>> path = keras_t2i.export.export_saved_model(gan, folder)
    >>> client = keras_t2i.export.Client(folder)
    >>> client.generate(["a rose", "a tulip"], seed=7).shape
    (2, 32, 32, 3)
    """

    _transport: RestTransport | GrpcTransport | SavedModelTransport

    def __init__(
        self,
        model: StrPath,
        timeout: float = REQUEST_SECONDS,
        headers: dict[str, str] | None = None,
    ):
        check_number(
            timeout,
            "timeout",
            "a number of seconds, above 0 and at most a day, "
            f"{_LONGEST_TIMEOUT:g}",
            lambda seconds: 0 < seconds <= _LONGEST_TIMEOUT,
        )
        if "://" not in str(model):
            if headers:
                raise ValueError(
                    "`headers` are for a server, and `model` must be its "
                    f"address. Received: {str(model)!r}, a folder that is "
                    "loaded in this process"
                )
            self._transport = SavedModelTransport(model)
            return
        address = ModelAddress.parse(str(model))
        headers = _checked_headers(headers or {})
        if address.scheme.startswith("grpc"):
            self._transport = GrpcTransport(address, timeout, headers)
        else:
            self._transport = RestTransport(address, timeout, headers)

    def generate(
        self,
        captions: Any,
        seed: int | Sequence[int] = 0,
        as_png: bool = False,
    ) -> np.ndarray:
        """Generates one image for each caption.

        Args:
            captions: string, or list, NumPy array or tensor of strings.
            seed: int, which gives image `i` the seed `seed + i`, or one int
                per caption. The same caption and seed give the same image.
                Defaults to `0`.
            as_png: bool. Whether to return PNG files. Defaults to `False`.

        Returns:
            uint8 array of shape `(num_captions, image_size, image_size, 3)`;
            with `as_png`, an array of bytes objects of shape
            `(num_captions,)`.

        Raises:
            ValueError: a caption is empty, or the seeds do not fit.
            ServerError: the server gives no answer.
        """
        captions = encode_captions(captions)
        seeds = seeds_of_rows(seed, len(captions))
        files = self._ask("serving_default", text=captions, seed=seeds)
        return _images(files, as_png)

    def generate_from_embeddings(
        self,
        text_embeddings: Any,
        seed: int | Sequence[int] = 0,
        as_png: bool = False,
    ) -> np.ndarray:
        """Generates one image for each text embedding.

        Args:
            text_embeddings: float array of shape `(num_texts, dim)`, such as
                those that the GAN was trained on.
            seed: int or ints, as in `generate`.
            as_png: bool. Whether to return PNG files. Defaults to `False`.

        Returns:
            uint8 array of shape `(num_texts, image_size, image_size, 3)`; with
            `as_png`, an array of bytes objects of shape `(num_texts,)`.

        Raises:
            ValueError: the embeddings have another shape or are not finite, or
                the seeds do not fit.
            ServerError: the server gives no answer, as where the model takes
                embeddings of another size.
        """
        rows = checked_embeddings(text_embeddings)
        seeds = seeds_of_rows(seed, len(rows))
        files = self._ask("from_embedding", embedding=rows, seed=seeds)
        return _images(files, as_png)

    def interpolate(
        self,
        captions_from: Any,
        captions_to: Any,
        steps: int = 8,
        seed: int | Sequence[int] = 0,
        as_png: bool = False,
    ) -> np.ndarray:
        """Generates the way from each caption to another one, at fixed noise.

        Args:
            captions_from: captions, as in `generate`.
            captions_to: captions, as many.
            steps: int, at least 2. Images per row, both ends included.
                Defaults to `8`.
            seed: int or ints, as in `generate`. All images of a row have one
                seed. Defaults to `0`.
            as_png: bool, as in `generate`.

        Returns:
            uint8 array of shape
            `(num_captions, steps, image_size, image_size, 3)`; with `as_png`,
            an array of bytes objects of shape `(num_captions, steps)`.

        Raises:
            ValueError: the numbers of captions differ, a caption is empty, the
                seeds do not fit, or there are too few steps.
            ServerError: the server gives no answer.
        """
        ends = encode_captions(captions_from), encode_captions(captions_to)
        return self._interpolate(between_captions(*ends, steps, seed), as_png)

    def interpolate_noise(
        self,
        captions: Any,
        seed_from: int | Sequence[int],
        seed_to: int | Sequence[int],
        steps: int = 8,
        as_png: bool = False,
    ) -> np.ndarray:
        """Generates the way from one noise to another one, by slerp.

        Args:
            captions: captions, as in `generate`.
            seed_from: int or ints, as in `generate`: of the first image of
                each row.
            seed_to: int or ints: of the last image of each row.
            steps: int, as in `interpolate`.
            as_png: bool, as in `generate`.

        Returns:
            Images or files, of the shape of those of `interpolate`.

        Raises:
            ValueError: a caption is empty, the seeds do not fit, or there are
                too few steps.
            ServerError: the server gives no answer.
        """
        captions = encode_captions(captions)
        way = between_noises(captions, seed_from, seed_to, steps)
        return self._interpolate(way, as_png)

    def _interpolate(self, way: Interpolation, as_png: bool) -> np.ndarray:
        num_rows, steps = len(way.text_from), len(way.text_weight)
        # The inputs of the signature have the names of the fields.
        inputs = {
            name: np.tile(values, num_rows)
            if name.endswith("_weight")
            else np.repeat(values, steps)
            for name, values in way._asdict().items()
        }
        files = self._ask("interpolate", **inputs)
        return _images(files.reshape(num_rows, steps), as_png)

    def transfer_style(
        self,
        style_images: Sequence[bytes | np.ndarray],
        captions: Any,
        as_png: bool = False,
        max_style_pixels: int = MAX_STYLE_PIXELS,
    ) -> np.ndarray:
        """Generates each caption in the style of each of the given images.

        Args:
            style_images: list of images, each the bytes of a JPEG or PNG file
                or a uint8 array of shape `(height, width, 3)`, of any size.
            captions: captions, as in `generate`.
            as_png: bool, as in `generate`.
            max_style_pixels: int. What the model was exported with: of larger
                style images, it would take only gray. Defaults to `2**24`.

        Returns:
            uint8 array of shape
            `(num_styles, num_captions, image_size, image_size, 3)`; with
            `as_png`, an array of bytes objects of shape
            `(num_styles, num_captions)`.

        Raises:
            ValueError: a caption is empty, or `style_images` cannot be read or
                are too large.
            ServerError: the server gives no answer, or the model was exported
                without a style encoder.
        """
        captions = encode_captions(captions)
        if isinstance(style_images, bytes | str) or not len(style_images):
            found = "none"
            if len(style_images):
                found = reprlib.repr(style_images)
            raise ValueError(
                "`style_images` must be a list of images, at least one. "
                f"Received: {found}"
            )
        files = [_image_file(one, max_style_pixels) for one in style_images]
        styles = np.empty(len(files), object)
        styles[:] = files
        num_styles, num_captions = len(styles), len(captions)
        answers = self._ask(
            "transfer_style",
            text=np.tile(captions, num_styles),
            style_image_bytes=np.repeat(styles, num_captions),
        )
        return _images(answers.reshape(num_styles, num_captions), as_png)

    def embed_text(self, captions: Any) -> np.ndarray:
        """Embeds captions.

        Args:
            captions: captions, as in `generate`.

        Returns:
            float32 array of shape `(num_captions, text_embedding_dim)`.

        Raises:
            ValueError: a caption is empty.
            ServerError: the server gives no answer.
        """
        embeddings = self._ask("embed_text", text=encode_captions(captions))
        is_number = embeddings.dtype.kind in "fiu"
        if not is_number or not np.isfinite(embeddings).all():
            found = "NaN or infinite values" if is_number else embeddings.dtype
            raise ServerError(
                "The model must answer with embeddings, which are numbers, all "
                f"finite. Received: {found}"
            )
        return embeddings.astype("float32")

    def _ask(self, signature: str, **inputs: np.ndarray) -> np.ndarray:
        answers: list[np.ndarray] = []
        num_dims = 2 if signature == "embed_text" else 1
        for rows in _requests(inputs):
            request = {name: values[rows] for name, values in inputs.items()}
            answer = self._transport.ask(signature, request)
            num_rows, *of_row = np.shape(answer) or (None,)
            if (
                num_rows != rows.stop - rows.start
                or np.ndim(answer) != num_dims
                or (answers and tuple(of_row) != answers[0].shape[1:])
            ):
                raise ServerError(
                    "The model must answer with one row for each of the "
                    f"request's {rows.stop - rows.start}. Received: an answer "
                    f"of shape {np.shape(answer)}"
                )
            answers.append(answer)
        return np.concatenate(answers)


def _requests(inputs: dict[str, np.ndarray]) -> Iterator[slice]:
    """Yields the rows of each request."""
    files = [values for values in inputs.values() if values.dtype == object]
    num_rows = len(next(iter(inputs.values())))
    start = num_bytes = 0
    for stop in range(1, num_rows + 1):
        num_bytes += sum(len(values[stop - 1]) for values in files)
        is_full = stop - start == MAX_BATCH_SIZE or num_bytes >= _MAX_BYTES
        if is_full or stop == num_rows:
            yield slice(start, stop)
            start, num_bytes = stop, 0


def _images(files: np.ndarray, as_png: bool) -> np.ndarray:
    images = [_decoded(file) for file in files.flat]
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise ServerError(
            "The model must answer with images of one size. Received: images "
            f"of shapes {sorted(sizes)}"
        )
    if as_png:
        return files
    return np.stack(images).reshape(*files.shape, *images[0].shape)


def _decoded(file: bytes) -> np.ndarray:
    try:
        with PIL.Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"more than {_MAX_PIXELS:,} pixels")
            return np.asarray(image.convert("RGB"))
    # Pillow raises errors of many kinds, and others for what is not bytes.
    except Exception as error:
        raise ServerError(
            "The model must answer with PNG files, as the models of `keras-t2i "
            f"export` do. Received: {reprlib.repr(file)}"
        ) from error


def _image_file(image: bytes | np.ndarray, max_pixels: int) -> bytes:
    """Returns a JPEG or PNG file that a server can decode."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                "`style_images` must hold the bytes of files or arrays of "
                "uint8 of shape (height, width, 3). Received: "
                f"{image.dtype} of shape {image.shape}"
            )
        image = encode_png(image)
    # A server would take what it cannot decode for gray.
    try:
        with PIL.Image.open(io.BytesIO(image), formats=("JPEG", "PNG")) as file:
            if file.width * file.height > max_pixels:
                raise ValueError(f"more than {max_pixels:,} pixels")
            file.load()
            # Pillow takes damaged files that the server does not.
            decode = decode_png if file.format == "PNG" else decode_jpeg
            decode(bytes(image))
        return bytes(image)
    except Exception as error:
        raise ValueError(
            "`style_images` must be JPEG or PNG files, as bytes, or arrays. "
            f"Received: {reprlib.repr(image)}, which cannot be read ({error})"
        ) from None


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        texts = isinstance(name, str) and isinstance(value, str)
        if not (
            texts
            and _HEADER_NAME.fullmatch(name)
            and value.isascii()
            and (value.isprintable() or not value)
        ):
            raise ValueError(
                "`headers` must be names of letters, digits, -, _ and ., that "
                "do not end in -bin, and values of ASCII text on one line. "
                f"Received: another name or value for {name!r}"
            )
    return headers
