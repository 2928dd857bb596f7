import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.fit_checks import checked_batches
from keras_t2i.fit_checks import split_for_validation
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.stream_trained_model import batch_of
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding


def _rows(count):
    return {"row": np.arange(count, dtype="float32")}


def _stream(count, batch_size, **options):
    rows = tf.data.Dataset.from_tensor_slices(_rows(count))
    return rows.batch(batch_size, **options)


# === Several devices ===


class Mean(StreamTrainedModel):
    """Learns the mean of the rows of each device, which must have some."""

    def __init__(self):
        super().__init__()
        self.mean = self.add_weight(shape=(), initializer="zeros")
        self.built = True

    def train_step(self, data):
        rows = batch_of(data)["row"]
        loss = tf.reduce_mean(tf.square(self.mean - rows))
        tf.debugging.assert_positive(tf.size(rows))
        gradient = 2.0 * (self.mean - tf.reduce_mean(rows))
        self.optimizer.apply([gradient], [self.mean])
        return {"loss": loss}


def test_a_short_last_batch_on_several_devices(two_replicas):
    with two_replicas.scope():
        model = Mean()
        model.compile(keras.optimizers.SGD(0.1))
    model.fit(_stream(5, 4), verbose=0)
    assert int(model.optimizer.iterations.value.numpy()) == 2
    # Gradients are summed: 0.1 * 6, and then the last row on both devices.
    assert float(model.mean.value.numpy()) == pytest.approx(0.6 + 0.1 * 4 * 3.4)


def test_rows_are_repeated_where_a_device_would_have_none(two_replicas):
    batches = checked_batches(_stream(5, 4), num_devices=2)
    assert batches.cardinality() == 2
    distributed = two_replicas.experimental_distribute_dataset(batches)
    rows = [
        [part.numpy().tolist() for part in batch["row"].values]
        for batch in distributed
    ]
    assert rows == [[[0.0, 1.0], [2.0, 3.0]], [[4.0], [4.0]]]


@pytest.mark.parametrize(
    ("num_devices", "sizes"),
    [
        (2, [2, 2, 3, 4, 5, 6, 7, 8]),
        (3, [3, 3, 3, 6, 5, 6, 7, 8]),
        (4, [4, 4, 4, 4, 8, 8, 7, 8]),
    ],
)
def test_how_many_rows_are_repeated(num_devices, sizes):
    for size, expected in enumerate(sizes, start=1):
        batches = checked_batches(_stream(size, 9), num_devices=num_devices)
        (batch,) = batches.as_numpy_iterator()
        assert len(batch["row"]) == expected
        assert set(batch["row"]) == set(range(size))


@pytest.mark.parametrize("size", range(1, 9))
def test_as_many_rows_of_other_batches_are_repeated(size):
    rows = {"images": np.zeros((size, 8, 8, 3)), "row": np.arange(size)}
    stream = tf.data.Dataset.from_tensor_slices(rows).batch(9)
    stream = checked_batches(stream, num_devices=4)
    (expected,) = stream.as_numpy_iterator()
    batches = [
        next(checked_batches((b for b in [rows]), num_devices=4)),
        checked_batches(_OneBatch(rows), num_devices=4)[0],
    ]
    for batch in batches:
        assert list(batch["row"]) == list(expected["row"])
        assert len(batch["images"]) == len(batch["row"])


class _OneBatch(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def test_all_batches_are_taken_on_one_device():
    stream = _stream(5, 4)
    assert checked_batches(stream) is stream
    assert checked_batches(_rows(5), batch_size=4).keys() == {"row"}


@pytest.mark.parametrize(
    ("data", "batch_size", "received"),
    [
        (_rows(5), 4, "a batch of 1 rows for 2 devices"),
        (_rows(33), None, "a batch of 1 rows for 2 devices"),
        (_rows(4), 1, "a batch of 1 rows for 2 devices"),
        (_stream(4, 1, drop_remainder=True), None, "a batch of 1 rows"),
    ],
)
def test_batches_that_cannot_be_filled_are_refused(data, batch_size, received):
    with pytest.raises(ValueError, match=f"rows for all.*Received: {received}"):
        checked_batches(data, num_devices=2, batch_size=batch_size)


def test_fit_refuses_them_before_the_first_step(two_replicas):
    with two_replicas.scope():
        model = Mean()
        model.compile(keras.optimizers.SGD(0.1))
    for options in (
        {"x": _rows(5), "batch_size": 4},
        {"x": _rows(8), "validation_data": _rows(1)},
    ):
        with pytest.raises(ValueError, match="Received: a batch of 1 rows"):
            model.fit(**options, verbose=0)
    assert int(model.optimizer.iterations.value.numpy()) == 0


def test_a_part_for_validation_is_checked_on_its_own(two_replicas):
    with two_replicas.scope():
        model = Mean()
        model.compile(keras.optimizers.SGD(0.1))
    # 5 of 10 rows are trained on: batches of 4 and of 1.
    with pytest.raises(ValueError, match="Received: a batch of 1 rows"):
        model.fit(_rows(10), batch_size=4, validation_split=0.5, verbose=0)
    assert int(model.optimizer.iterations.value.numpy()) == 0


def test_a_part_for_validation_is_that_of_keras():
    options = {"x": _rows(10), "validation_split": 0.25}
    split_for_validation(options)
    np.testing.assert_array_equal(options["x"]["row"], np.arange(7))
    np.testing.assert_array_equal(
        options["validation_data"][0]["row"], np.arange(7, 10)
    )
    assert options["validation_split"] == 0.0
    # Keras says what is wrong.
    options = {"x": _rows(2), "validation_split": 0.9}
    split_for_validation(options)
    assert options.keys() == {"x", "validation_split"}


@pytest.mark.parametrize("make", [tiny_gan, tiny_joint_embedding])
def test_what_keras_cannot_do_on_several_devices(two_replicas, make):
    with two_replicas.scope():
        model = make()
    for name, value in {"jit_compile": True, "steps_per_execution": 2}.items():
        with pytest.raises(
            ValueError, match=f"`{name}` must be .*Received: {value} on 2 dev"
        ):
            model.compile(**{name: value})
    optimizers = [
        keras.optimizers.SGD(gradient_accumulation_steps=3)
        for name in model.compiled_objects
        if name != "loss"
    ]
    with (
        two_replicas.scope(),
        pytest.raises(ValueError, match="`gradient_accumulation.*: 3 on"),
    ):
        model.compile(*optimizers)
    model.compile()


# === Images ===


def test_images_of_another_size_are_refused():
    gan = tiny_gan()
    gan.compile()
    batch = embeddings_batch() | {"images": np.zeros((4, 64, 64, 3), "float32")}
    stream = tf.data.Dataset.from_tensors(batch)
    for run in (gan.fit, gan.evaluate):
        for data in (batch, stream):
            with pytest.raises(
                ValueError,
                match=r"32, 3\). Received: \(4, 64, 64, 3\). Pass image_size=",
            ):
                run(data, verbose=0)
    with pytest.raises(ValueError, match=r"Received: \(4, 64, 64, 3\)"):
        gan.fit(embeddings_batch(), validation_data=stream, verbose=0)


@pytest.mark.parametrize("shape", [(4, 64, 32, 3), (4, 32, 32, 1)])
def test_images_of_another_shape_are_refused(shape):
    gan = tiny_gan()
    gan.compile()
    batch = embeddings_batch() | {"images": np.zeros(shape, "float32")}
    with pytest.raises(ValueError, match=re.escape(f"Received: {shape}")):
        gan.fit(batch, verbose=0)
    assert int(gan.steps_trained) == 0


def test_images_out_of_range_are_not_evaluated():
    gan = tiny_gan()
    gan.compile(run_eagerly=True)
    batch = embeddings_batch()
    bad = batch | {"images": 127.5 * batch["images"]}
    for data in (bad, (bad,), (bad, None), tf.data.Dataset.from_tensors(bad)):
        with pytest.raises(ValueError, match=r"in \[-1, 1\]. Received: values"):
            gan.evaluate(data, verbose=0)
        with pytest.raises(ValueError, match=r"in \[-1, 1\]. Received: values"):
            gan.fit(batch, validation_data=data, verbose=0)
    values = gan.evaluate(batch, verbose=0)
    assert np.isfinite(values).all()


class Scaled(keras.utils.PyDataset):
    """Two batches with these images times a number."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
        self.epochs = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        batch = embeddings_batch()
        return batch | {"images": self.factor * batch["images"]}

    def on_epoch_end(self):
        self.epochs += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_images_of_a_py_dataset_are_checked_too(workers):
    gan = tiny_gan()
    gan.compile(run_eagerly=True)
    bad, good = (Scaled(factor, workers=workers) for factor in (127.5, 1.0))
    for run in (gan.fit, gan.evaluate):
        with pytest.raises(ValueError, match=r"in \[-1, 1\]. Received: values"):
            run(bad, verbose=0)
    assert int(gan.steps_trained) == 0
    gan.fit(good, epochs=2, verbose=0)
    assert int(gan.steps_trained) == 4
    assert good.epochs >= 2


# === Batches of another kind ===


def test_batches_that_are_no_dicts_are_refused():
    gan = tiny_gan()
    gan.compile(run_eagerly=True)
    images = embeddings_batch()["images"]
    for data, kind in (
        (images, "tensor"),
        (tf.data.Dataset.from_tensors(images), "tensor"),
        (([images] for _ in range(2)), "list"),
    ):
        for run in (gan.fit, gan.evaluate):
            with pytest.raises(
                ValueError, match=f"must be dicts of arrays.*a {kind}. Give"
            ):
                run(data, verbose=0)
    for run in (gan.train_on_batch, gan.test_on_batch):
        with pytest.raises(ValueError, match="must be dicts of.*: a list. G"):
            run([images])


def test_a_batch_without_images_is_refused():
    gan = tiny_gan()
    gan.compile(run_eagerly=True)
    batch = embeddings_batch()
    del batch["images"]
    for run in (gan.fit, gan.evaluate):
        with pytest.raises(
            ValueError, match=r"must hold `images`.*Received: \['mismatched_"
        ):
            run(batch, verbose=0)


# === Arrays ===


def test_lists_are_arrays():
    arrays = checked_batches({"row": [[1.0, 2.0], [3.0, 4.0]]})
    assert arrays["row"].shape == (2, 2)


@pytest.mark.parametrize(
    ("images", "texts", "received"),
    [(4, 3, "4 of `images`, 3 of `text_embeddings`"), (0, 0, "0 of `images`")],
)
def test_rows_that_do_not_fit_are_refused(images, texts, received):
    batch = {
        "images": np.zeros((images, 32, 32, 3), "float32"),
        "text_embeddings": np.zeros((texts, 8), "float32"),
    }
    with pytest.raises(ValueError, match=f"of rows.*Received: {received}"):
        checked_batches(batch, image_size=32)


@pytest.mark.parametrize("name", ["text_embeddings", "mismatched_text_embed"])
def test_texts_of_another_size_are_refused(name):
    gan = tiny_gan()
    gan.compile()
    batch = embeddings_batch()
    (name,) = [key for key in batch if key.startswith(name)]
    size = batch[name].shape[1]
    batch[name] = np.zeros((4, size + 1), "float32")
    for data in (batch, tf.data.Dataset.from_tensors(batch)):
        with pytest.raises(
            ValueError, match=f"`{name}`.*, {size}. Received: {size + 1}"
        ):
            gan.fit(data, verbose=0)
