import io

import numpy as np
import PIL.Image
import pytest

from keras_t2i import metrics
from keras_t2i import plots


@pytest.mark.parametrize(
    "figure",
    [
        plots.image_grid(np.zeros((1, 2, 128, 128, 3), "uint8"), ["a rose"]),
        plots.training_curves([{"step": 10, "loss": 2.0}]),
        plots.roc_curves(
            {"GAN": metrics.RocCurve(np.arange(2.0), np.arange(2.0), 0.5)}
        ),
    ],
)
def test_a_notebook_shows_the_figure_in_its_own_size(figure):
    image = PIL.Image.open(io.BytesIO(figure._repr_png_()))
    assert image.format == "PNG"
    assert image.size == tuple(
        map(round, figure.get_size_inches() * figure.dpi)
    )
