import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import RelativisticPairing
from keras_t2i.losses import discriminator_loss
from keras_t2i.losses import generator_loss
from keras_t2i.losses.adversarial import LabelObjective
from keras_t2i.losses.adversarial import RelativisticObjective
from keras_t2i.losses.adversarial import mean_scores

# Logits whose probabilities are 3/4, 1/4 and 1/2.
LOG_3 = math.log(3.0)
LIKELY, UNLIKELY, UNDECIDED = (
    np.full((2, 1), value, "float32") for value in (LOG_3, -LOG_3, 0.0)
)
REAL = tf.constant([[1.0], [2.0], [-1.0], [0.5]])
MISMATCHED = tf.constant([[0.0], [3.0], [-2.0], [0.5]])
GENERATED = tf.constant([[0.0], [0.0], [0.0], [0.0]])


@pytest.fixture
def loss_fn():
    return keras.losses.BinaryCrossentropy(from_logits=True)


def test_discriminator_of_gan_by_hand(loss_fn):
    # -log(3/4) - log(1 - 1/2) = 0.287682 + 0.693147
    loss = discriminator_loss(LIKELY, UNDECIDED, loss_fn)
    assert float(loss) == pytest.approx(0.980829, abs=1e-6)


def test_discriminator_of_gan_cls_by_hand(loss_fn):
    # -log(3/4) - (log(1 - 3/4) + log(1 - 1/2)) / 2
    # = 0.287682 + (1.386294 + 0.693147) / 2
    loss = discriminator_loss(
        LIKELY, UNDECIDED, loss_fn, mismatched_logits=LIKELY
    )
    assert float(loss) == pytest.approx(1.327403, abs=1e-6)


def test_mismatch_weight_by_hand(loss_fn):
    # 0.287682 + 0.25 * 1.386294 + 0.75 * 0.693147
    loss = discriminator_loss(
        LIKELY,
        UNDECIDED,
        loss_fn,
        mismatched_logits=LIKELY,
        mismatch_weight=tf.constant(0.25),
    )
    assert float(loss) == pytest.approx(1.154116, abs=1e-6)


def test_mismatch_weight_zero_is_the_plain_gan(loss_fn):
    plain = discriminator_loss(LIKELY, UNDECIDED, loss_fn)
    loss = discriminator_loss(
        LIKELY,
        UNDECIDED,
        loss_fn,
        mismatched_logits=LIKELY,
        mismatch_weight=0.0,
    )
    assert float(loss) == pytest.approx(float(plain), abs=1e-6)


def test_generator_of_gan_by_hand(loss_fn):
    # -log(1/4)
    loss = generator_loss(UNLIKELY, loss_fn)
    assert float(loss) == pytest.approx(1.386294, abs=1e-6)


def test_generator_of_gan_int_by_hand(loss_fn):
    # Means of both parts, whatever their sizes: 1.386294 + 0.693147.
    loss = generator_loss(UNLIKELY, loss_fn, interpolated_logits=UNDECIDED[:1])
    assert float(loss) == pytest.approx(2.079442, abs=1e-6)


def test_interpolation_weight_by_hand(loss_fn):
    # 1.386294 + 0.5 * 0.693147
    loss = generator_loss(
        UNLIKELY,
        loss_fn,
        interpolated_logits=UNDECIDED,
        interpolation_weight=0.5,
    )
    assert float(loss) == pytest.approx(1.732868, abs=1e-6)


def test_loss_is_the_mean_over_rows(loss_fn):
    # (1.386294 + 0.287682) / 2
    logits = np.array([[-LOG_3], [LOG_3]], "float32")
    assert float(generator_loss(logits, loss_fn)) == pytest.approx(
        0.836988, abs=1e-6
    )


def test_large_logits_stay_finite(loss_fn):
    # The logarithm of a rounded probability would be infinite.
    loss = generator_loss(np.full((1, 1), -1000, "float32"), loss_fn)
    assert float(loss) == pytest.approx(1000.0)


def test_by_hand():
    right = np.array([[2.0, 0.0], [1.0, -1.0]], "float32")
    wrong = np.array([[0.0, 0.0], [4.0, 0.0]], "float32")
    # log(1 + exp(wrong - right)) of -2, 0, 3 and 1.
    terms = [0.126928, 0.693147, 3.048587, 1.313262]
    loss = float(RelativisticPairing()(right, wrong))
    assert loss == pytest.approx(np.mean(terms), rel=1e-5)
    rows = RelativisticPairing(reduction=None)(right, wrong)
    np.testing.assert_allclose(
        rows, [np.mean(terms[:2]), np.mean(terms[2:])], rtol=1e-5
    )


def test_only_the_difference_counts():
    right, wrong = np.array([[3.0]]), np.array([[1.0]])
    loss = RelativisticPairing()
    assert float(loss(right + 5, wrong + 5)) == pytest.approx(
        float(loss(right, wrong)), rel=1e-6
    )
    assert float(loss(right, wrong)) < float(loss(wrong, right))


def test_large_differences_stay_finite():
    loss = RelativisticPairing()
    assert float(loss(np.array([[-1e4]]), np.array([[1e4]]))) == 2e4
    assert float(loss(np.array([[1e4]]), np.array([[-1e4]]))) == 0.0


def test_config_round_trip():
    loss = RelativisticPairing(name="mine")
    config = keras.saving.serialize_keras_object(loss)
    assert config["registered_name"] == "keras_t2i>RelativisticPairing"
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is RelativisticPairing
    assert copy.get_config() == loss.get_config()


def test_devices_have_their_shares(two_replicas):
    right = tf.constant([[2.0], [1.0], [0.0], [-1.0]])
    wrong = tf.constant([[0.0], [4.0], [1.0], [1.0]])
    with two_replicas.scope():
        loss = RelativisticPairing()

    def step():
        context = tf.distribute.get_replica_context()
        rows = slice(
            2 * context.replica_id_in_sync_group,
            2 * context.replica_id_in_sync_group + 2,
        )
        return loss(right[rows], wrong[rows])

    shares = tf.function(lambda: two_replicas.run(step))()
    first, second = two_replicas.experimental_local_results(shares)
    # As all losses of Keras: gradients are summed over the devices.
    expected = float(RelativisticPairing()(right, wrong))
    assert float(first + second) == pytest.approx(expected, rel=1e-5)


def _softplus(logits):
    return float(np.mean(np.log1p(np.exp(np.array(logits, "float64")))))


def test_labels_by_hand():
    objective = LabelObjective()
    loss = objective.discriminator_loss(REAL, GENERATED, MISMATCHED, 0.25)
    expected = _softplus(-REAL) + 0.75 * _softplus(GENERATED)
    expected += 0.25 * _softplus(MISMATCHED)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.discriminator_loss(REAL, GENERATED)
    expected = _softplus(-REAL) + _softplus(GENERATED)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.generator_loss(MISMATCHED, REAL)
    assert float(loss) == pytest.approx(_softplus(-MISMATCHED), rel=1e-5)


def test_relativistic_by_hand():
    objective = RelativisticObjective()
    loss = objective.discriminator_loss(REAL, GENERATED, MISMATCHED, 0.25)
    expected = _softplus(GENERATED - REAL)
    expected += 0.5 * _softplus(MISMATCHED - REAL)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.discriminator_loss(REAL, GENERATED)
    assert float(loss) == pytest.approx(_softplus(GENERATED - REAL), rel=1e-5)
    # Fewer generated pairs stand beside the first real ones.
    loss = objective.generator_loss(GENERATED[:3], REAL)
    expected = _softplus(REAL[:3] - GENERATED[:3])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_what_is_right():
    scores = {"real": REAL, "mismatched": MISMATCHED, "generated": GENERATED}
    right = {
        name: np.array(rows)[:, 0].tolist()
        for name, rows in LabelObjective().judged_right(scores).items()
    }
    assert right == {
        "real": [True, True, False, True],
        "mismatched": [True, False, True, False],
        "generated": [True, True, True, True],
    }
    right = {
        name: np.array(rows)[:, 0].tolist()
        for name, rows in RelativisticObjective().judged_right(scores).items()
    }
    assert right == {
        "real": [True, False, False, False],
        "mismatched": [True, False, True, False],
        "generated": [True, True, False, True],
    }


def test_several_discriminators_are_added_up():
    scores = mean_scores({"real": [REAL, tf.constant([[2.0, 4.0]] * 4)]})
    np.testing.assert_allclose(scores["real"], REAL + 3.0)


def test_logits_of_other_shapes_are_refused():
    column, row = np.zeros((4, 1), "float32"), np.zeros(4, "float32")
    for right, wrong in ((column, row), (row, column)):
        with pytest.raises(ValueError, match="must have one shape. Received"):
            RelativisticPairing().call(right, wrong)
