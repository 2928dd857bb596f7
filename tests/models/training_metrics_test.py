import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.adversarial_training import RelativeDiversity
from keras_t2i.models.adversarial_training import ReplicaLoss
from keras_t2i.models.adversarial_training import training_metrics
from keras_t2i.models.staged_matching import StagedMatching


def _images(*values):
    return tf.constant(values)[:, None, None, None] * tf.ones((2, 2, 2, 3))


def test_relative_diversity_is_the_mean_of_its_batches():
    metric = RelativeDiversity()
    # Variances of 1/16 and 1/4, then of 1/4 and 1/4.
    metric.update_state(_images(0.0, 0.5), _images(0.0, 1.0))
    assert float(metric.result()) == pytest.approx(0.5)
    metric.update_state(_images(0.0, 1.0), _images(1.0, 2.0))
    assert float(metric.result()) == pytest.approx(0.75)
    # Nothing can be said of real images that are all alike.
    metric.reset_state()
    metric.update_state(_images(0.0, 1.0), _images(1.0, 1.0))
    assert float(metric.result()) == 0.0


def test_a_batch_counts_as_often_as_it_has_rows():
    metric = RelativeDiversity()
    metric.update_state(_images(0.0, 0.5), _images(0.0, 1.0))
    # One row alone lies nowhere apart.
    metric.update_state(_images(1.0)[:1], _images(1.0)[:1])
    assert float(metric.result()) == pytest.approx((2 * 0.5 + 0.0) / 3)
    loss = ReplicaLoss()
    loss.update_state(tf.constant(3.0), 4)
    loss.update_state(tf.constant(1.0), tf.constant(1))
    assert float(loss.result()) == pytest.approx((4 * 3.0 + 1.0) / 5)


def test_relative_diversity_is_that_of_all_replicas(two_replicas):
    with two_replicas.scope():
        metric = RelativeDiversity()
    # Alike on each replica, but not on both.
    images = two_replicas.experimental_distribute_values_from_function(
        lambda context: _images(*[float(context.replica_id_in_sync_group)] * 2)
    )

    @tf.function
    def update():
        two_replicas.run(metric.update_state, args=(images, images))

    update()
    assert float(metric.result()) == pytest.approx(1.0)


def test_accuracies_count_rows():
    metric = training_metrics(False, 0.0, None)["real_accuracy"]
    metric.update_state(tf.constant([[True], [False], [False], [False]]))
    assert float(metric.result()) == 0.25
    metric.update_state(tf.constant([[True], [True]]))
    assert float(metric.result()) == 0.5


def test_replica_losses_are_added_up(two_replicas):
    with two_replicas.scope():
        metric = ReplicaLoss()

    @tf.function
    def update():
        # Each replica's half of a loss of 6.
        two_replicas.run(metric.update_state, args=(tf.constant(3.0),))

    update()
    assert float(metric.result()) == 6.0


@pytest.mark.parametrize("kind", (RelativeDiversity, ReplicaLoss))
def test_they_come_back_from_their_config(kind):
    metric = kind("mine")
    config = keras.saving.serialize_keras_object(metric)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is kind
    assert copy.name == "mine"


def test_each_gan_has_those_of_its_parts():
    basic = [
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "generated_accuracy",
        "diversity",
    ]
    assert list(training_metrics(False, 0.0, None)) == basic
    schedule = StagedMatching(start_step=1, rise_steps=1)
    # In this order, which saved models rely on.
    assert list(training_metrics(True, 1.0, schedule)) == [
        *basic[:3],
        "mismatched_accuracy",
        *basic[3:],
        "mode_seeking_loss",
        "mismatch_weight",
    ]
    for name, metric in training_metrics(True, 1.0, schedule).items():
        assert metric.name == name
        assert np.isfinite(float(metric.result()))
