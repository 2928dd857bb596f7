import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import TextToImageGAN
from keras_t2i.stream_trained_model import StreamTrainedModel
from keras_t2i.stream_trained_model import batch_of
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_text_encoder

ROWS = {"row": np.arange(64)}


class RowRecorder(StreamTrainedModel):
    """Keeps the rows that it is trained on."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.built = True

    def call(self, inputs):
        return inputs

    def train_step(self, data):
        batch = batch_of(data)
        self.seen.extend(batch["row"].numpy().tolist())
        return {"num_rows": len(batch["row"])}


@pytest.fixture
def model():
    model = RowRecorder()
    model.compile(run_eagerly=True)
    return model


def _stream():
    return tf.data.Dataset.from_tensor_slices(ROWS).batch(8)


def test_streams_keep_their_order_without_a_warning(model):
    # Warnings are errors in these tests.
    history = model.fit(_stream(), epochs=2, verbose=0)
    assert model.seen == 2 * list(range(64))
    assert len(history.epoch) == 2


def test_arrays_are_shuffled(model):
    model.fit(ROWS, batch_size=8, verbose=0)
    assert model.seen != list(range(64))
    assert sorted(model.seen) == list(range(64))


def test_shuffle_can_be_chosen(model):
    model.fit(ROWS, batch_size=8, shuffle=False, verbose=0)
    assert model.seen == list(range(64))
    with pytest.warns(UserWarning, match="`shuffle=True` was passed"):
        model.fit(_stream(), shuffle=True, verbose=0)


def test_further_arguments_reach_keras(model):
    model.fit(_stream(), steps_per_epoch=3, verbose=0)
    assert model.seen == list(range(24))
    with pytest.raises(TypeError, match="batchsize"):
        model.fit(_stream(), batchsize=8)


class Counter(StreamTrainedModel):
    """Has a metric and a weight of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.weight = self.add_weight(shape=(2,), initializer="ones")
        self.mean = keras.metrics.Mean("row")
        self.built = True

    def call(self, inputs):
        return inputs * self.weight

    @property
    def metrics(self):
        return [self.mean]


def test_metrics_are_saved_with_the_weights(tmp_path):
    model = Counter()
    model.weight.assign([3.0, 4.0])
    model.mean.update_state([1.0, 2.0, 6.0])
    model.save_weights(tmp_path / "counter.weights.h5")
    other = Counter()
    other.load_weights(tmp_path / "counter.weights.h5")
    assert other.weight.numpy().tolist() == [3.0, 4.0]
    assert float(other.mean.result()) == 3.0
    other.mean.update_state([7.0])
    assert float(other.mean.result()) == 4.0


def test_weights_without_metrics_are_loaded(tmp_path):
    class Plain(Counter):
        metrics = []

    model = Plain()
    model.weight.assign([3.0, 4.0])
    model.save_weights(tmp_path / "plain.weights.h5")
    other = Counter()
    other.load_weights(tmp_path / "plain.weights.h5")
    assert other.weight.numpy().tolist() == [3.0, 4.0]
    assert float(other.mean.result()) == 0.0


class Dropping(StreamTrainedModel):
    """Drops at random, with a state that Keras does not save."""

    def __init__(self):
        super().__init__()
        self.dropout = keras.layers.Dropout(0.5)
        self.built = True

    def call(self, inputs, training=False):
        return self.dropout(inputs, training=training)

    def train_step(self, data):
        self(tf.ones((1, 4)), training=True)
        return {"loss": 0.0}


def test_what_is_drawn_at_random_goes_on(tmp_path):
    model, copy = Dropping(), Dropping()
    for each in (model, copy):
        each.compile()
    model.fit(_stream(), epochs=1, verbose=0)
    model.save_weights(tmp_path / "a.weights.h5")
    copy.load_weights(tmp_path / "a.weights.h5")
    ones = tf.ones((4, 64))
    expected = model(ones, training=True)
    np.testing.assert_array_equal(copy(ones, training=True), expected)
    # The state has moved.
    assert not np.array_equal(Dropping()(ones, training=True), expected)


def _with_targets():
    return tf.data.Dataset.from_tensors((ROWS, np.arange(64)))


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"x": ROWS, "y": np.arange(64)}, "`y`"),
        ({"x": ROWS, "sample_weight": np.ones(64)}, "`sample_weight`"),
        ({"x": ROWS, "class_weight": {0: 2.0}}, "`class_weight`"),
        ({"x": _with_targets()}, "2 elements"),
        ({"x": ROWS, "validation_data": (ROWS, np.arange(64))}, "2 elements"),
        ({"x": ROWS, "validation_data": _with_targets()}, "2 elements"),
    ],
)
def test_targets_and_weights_are_refused_before_training(
    model, options, received
):
    with pytest.raises(
        ValueError, match=f"must be dicts.*Received: {received}"
    ):
        model.fit(**options, verbose=0)
    assert model.seen == []


def test_evaluation_refuses_them_too(model):
    weights = {"sample_weight": np.ones(64)}
    for of_rows in (
        model.evaluate,
        model.train_on_batch,
        model.test_on_batch,
    ):
        with pytest.raises(ValueError, match="Received: `sample_weight`"):
            of_rows(ROWS, **weights)
    with pytest.raises(ValueError, match="Received: `class_weight`"):
        model.train_on_batch(ROWS, class_weight={0: 2.0})
    assert model.seen == []


@pytest.mark.parametrize("others", [(np.ones(4),), (None, np.ones(4))])
def test_a_step_takes_a_batch_alone(others):
    with pytest.raises(
        ValueError, match="Received: a batch with `(y|sample_weight)`"
    ):
        batch_of((ROWS, *others))
    assert batch_of((ROWS,)) is batch_of((ROWS, None, None)) is ROWS


@pytest.mark.parametrize(
    "option", ["metrics", "weighted_metrics", "loss_weights", "loss"]
)
def test_what_compile_would_ignore_is_refused(model, option):
    with pytest.raises(
        ValueError, match=rf"no `{option}`. Received: {option}=\['mse'\]"
    ):
        model.compile(**{option: ["mse"]})
    # A file of earlier code may hold it.
    config = keras.saving.serialize_keras_object(keras.optimizers.SGD())
    model.compile_from_config({"optimizer": config, option: ["mse"]})


class Brightness(StreamTrainedModel):
    """Adds up what its steps find, in a graph."""

    def __init__(self):
        super().__init__()
        self.total = self.add_weight(initializer="zeros", name="total")
        self.built = True

    def train_step(self, data):
        images = batch_of(data)["images"]
        brightness = 1.0 + tf.reduce_mean(images)
        self.total.assign_add(brightness)
        return {"brightness": brightness}


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.full((64, 4, 4, 3), 255.0), "values as large as 255"),
        (np.full((64, 4, 4, 3), -2.0, "float32"), "values as large as 2"),
        (np.zeros((64, 4, 4, 3), "uint8"), "uint8"),
    ],
)
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_images_of_another_range_are_refused_before_training(
    images, received, run_eagerly
):
    model = Brightness()
    model.compile(run_eagerly=run_eagerly)
    batch = {"images": images}
    stream = tf.data.Dataset.from_tensor_slices(batch).batch(8)
    for data in (batch, stream):
        with pytest.raises(
            ValueError, match=rf"in \[-1, 1\]. Received: {received}. Rescale"
        ):
            model.fit(data, batch_size=8, verbose=0)
    for of_a_batch in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(
            ValueError, match=rf"in \[-1, 1\]. Received: {received}. Rescale"
        ):
            of_a_batch(batch)
    assert float(model.total) == 0


def _with_bright_image():
    images = np.zeros((16, 4, 4, 3), "float32")
    images[9] = 1.5
    return images


@pytest.mark.parametrize("as_tuple", [False, True])
def test_generators_are_looked_at_too(as_tuple):
    model = Brightness()
    model.compile()
    batches = ({"images": rows} for rows in np.split(_with_bright_image(), 2))
    if as_tuple:
        batches = ((batch,) for batch in batches)
    with pytest.raises(ValueError, match="values as large as 1.5"):
        model.fit(batches, steps_per_epoch=2, verbose=0)


def test_streams_of_tuples_are_looked_at_too():
    model = Brightness()
    model.compile()
    images = {"images": _with_bright_image()}
    stream = tf.data.Dataset.from_tensor_slices((images,)).batch(8)
    with pytest.raises(ValueError, match="values as large as 1.5"):
        model.fit(stream, verbose=0)
    assert float(model.total) == 1


def test_later_batches_are_looked_at_too():
    model = Brightness()
    model.compile()
    images = {"images": _with_bright_image()}
    stream = tf.data.Dataset.from_tensor_slices(images).batch(8)
    with pytest.raises(ValueError, match="values as large as 1.5"):
        model.fit(stream, verbose=0)
    assert float(model.total) == 1


def test_fit_opens_a_stream_once_an_epoch(model):
    # A stream may have another order each time that it is opened.
    opened = []

    def batches():
        opened.append(len(opened))
        for first in range(0, 64, 8):
            rows = np.arange(first, first + 8)
            yield {"row": rows, "images": np.zeros((8, 4, 4, 3), "float32")}

    stream = tf.data.Dataset.from_generator(
        batches,
        output_signature={
            "row": tf.TensorSpec((8,), tf.int64),
            "images": tf.TensorSpec((8, 4, 4, 3), tf.float32),
        },
    ).apply(tf.data.experimental.assert_cardinality(8))
    model.fit(stream, epochs=2, verbose=0)
    assert opened == [0, 1]
    assert model.seen == 2 * list(range(64))


def test_features_and_images_in_range_are_taken(model):
    features = {"images": np.full((64, 7), 9.0)}
    images = {"images": np.full((64, 4, 4, 3), -1.005, "float32")}
    for some in (features, images):
        model.seen.clear()
        stream = tf.data.Dataset.from_tensor_slices({**ROWS, **some}).batch(8)
        model.fit(stream, verbose=0)
        assert model.seen == list(range(64))


@pytest.mark.parametrize("name", ["model.h5", "model", "model.tf"])
def test_other_formats_than_keras_are_refused(model, tmp_path, name):
    with pytest.raises(ValueError, match="ends in `.keras`. Received: .*model"):
        model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [tiny_joint_embedding, tiny_gan])
def test_networks_are_exported_and_not_what_trains_them(make, tmp_path):
    model = make()
    with pytest.raises(NotImplementedError, match="text_encoder|export_saved"):
        model.export(tmp_path / "exported")


def test_a_batch_of_arrays_run_eagerly():
    gan = TextToImageGAN.from_preset(
        "reed2016", text_encoder=tiny_text_encoder(), image_size=32, width=2
    )
    gan.compile(run_eagerly=True)
    for run in (gan.train_on_batch, gan.test_on_batch):
        logs = run(embeddings_batch(), return_dict=True)
        assert np.isfinite(float(logs["discriminator_loss"]))
