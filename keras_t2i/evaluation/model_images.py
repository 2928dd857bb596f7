"""Images that a model generates, to be measured."""

from collections.abc import Iterable

import numpy as np

from keras_t2i.evaluation.captions import EvaluationCaptions


class ModelImages:
    """The images that a model generates from the captions of a split.

    They are generated whenever they are read: none is kept.

    Args:
        model: anything with `generate(captions, seed)`, such as
            `TextToImageGAN` or `keras_t2i.export.Client`.
        captions: `EvaluationCaptions`.
        images_per_caption: int. Image `k` of the caption of image `i` has the
            seed `i + k * len(captions)`. Defaults to `1`.
        trained_with: names of networks that the model was trained with, other
            than those that its discriminators name. Defaults to none.

    Attributes:
        indices: int array of shape `(num_images,)`: the image of the split
            whose caption each is generated from, in rising order.
        image_size: int. Side of the images in pixels.
        protocol: string. How the images came to be.
        trained_with: frozenset of strings. All networks that the model is
            known to be trained with.
        text_encoder: `keras.Model`, the model's own. `None` where it is not
            known, as of a served model.

    Raises:
        ValueError: there is not at least one image a caption, or the model has
            diverged.
    """

    def __init__(
        self,
        model,
        captions: EvaluationCaptions,
        images_per_caption: int = 1,
        trained_with: Iterable[str] = (),
    ):
        if images_per_caption < 1:
            raise ValueError(
                "`images_per_caption` must be at least 1. Received: "
                f"{images_per_caption!r}"
            )
        _check_finite(model)
        self._model = model
        self._captions = captions.captions
        self.indices = np.repeat(np.arange(len(captions)), images_per_caption)
        numbers = np.tile(np.arange(images_per_caption), len(captions))
        self._seeds = self.indices + numbers * len(captions)
        self.text_encoder = getattr(model, "text_encoder", None)
        discriminator = getattr(model, "discriminator", None)
        members = getattr(discriminator, "members", [discriminator])
        networks = {getattr(member, "network", None) for member in members}
        self.trained_with = frozenset({*networks, *trained_with} - {None})
        self.image_size = self.read(np.arange(1)).shape[1]
        self.protocol = (
            "one caption of each image of the split, chosen with seed 0; "
            f"images generated from each: {images_per_caption}; image k of "
            f"the caption of image i has the noise of seed i + k * "
            f"{len(captions)}"
        )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Generates images.

        Args:
            rows: int array of shape `(num_rows,)`, places in `indices`.

        Returns:
            uint8 array of shape `(num_rows, image_size, image_size, 3)`.
        """
        captions = [self._captions[index] for index in self.indices[rows]]
        return self._model.generate(captions, seed=self._seeds[rows].tolist())


def _check_finite(model):
    # Images would hide it: what is no number becomes gray.
    generator = getattr(model, "ema_generator", None)
    if generator is None:
        return
    if not all(np.isfinite(w).all() for w in generator.get_weights()):
        raise ValueError(
            "A model must have finite weights. Received: NaN or infinity in "
            "its generator. Take an earlier checkpoint."
        )
