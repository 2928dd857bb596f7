import keras
import numpy as np
import PIL.Image
import pytest

from keras_t2i.callbacks import TensorBoardWriter
from tests.callbacks.event_files import read_events


def scalars(folder):
    return {
        tag: [(step, value.simple_value) for step, value in values]
        for tag, values in read_events(folder).items()
        if tag != "samples"
    }


def _train(folder, samples, first_step, steps, images_at=()):
    writer = TensorBoardWriter(folder, samples, 2, first_step=first_step)
    writer.set_params({"steps": steps})
    writer.on_train_begin()
    writer.on_epoch_begin(0)
    for batch in range(steps):
        step = first_step + batch + 1
        if step in images_at:
            image = PIL.Image.new("RGBA", (step, 2))
            image.save(samples / f"step-{step:08d}.png")
        writer.on_train_batch_end(batch, {"loss": step / 2})
    writer.on_train_end()


def test_scalars_of_every_line(tmp_path):
    _train(tmp_path / "events", tmp_path, 0, 5)
    assert scalars(tmp_path / "events") == {
        "loss": [(2, 1.0), (4, 2.0), (5, 2.5)]
    }


def test_a_resumed_training_adds_to_the_folder(tmp_path):
    _train(tmp_path / "events", tmp_path, 0, 2)
    _train(tmp_path / "events", tmp_path, 2, 2)
    assert scalars(tmp_path / "events") == {"loss": [(2, 1.0), (4, 2.0)]}


def test_images_once_each(tmp_path):
    _train(tmp_path / "events", tmp_path, 0, 5, images_at=(3, 5))
    images = read_events(tmp_path / "events")["samples"]
    assert [step for step, _ in images] == [3, 5]
    for step, value in images:
        assert (value.image.width, value.image.height) == (step, 2)
        path = tmp_path / f"step-{step:08d}.png"
        assert value.image.encoded_image_string == path.read_bytes()


def test_with_fit(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    writer = TensorBoardWriter(tmp_path / "events", tmp_path, 1)
    ones = np.ones((1, 1))
    history = model.fit(ones, ones, epochs=2, verbose=0, callbacks=[writer])
    (first, second) = scalars(tmp_path / "events")["loss"]
    assert first == (1, pytest.approx(history.history["loss"][0]))
    assert second == (2, pytest.approx(history.history["loss"][1]))
