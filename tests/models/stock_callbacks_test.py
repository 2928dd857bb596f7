"""Keras' own callbacks, with each kind of model that is trained here."""

import csv
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import token_ids_batch


def _gan():
    gan = tiny_gan()
    gan.compile(keras.optimizers.Adam(4e-3), keras.optimizers.Adam(1e-3))
    return gan, embeddings_batch(), "discriminator_loss"


def _style_inversion():
    gan = tiny_gan()
    model = keras_t2i.StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    )
    model.compile(keras.optimizers.Adam(4e-3))
    return model, {"token_ids": token_ids_batch()["token_ids"]}, "loss"


def _joint_embedding():
    model = tiny_joint_embedding()
    model.compile(keras.optimizers.Adam(4e-3))
    batch = token_ids_batch()
    return (
        model,
        {name: batch[name] for name in ("images", "token_ids")},
        "loss",
    )


MAKERS = [_gan, _style_inversion, _joint_embedding]


@pytest.fixture(scope="module", params=MAKERS)
def trained(request):
    """A compiled model, a data set of two batches, and the name of a loss."""
    keras.utils.set_random_seed(0)
    model, batch, loss = request.param()
    return model, tf.data.Dataset.from_tensors(batch).repeat(2), loss


def _rates(model):
    names = [name for name in model.compiled_objects if name != "loss"]
    return [float(getattr(model, name).learning_rate) for name in names]


def _fit(trained, *callbacks, epochs=2):
    model, data, _ = trained
    return model.fit(data, epochs=epochs, verbose=0, callbacks=list(callbacks))


def test_learning_rate_scheduler(trained):
    before = _rates(trained[0])
    scheduler = keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 2
    )
    history = _fit(trained, scheduler).history
    assert _rates(trained[0]) == pytest.approx([rate / 4 for rate in before])
    assert history["learning_rate"] == pytest.approx(
        [before[0] / 2, before[0] / 4]
    )


def test_a_warm_up_from_0(trained):
    before = _rates(trained[0])
    scheduler = keras.callbacks.LearningRateScheduler(
        lambda epoch: epoch * before[0]
    )
    assert _fit(trained, scheduler).history["learning_rate"][0] == 0.0
    assert _rates(trained[0]) == pytest.approx(before)


def test_reduce_learning_rate_on_plateau(trained):
    before = _rates(trained[0])
    # Nothing is so much better.
    reduce = keras.callbacks.ReduceLROnPlateau(
        trained[2], factor=0.5, patience=1, mode="min", min_delta=1e9
    )
    _fit(trained, reduce)
    assert _rates(trained[0]) == pytest.approx([rate / 2 for rate in before])


def test_early_stopping(trained):
    stop = keras.callbacks.EarlyStopping(
        trained[2],
        patience=1,
        mode="min",
        min_delta=1e9,
        restore_best_weights=True,
    )
    assert len(_fit(trained, stop, epochs=5).epoch) == 2


def test_files(trained, tmp_path):
    model, _, loss = trained
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", loss, mode="min", save_best_only=True
    )
    weights = keras.callbacks.ModelCheckpoint(
        tmp_path / "last.weights.h5", save_weights_only=True
    )
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    steps = int(model.steps_trained)
    history = _fit(trained, best, weights, log).history
    saved = keras.saving.load_model(tmp_path / "best.keras")
    epoch = 1 + int(np.argmin(history[loss]))
    assert int(saved.steps_trained) == steps + 2 * epoch
    model.load_weights(tmp_path / "last.weights.h5")
    assert int(model.steps_trained) == steps + 4
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row[loss]) for row in rows] == pytest.approx(history[loss])


class _Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise InterruptedError


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("make", MAKERS)
def test_backup_and_restore(make, tmp_path):
    def new():
        keras.utils.set_random_seed(0)
        model, batch, loss = make()
        return model, tf.data.Dataset.from_tensors(batch).repeat(2), loss

    whole, interrupted, resumed = new(), new(), new()
    _fit(whole)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(InterruptedError):
        _fit(interrupted, backup, _Interrupt())
    resumed[0].set_weights([0.0 * w for w in resumed[0].get_weights()])
    assert _fit(resumed, backup).epoch == [1]
    assert int(resumed[0].steps_trained) == 4
    for weight, expected in zip(resumed[0].weights, whole[0].weights):
        np.testing.assert_array_equal(weight, expected)


def test_tensorboard(trained, tmp_path):
    pytest.importorskip("tensorboard")
    board = keras.callbacks.TensorBoard(tmp_path, write_steps_per_second=True)
    _fit(trained, board)
    tags = {
        value.tag
        for path in pathlib.Path(tmp_path).rglob("*.v2")
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert {
        "epoch_steps_per_second",
        "epoch_learning_rate",
        f"epoch_{trained[2]}",
    } <= tags


def test_swap_ema_weights_is_refused_before_training(trained):
    model, _, _ = trained
    steps = int(model.steps_trained)
    with pytest.raises(ValueError, match="SwapEMAWeights.*Received: .*ea?ve"):
        _fit(trained, keras.callbacks.SwapEMAWeights())
    assert int(model.steps_trained) == steps


def test_terminate_on_nan_would_watch_nothing(trained):
    model, _, _ = trained
    callback = keras.callbacks.TerminateOnNaN()
    if isinstance(model, keras_t2i.TextToImageGAN):
        with pytest.raises(ValueError, match="watches `loss`.*StopOnNaN`"):
            _fit(trained, callback)
    else:
        _fit(trained, callback)


@pytest.mark.usefixtures("eagerly")
def test_swap_ema_weights_where_the_optimizer_averages():
    model, batch, _ = _joint_embedding()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True))
    data = tf.data.Dataset.from_tensors(batch).repeat(2)
    swap = keras.callbacks.SwapEMAWeights()
    model.fit(data, validation_data=data, verbose=0, callbacks=[swap])
    # The weights of the model are the averages at the end.
    for weight, average in zip(
        model.trainable_weights, model.optimizer._model_variables_moving_average
    ):
        np.testing.assert_allclose(weight, average, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [_gan, _style_inversion])
def test_averages_that_nobody_would_use_are_refused(make):
    model, _, _ = make()
    with pytest.raises(ValueError, match="`use_ema`.*Received: use_ema=True"):
        model.compile(keras.optimizers.SGD(use_ema=True))


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.ReduceLROnPlateau("discriminator_loss", mode="min"),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
    ],
)
def test_schedules_cannot_be_set(callback):
    gan, batch, _ = _gan()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    gan.compile("adam", keras.optimizers.Adam(schedule))
    with pytest.raises(
        ValueError,
        match=f"`{type(callback).__name__}`.*Received: a ExponentialDecay",
    ):
        gan.fit(batch, callbacks=[callback], verbose=0)
    assert int(gan.steps_trained) == 0
