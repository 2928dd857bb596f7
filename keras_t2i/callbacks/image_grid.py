"""Draws the same captions from the same noise again and again."""

import pathlib

import numpy as np

from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.files import atomic_write
from keras_t2i.plots.grids import image_grid


class ImageGrid(StepCallback):
    """Writes `step-00001230.png`: pictures of given captions.

    The captions and the noise are the same every time, so the grids show how
    the training goes on.

    Args:
        folder: path of the folder to write to.
        captions: list of strings. One row each.
        num_pictures: int. Pictures a caption. Defaults to `6`.
        every_steps: int. Defaults to `250`. One more is written at the end.
        seed: int. Picture `k` of each caption has the seed `seed + k`.
            Defaults to `0`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
    """

    def __init__(
        self,
        folder,
        captions,
        num_pictures=6,
        every_steps=250,
        seed=0,
        first_step=0,
    ):
        super().__init__(first_step)
        self.folder = pathlib.Path(folder)
        self.captions = list(captions)
        self.num_pictures = num_pictures
        self.every_steps = every_steps
        self.seed = seed

    def on_step_end(self, step, logs):
        if step % self.every_steps == 0:
            self._draw()

    def on_train_end(self, logs=None):
        self._draw()

    def _draw(self):
        seeds = np.tile(
            self.seed + np.arange(self.num_pictures), len(self.captions)
        )
        captions = np.repeat(self.captions, self.num_pictures)
        pictures = self.model.generate(captions.tolist(), seed=seeds)
        shape = (len(self.captions), self.num_pictures, *pictures.shape[1:])
        figure = image_grid(pictures.reshape(shape), self.captions)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{self.step:08d}.png"
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png")
