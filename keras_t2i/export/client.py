"""Asks a served model for pictures."""

import io
import os
import reprlib

import numpy as np
import PIL.Image

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.images import encode_png
from keras_t2i.errors import ServerError
from keras_t2i.export.model_address import ModelAddress
from keras_t2i.export.serving_files import MAX_BATCH_SIZE
from keras_t2i.export.serving_files import REQUEST_SECONDS
from keras_t2i.export.signatures import MAX_PIXELS
from keras_t2i.export.transports import GrpcTransport
from keras_t2i.export.transports import RestTransport
from keras_t2i.export.transports import SavedModelTransport
from keras_t2i.models.image_generation import encode_captions
from keras_t2i.models.image_generation import seeds_of_rows

# A request ends where it has so many. A server holds several copies of it.
_MAX_BYTES = 32 * 2**20
_LONGEST_TIMEOUT = 86_400.0


class Client:
    """Asks an exported GAN for pictures: one that is served, or a folder.

    Its methods are those of `TextToImageGAN`, and give the same pictures.
    Captions are checked before anything is sent. Many rows are sent as several
    requests, each of up to 64 rows that ends where it reaches 32 MB. Where the
    server has too much to do (503, UNAVAILABLE), it is asked again up to four
    times, after 0.2, 0.4, 0.8 and 1.6 seconds; no other error is tried again.

    Args:
        model: string or path. `"http://HOST:8501/v1/models/NAME"` for the REST
            API of TensorFlow Serving, `"grpc://HOST:8500/v1/models/NAME"` for
            gRPC, which needs the extra `serving`; both take `/versions/N` or
            `/labels/LABEL` at the end. Or the folder of an exported model,
            such as `"saved_models/NAME"`, whose newest version is loaded into
            this process.
        timeout: float. Seconds that a server may take for one try of one
            request: by gRPC for all of it, by the REST API without sending
            anything. `ModelServer` lets it take 60. Defaults to `60.0`.

    Raises:
        ValueError: there is no such model folder, the address has another
            form, or there can not be such a timeout.

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

    def __init__(
        self, model: str | os.PathLike, timeout: float = REQUEST_SECONDS
    ):
        if not 0 < timeout <= _LONGEST_TIMEOUT:
            raise ValueError(
                "`timeout` must be a number of seconds, above 0 and at most a "
                f"day, {_LONGEST_TIMEOUT:g}. "
                f"Received: {timeout!r}"
            )
        if "://" not in str(model):
            self._transport = SavedModelTransport(model)
            return
        address = ModelAddress.parse(str(model))
        transport = GrpcTransport if address.scheme == "grpc" else RestTransport
        self._transport = transport(address, timeout)

    def generate(self, captions, seed=0, as_png=False):
        """Draws one picture for each caption.

        Args:
            captions: string, or list, NumPy array or tensor of strings.
            seed: int, which gives picture `i` the seed `seed + i`, or one int
                a caption. The same caption and seed give the same picture.
                Defaults to `0`.
            as_png: bool. Whether to return PNG files. Defaults to `False`.

        Returns:
            uint8 array of shape `(num_captions, image_size, image_size, 3)`;
            with `as_png`, an array of bytes objects of shape
            `(num_captions,)`.

        Raises:
            ValueError: a caption is empty, or the seeds do not fit.
            ServerError: the server has not answered.
        """
        captions = encode_captions(captions)
        seeds = seeds_of_rows(seed, len(captions))
        files = self._ask("serving_default", text=captions, seed=seeds)
        return _pictures(files, as_png)

    def interpolate(
        self, captions_from, captions_to, steps=8, seed=0, as_png=False
    ):
        """Draws the way from each caption to another one, at fixed noise.

        Args:
            captions_from: captions, as in `generate`.
            captions_to: captions, as many.
            steps: int, at least 2. Pictures a row, both ends included.
                Defaults to `8`.
            seed: int or ints, as in `generate`. One a row, for all of its
                pictures. Defaults to `0`.
            as_png: bool, as in `generate`.

        Returns:
            uint8 array of shape
            `(num_captions, steps, image_size, image_size, 3)`; with `as_png`,
            an array of bytes objects of shape `(num_captions, steps)`.

        Raises:
            ValueError: there are not as many captions to go to, a caption is
                empty, the seeds do not fit, or there are too few steps.
            ServerError: the server has not answered.
        """
        captions_from = encode_captions(captions_from)
        captions_to = encode_captions(captions_to)
        if len(captions_from) != len(captions_to):
            raise ValueError(
                "`captions_to` must hold one caption for each of "
                f"`captions_from`. Received: {len(captions_from)} and "
                f"{len(captions_to)} captions"
            )
        check_whole_number(steps, "steps", at_least=2)
        steps = int(steps)
        num_rows = len(captions_from)
        weights = np.linspace(0.0, 1.0, steps, dtype="float32")
        seeds = np.repeat(seeds_of_rows(seed, num_rows), steps)
        files = self._ask(
            "interpolate",
            text_from=np.repeat(captions_from, steps),
            text_to=np.repeat(captions_to, steps),
            text_weight=np.tile(weights, num_rows),
            seed_from=seeds,
            seed_to=seeds,
            noise_weight=np.zeros(num_rows * steps, "float32"),
        )
        return _pictures(files.reshape(num_rows, steps), as_png)

    def transfer_style(self, style_images, captions, as_png=False):
        """Draws each caption in the style of each of the given pictures.

        Args:
            style_images: list of pictures, each the bytes of a JPEG or PNG
                file or a uint8 array of shape `(height, width, 3)`, of any
                size.
            captions: captions, as in `generate`.
            as_png: bool, as in `generate`.

        Returns:
            uint8 array of shape
            `(num_styles, num_captions, image_size, image_size, 3)`; with
            `as_png`, an array of bytes objects of shape
            `(num_styles, num_captions)`.

        Raises:
            ValueError: a caption is empty, or a picture is none.
            ServerError: the server has not answered, or the model was exported
                without a style encoder.
        """
        captions = encode_captions(captions)
        styles = _image_files(style_images)
        num_styles, num_captions = len(styles), len(captions)
        files = self._ask(
            "transfer_style",
            text=np.tile(captions, num_styles),
            style_image_bytes=np.repeat(styles, num_captions),
        )
        return _pictures(files.reshape(num_styles, num_captions), as_png)

    def embed_text(self, captions):
        """Embeds captions.

        Args:
            captions: captions, as in `generate`.

        Returns:
            float32 array of shape `(num_captions, text_embedding_dim)`.

        Raises:
            ValueError: a caption is empty.
            ServerError: the server has not answered.
        """
        embeddings = self._ask("embed_text", text=encode_captions(captions))
        return embeddings.astype("float32")

    def _ask(self, signature, **inputs):
        answers = []
        for rows in _requests(inputs):
            request = {name: values[rows] for name, values in inputs.items()}
            answer = self._transport.ask(signature, request)
            if np.shape(answer)[:1] != (rows.stop - rows.start,):
                raise ServerError(
                    "The model must answer with a row for each of the "
                    f"request's {rows.stop - rows.start}. Received: an answer "
                    f"of shape {np.shape(answer)}"
                )
            answers.append(answer)
        return np.concatenate(answers)


def _requests(inputs):
    """Yields the rows of one request after another, as slices."""
    files = [values for values in inputs.values() if values.dtype == object]
    num_rows = len(next(iter(inputs.values())))
    start = num_bytes = 0
    for stop in range(1, num_rows + 1):
        num_bytes += sum(len(values[stop - 1]) for values in files)
        is_full = stop - start == MAX_BATCH_SIZE or num_bytes >= _MAX_BYTES
        if is_full or stop == num_rows:
            yield slice(start, stop)
            start, num_bytes = stop, 0


def _pictures(files, as_png):
    if as_png:
        return files
    pictures = [_decoded(file) for file in files.flat]
    return np.stack(pictures).reshape(*files.shape, *pictures[0].shape)


def _decoded(file):
    try:
        image = PIL.Image.open(io.BytesIO(file), formats=("PNG",))
        return np.asarray(image)
    except Exception as error:
        # Pillow raises errors of many kinds, and what is no bytes others.
        raise ServerError(
            "The model must answer with PNG files, as one that `keras-t2i "
            f"export` has written does. Received: {reprlib.repr(file)}"
        ) from error


def _image_files(style_images):
    files = np.empty(len(style_images), object)
    for index, image in enumerate(style_images):
        if isinstance(image, np.ndarray):
            image = _encoded(image)
        _check_image_file(image)
        files[index] = image
    if not len(files):
        raise ValueError(
            "`style_images` must hold at least one. Received: none"
        )
    return files


def _encoded(pixels):
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(
            "A picture of `style_images` must be the bytes of a file or uint8 "
            f"of shape (height, width, 3). Received: {pixels.dtype} of shape "
            f"{pixels.shape}"
        )
    return encode_png(pixels)


def _check_image_file(content):
    # A server would take what it can not decode for gray.
    try:
        with PIL.Image.open(
            io.BytesIO(content), formats=("JPEG", "PNG")
        ) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"more than {MAX_PIXELS} pixels")
            image.load()
    except Exception as error:
        raise ValueError(
            "`style_images` must be JPEG or PNG files, as bytes, or arrays. "
            f"Received: {reprlib.repr(content)}, which can not be read "
            f"({error})"
        ) from None
