"""Which images come in which training step: functions of seed and step."""

import numpy as np


class ShuffledEpochs:
    """Every image once an epoch, in an order of its own each epoch.

    Args:
        num_images: int.
        batch_size: int. Fewer images than this repeat within the batch; images
            beyond the last whole batch of an epoch are left out of it.
        seed: int.
    """

    def __init__(self, num_images: int, batch_size: int, seed: int):
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = max(1, num_images // batch_size)
        self._cached = (None, None)

    def indices(self, step: int) -> np.ndarray:
        """Returns the images of one step, shape `(batch_size,)`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        cached_epoch, order = self._cached
        if epoch != cached_epoch:
            generator = np.random.default_rng([self.seed, epoch])
            order = generator.permutation(self.num_images)
            # One assignment: steps may be read by several threads.
            self._cached = (epoch, order)
        start = place * self.batch_size
        return np.resize(
            order[start : start + self.batch_size], self.batch_size
        )


class DistinctClasses:
    """Random images of each of as many random classes as fit the batch.

    Args:
        class_ids: int array of shape `(num_images,)`.
        batch_size: int. At most as many classes as there are, and as many as
            fit, are used.
        seed: int.
        images_per_class: int. Different ones, where the class has as many.
            Defaults to `1`.
    """

    def __init__(
        self,
        class_ids: np.ndarray,
        batch_size: int,
        seed: int,
        images_per_class: int = 1,
    ):
        order = np.argsort(class_ids, kind="stable")
        starts = np.flatnonzero(np.diff(class_ids[order], prepend=-2))
        self._images_of_class = np.split(order, starts[1:])
        self._images_per_class = images_per_class
        self._num_classes = min(
            batch_size // images_per_class, len(self._images_of_class)
        )
        self.batch_size = self._num_classes * images_per_class
        self.seed = seed
        self.steps_per_epoch = max(1, len(class_ids) // self.batch_size)

    def indices(self, step: int) -> np.ndarray:
        """Returns the images of one step, shape `(batch_size,)`."""
        generator = np.random.default_rng([self.seed, step])
        chosen = generator.permutation(len(self._images_of_class))
        return np.concatenate(
            [
                self._some_images(class_place, generator)
                for class_place in chosen[: self._num_classes]
            ]
        )

    def _some_images(self, class_place, generator):
        images = generator.permutation(self._images_of_class[class_place])
        return np.resize(
            images[: self._images_per_class], self._images_per_class
        )


class InOrder:
    """Every image once, in order; the last one fills the last batch.

    Args:
        num_images: int.
        batch_size: int.
    """

    seed = 0

    def __init__(self, num_images: int, batch_size: int):
        self.num_images = num_images
        self.batch_size = batch_size
        self.steps_per_epoch = -(-num_images // batch_size)

    def indices(self, step: int) -> np.ndarray:
        """Returns the images of one step, shape `(batch_size,)`."""
        first = step * self.batch_size
        indices = np.arange(first, first + self.batch_size)
        return np.minimum(indices, self.num_images - 1)
