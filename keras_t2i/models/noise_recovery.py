"""How much of a generator's noise can be read from its pictures."""

import dataclasses

import numpy as np
from keras import ops

from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.noise import noise_from_seeds

_BATCH_SIZE = 64
# Pictures that are drawn again with another value of one dimension.
_NUM_REDRAWN = 32
# Below that, in gray levels, a change is lost when a picture becomes 8 bits.
_LEAST_EFFECT = 0.5


@dataclasses.dataclass(frozen=True)
class NoiseRecovery:
    """How well a style encoder recovers the noise of a generator.

    Args:
        r_squared: float. Share of the noise's variance that is recovered, the
            mean over all dimensions. 1 is all of it; 0 is what always saying
            the mean would give.
        r_squared_per_dimension: float array of shape `(noise_dim,)`.
        effect_per_dimension: float array of shape `(noise_dim,)`. Root mean
            square change of a picture, in gray levels of 255, when this
            dimension alone is drawn again.
    """

    r_squared: float
    r_squared_per_dimension: np.ndarray
    effect_per_dimension: np.ndarray

    @property
    def ignored_dimensions(self):
        """Dimensions that the generator ignores, as a list of ints.

        They change a picture by less than half a gray level: nothing can
        recover them, and no style is in them.
        """
        return np.flatnonzero(
            self.effect_per_dimension < _LEAST_EFFECT
        ).tolist()


def noise_recovery(generator, style_encoder, text_embeddings, seeds):
    """Draws pictures and compares the noise found in them with their own.

    Args:
        generator: `Generator`.
        style_encoder: `keras.Model` from images to noise.
        text_embeddings: float32 array of shape
            `(num_pictures, text_embedding_dim)`.
        seeds: int array of shape `(num_pictures,)`.

    Returns:
        `NoiseRecovery`.
    """
    noise = np.array(noise_from_seeds(seeds, generator.noise_dim))

    def draw(rows, noise):
        # As others will see them, in 8 bits.
        return to_uint8(
            generator(
                {"noise": noise, "text_embeddings": text_embeddings[rows]},
                training=False,
            )
        )

    found = []
    for start in range(0, len(noise), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        pictures = to_model_range(draw(rows, noise[rows]))
        found.append(style_encoder(pictures, training=False))
    residual = np.mean((np.concatenate(found) - noise) ** 2, axis=0)
    r_squared = 1.0 - residual / np.var(noise, axis=0)

    rows = slice(0, _NUM_REDRAWN)
    pictures = np.array(draw(rows, noise[rows]), np.float32)
    other_noise = np.random.default_rng(0).normal(size=pictures.shape[:1])
    effects = []
    for dimension in range(generator.noise_dim):
        changed = noise[rows].copy()
        changed[:, dimension] = other_noise
        difference = ops.cast(draw(rows, changed), "float32") - pictures
        effects.append(float(np.sqrt(np.mean(np.square(difference)))))
    return NoiseRecovery(float(r_squared.mean()), r_squared, np.array(effects))
