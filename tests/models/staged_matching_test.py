import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import StagedMatching
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan


def _factors(schedule, steps):
    return [float(schedule.factor(step)) for step in steps]


def _run(schedule, accuracies, first_step=0):
    """The factor of each step, of which `accuracies` tell how they went."""
    factors = []
    for step, accuracy in enumerate(accuracies, first_step):
        factors.append(float(schedule.factor(step)))
        schedule.update(step + 1, accuracy)
    return factors


def test_a_step_count_starts_an_even_rise():
    schedule = StagedMatching(start_step=10, rise_steps=4)
    steps = (0, 9, 10, 11, 12, 13, 14, 15, 10**6)
    assert _factors(schedule, steps) == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    # It is a function of the step: how well the steps went is nothing to it.
    assert _run(schedule, [0.0] * 12)[-2:] == [0, 0.25]


def test_the_accuracy_starts_the_rise_once():
    schedule = StagedMatching(
        accuracy_threshold=0.5, patience=3, rise_steps=4, smoothing=0.0
    )
    # Two in a row are not enough. The third of step 5 is: it rises from then.
    accuracies = [0.4, 0.4, 0.6, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9, 0.9, 0.9]
    expected = [0, 0, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1]
    assert _run(schedule, accuracies) == expected
    # Nothing sends it back.
    assert _run(schedule, [0.9] * 5, first_step=11) == [1] * 5
    assert _run(schedule, [0.1] * 5, first_step=16) == [1] * 5


def test_the_accuracy_is_smoothed_by_hand():
    schedule = StagedMatching(
        accuracy_threshold=0.6, patience=1, rise_steps=1, smoothing=0.5
    )
    # 1 -> 0.75 -> 0.625 -> 0.5625, below at last; one bad step starts nothing.
    assert _run(schedule, [0.5, 0.5, 0.5, 0.9, 0.9]) == [0, 0, 0, 0, 1]


def test_whichever_comes_first_starts():
    def schedule():
        return StagedMatching(
            start_step=4,
            accuracy_threshold=0.5,
            patience=1,
            rise_steps=2,
            smoothing=0.0,
        )

    assert _run(schedule(), [0.9] * 7) == [0, 0, 0, 0, 0, 0.5, 1]
    assert _run(schedule(), [0.1] * 7) == [0, 0, 0.5, 1, 1, 1, 1]


def test_a_threshold_itself_is_not_below():
    schedule = StagedMatching(
        accuracy_threshold=0.5, patience=1, rise_steps=1, smoothing=0.0
    )
    assert _run(schedule, [0.5] * 4) == [0] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "start_step.*accuracy_threshold.*Received: neither"),
        ({"start_step": -1}, "`start_step` must be.*at least 0.*Received: -1"),
        ({"start_step": 2.5}, "`start_step` must be.*Received: 2.5"),
        ({"start_step": True}, "`start_step` must be.*Received: True"),
        ({"start_step": 0, "rise_steps": 0}, "`rise_steps`.*at least 1"),
        ({"accuracy_threshold": 0.5, "patience": 0}, "`patience`.*at least 1"),
        ({"accuracy_threshold": 1.0}, r"a number in \(0, 1\). Received: 1.0"),
        ({"start_step": 0, "smoothing": 1.0}, r"`smoothing`.*Received: 1.0"),
    ],
)
def test_senseless_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        StagedMatching(**options)


def test_only_a_matching_aware_gan_has_a_schedule():
    with pytest.raises(ValueError, match="matching_aware=True"):
        tiny_gan(
            matching_aware=False, matching_schedule=StagedMatching(start_step=0)
        )


def test_the_factor_multiplies_the_weight_in_training():
    # In its second step, half way up, 0.8 is what a constant 0.4 is.
    schedule = StagedMatching(start_step=0, rise_steps=2)
    staged = tiny_gan(mismatch_weight=0.8, matching_schedule=schedule)
    other = tiny_gan(mismatch_weight=0.4)
    batch = {k: tf.constant(v) for k, v in embeddings_batch().items()}
    for name in ("generator", "discriminator"):
        weights = getattr(staged, name).get_weights()
        getattr(other, name).set_weights(weights)
    for gan in (staged, other):
        gan.compile(
            generator_optimizer=keras.optimizers.SGD(0.1),
            discriminator_optimizer=keras.optimizers.SGD(0.1),
        )
        gan.generator_optimizer.iterations.assign(1)
        gan.train_step(batch)
    results = staged.get_metrics_result()
    assert float(results.pop("mismatch_weight")) == pytest.approx(0.4)
    for name, value in other.get_metrics_result().items():
        assert float(results[name]) == pytest.approx(float(value), abs=1e-6)
    for value, expected in zip(
        staged.discriminator.get_weights(), other.discriminator.get_weights()
    ):
        np.testing.assert_allclose(value, expected, atol=1e-6)


def _by_accuracy():
    return StagedMatching(
        accuracy_threshold=0.9, patience=2, rise_steps=3, smoothing=0.5
    )


def test_the_latch_is_saved_and_goes_on(tmp_path):
    gan = tiny_gan(matching_schedule=_by_accuracy())
    gan.compile()
    _run(gan.matching_schedule, [0.1, 0.1, 0.1])
    assert float(gan.matching_schedule.started_at) == 2
    gan.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    config = loaded.matching_schedule.get_config()
    assert config == gan.matching_schedule.get_config()
    for weight, expected in zip(
        loaded.matching_schedule.weights, gan.matching_schedule.weights
    ):
        np.testing.assert_array_equal(weight, expected)
    assert _factors(loaded.matching_schedule, (2, 3, 5)) == pytest.approx(
        [0, 1 / 3, 1]
    )


def test_replicas_take_the_accuracy_of_all(two_replicas):
    with two_replicas.scope():
        gan = tiny_gan(
            matching_schedule=StagedMatching(
                accuracy_threshold=0.6, patience=1, rise_steps=1, smoothing=0.0
            )
        )

    @tf.function
    def update(logits):
        pairs = {"generated": [logits]}
        two_replicas.run(gan._update_matching_schedule, args=(pairs,))

    gan.compile()
    # One replica refuses both generated pairs, the other one of two: 0.75.
    per_replica = [[-1.0, -1.0], [-1.0, 1.0]]
    logits = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            per_replica[context.replica_id_in_sync_group]
        )[:, None]
    )
    update(logits)
    schedule = gan.matching_schedule
    assert float(schedule.smoothed_accuracy.numpy()) == 0.75
    assert float(schedule.started_at.numpy()) == -1
    # 0 and 0.5, 0.25 of all: it starts on both, after the step to come.
    per_replica[:] = [[1.0, 1.0], [-1.0, 1.0]]
    logits = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            per_replica[context.replica_id_in_sync_group]
        )[:, None]
    )
    update(logits)
    for replica in two_replicas.experimental_local_results(
        schedule.started_at.value
    ):
        assert float(replica) == 1


@pytest.mark.large
def test_fit_raises_the_weight_under_a_strategy(two_replicas):
    with two_replicas.scope():
        gan = tiny_gan(
            matching_schedule=StagedMatching(start_step=1, rise_steps=2)
        )
        gan.compile()
    weights = []

    class Weights(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights.append(float(logs["mismatch_weight"]))
            self.model.reset_metrics()

    dataset = tf.data.Dataset.from_tensors(embeddings_batch(8)).repeat(5)
    gan.fit(dataset, verbose=0, callbacks=[Weights()])
    assert weights == [0, 0, 0.25, 0.5, 0.5]
