"""What discriminators and generators are trained for, from logits of pairs."""

import functools
import operator

import keras
from keras import ops

from keras_t2i.losses.gan_cls import discriminator_loss
from keras_t2i.losses.gan_cls import generator_loss
from keras_t2i.losses.relativistic_pairing import RelativisticPairing


class LabelObjective:
    """Each pair is real or it is not: the paper's Algorithm 1.

    Logits are those of one discriminator, `(batch, num_logits)`.
    """

    def __init__(self):
        self._loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def discriminator_loss(
        self, real, generated, mismatched=None, mismatch_weight=0.5
    ):
        """Scores a discriminator, as `keras_t2i.losses.discriminator_loss`."""
        return discriminator_loss(
            real, generated, self._loss, mismatched, mismatch_weight
        )

    def generator_loss(self, generated, real):
        """Scores a generator; the real pairs do not matter."""
        return generator_loss(generated, self._loss)

    def right(self, scores):
        """Tells which pairs a discriminator has judged rightly.

        Args:
            scores: dict of `"real"`, `"generated"` and, if there are any,
                `"mismatched"` pairs to scores of shape `(batch, 1)`.

        Returns:
            dict of these names to bool tensors of the same shape.
        """
        return {
            name: score > 0 if name == "real" else score <= 0
            for name, score in scores.items()
        }


class RelativisticObjective:
    """A real pair scores above the generated and the mismatched of its row.

    The methods are those of `LabelObjective`.
    """

    def __init__(self):
        self._pairing = RelativisticPairing()

    def discriminator_loss(
        self, real, generated, mismatched=None, mismatch_weight=0.5
    ):
        """Scores a discriminator.

        A `mismatch_weight` of 0.5, the paper's, counts both comparisons alike.
        """
        loss = self._pairing(real, generated)
        if mismatched is not None:
            loss += 2.0 * mismatch_weight * self._pairing(real, mismatched)
        return loss

    def generator_loss(self, generated, real):
        """Scores a generator by its pairs beside the real ones of the rows."""
        return self._pairing(generated, real[: ops.shape(generated)[0]])

    def right(self, scores):
        """Tells which pairs are right: below, or for real ones above others."""
        real = scores["real"]
        below = {
            name: score < real
            for name, score in scores.items()
            if name != "real"
        }
        above = functools.reduce(ops.logical_and, below.values())
        return {"real": above, **below}


def mean_scores(logits):
    """Adds up what several discriminators say of pairs.

    Args:
        logits: dict of names to lists of logits, one tensor of shape
            `(batch, num_logits)` per discriminator, which averages its own.

    Returns:
        dict of these names to scores of shape `(batch, 1)`.
    """
    return {
        name: functools.reduce(
            operator.add,
            [ops.mean(rows, axis=-1, keepdims=True) for rows in members],
        )
        for name, members in logits.items()
    }
