import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from keras_t2i.callbacks import ImageGrid
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan

CAPTIONS = ["a red flower", "an iris"]


@pytest.fixture(scope="module")
def gan():
    gan = tiny_gan()
    for size in (4, 8, 16, 32):
        kernel = gan.ema_generator.get_layer(f"convolution_{size}").kernel
        kernel.assign(20 * kernel)
    return gan


def _grid(gan, folder, **options):
    grid = ImageGrid(folder, CAPTIONS, images_per_caption=3, **options)
    grid.set_model(gan)
    return grid


def _draw(grid, step):
    grid.step = step
    grid.on_step_end(step, {})
    return (grid.folder / f"step-{step:08d}.png").read_bytes()


def test_same_weights_give_the_same_picture(gan, tmp_path):
    grid = _grid(gan, tmp_path / "samples", every_steps=5)
    first = _draw(grid, 5)
    assert _draw(grid, 10) == first
    kernel = gan.ema_generator.get_layer("convolution_32").kernel
    kernel.assign(-kernel)
    assert _draw(grid, 15) != first
    kernel.assign(-kernel)
    assert _draw(grid, 20) == first
    names = sorted(path.name for path in grid.folder.iterdir())
    assert names == [f"step-000000{step}.png" for step in ("05", 10, 15, 20)]


def test_each_caption_has_a_row_with_the_same_seeds(gan, tmp_path):
    _draw(_grid(gan, tmp_path, every_steps=1, seed=7), 1)
    figure = np.array(PIL.Image.open(tmp_path / "step-00000001.png"))
    # Two rows of 136 pixels; the images are right of the captions.
    assert figure.shape[0] == 2 * 136
    left = figure.shape[1] - 3 * 136
    images = gan.generate(np.repeat(CAPTIONS, 3), seed=[7, 8, 9] * 2)
    # A pixel of a picture is a square of 4, behind a gap of 4.
    centers = figure[4 + 16 * 4 :: 136, left + 4 + 16 * 4 :: 136, :3]
    np.testing.assert_array_equal(centers, images[:, 16, 16].reshape(2, 3, 3))


def test_grids_are_drawn_every_few_steps_and_at_the_end(tmp_path):
    gan = tiny_gan()
    gan.compile(run_eagerly=True)
    stream = tf.data.Dataset.from_tensors(embeddings_batch()).repeat(3)
    grid = ImageGrid(tmp_path, CAPTIONS, 1, every_steps=2, first_step=7)
    gan.fit(stream, callbacks=[grid], verbose=0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-00000008.png", "step-00000010.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"captions": "a rose"}, "list of strings. Received: one string"),
        ({"captions": ["a rose"], "every_steps": 0}, "`every_steps` must be"),
    ],
)
def test_arguments_that_would_fail_later(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageGrid(tmp_path, **arguments)
