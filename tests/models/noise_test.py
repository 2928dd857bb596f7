import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.batch_texts import generator_texts
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.noise import noise_of_batch
from keras_t2i.models.noise import seeds_of_rows
from keras_t2i.models.noise import slerp


def _row(seed, noise_dim):
    return tf.random.stateless_normal([noise_dim], [seed, 0], alg="philox")


def test_rows_are_those_of_their_seeds():
    seeds = [0, 7, -1, 2**63 - 1, -(2**63), 7]
    noise = noise_from_seeds(tf.constant(seeds, tf.int64), 5)
    assert noise.shape == (6, 5)
    assert noise.dtype == tf.float32
    for row, seed in zip(noise, seeds):
        np.testing.assert_array_equal(row, _row(seed, 5))


def test_a_row_is_the_same_in_any_batch():
    noise = np.array(noise_from_seeds(tf.range(8, dtype=tf.int64), 4))
    np.testing.assert_array_equal(noise_from_seeds([5], 4)[0], noise[5])
    reversed_noise = noise_from_seeds(tf.range(7, -1, -1), 4)
    np.testing.assert_array_equal(reversed_noise, noise[::-1])


def test_same_values_in_a_graph():
    in_a_graph = tf.function(lambda seeds: noise_from_seeds(seeds, 4))
    seeds = tf.constant([3, 4], tf.int64)
    np.testing.assert_array_equal(in_a_graph(seeds), noise_from_seeds(seeds, 4))


def test_seeds_give_different_standard_normal_rows():
    noise = np.array(noise_from_seeds(tf.range(200), 100))
    assert len(np.unique(noise, axis=0)) == 200
    # Five standard errors of the mean of 20,000 values, and of their square.
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)


@pytest.mark.parametrize(
    "first",
    [np.int8(127), np.uint8(255), np.array(2**31 - 1, "int32"), tf.constant(7)],
)
def test_seeds_go_on_beyond_the_type_of_the_first(first):
    assert seeds_of_rows(first, 2).tolist() == [int(first), int(first) + 1]


@pytest.mark.parametrize("first", [2**63 - 1, np.int64(2**63 - 1)])
def test_seeds_beyond_64_bits_are_refused(first):
    with pytest.raises(ValueError, match="whole numbers of 64 bits"):
        seeds_of_rows(first, 2)


def test_no_rows_in_a_graph():
    in_a_graph = tf.function(lambda seeds: noise_from_seeds(seeds, 4))
    assert in_a_graph(tf.constant([], tf.int64)).shape == (0, 4)


def test_noise_of_a_step_depends_on_seed_stream_and_step():
    first = np.array(StepNoise(2, tf.constant(3)).normal(1, 4, 5))
    expected = tf.random.stateless_normal([4, 5], [3, 3], alg="philox")
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(StepNoise(2, 3).normal(1, 4, 5), first)
    for other in (
        StepNoise(2, 4).normal(1, 4, 5),
        StepNoise(3, 3).normal(1, 4, 5),
        StepNoise(2, 3).normal(2, 4, 5),
    ):
        assert np.abs(other - first).min() > 0


def test_uniform_numbers_of_a_step():
    uniform = StepNoise(2, tf.constant(3)).uniform(1, 4, 5)
    expected = tf.random.stateless_uniform([4, 5], [3, 3], alg="philox")
    np.testing.assert_array_equal(uniform, expected)


def test_replicas_take_their_rows_of_each_group_of_texts(two_replicas):
    text = tf.zeros((4, 3))

    @tf.function
    def generate():
        return two_replicas.run(
            lambda: StepNoise(0, tf.constant(3)).normal(
                0, generator_texts(text, "added"), 5
            )
        )

    first, second = two_replicas.experimental_local_results(generate())
    # Of all matched texts, then of all interpolated ones, as on one device.
    all_texts = generator_texts(tf.zeros((8, 3)), "added")
    expected = np.array(StepNoise(0, 3).normal(0, all_texts, 5))
    np.testing.assert_array_equal(first, expected[[0, 1, 2, 3, 8, 9]])
    np.testing.assert_array_equal(second, expected[[4, 5, 6, 7, 10, 11]])


def test_replicas_take_their_rows_of_the_global_batch(two_replicas):
    @tf.function
    def generate():
        return two_replicas.run(
            lambda: StepNoise(0, tf.constant(3)).normal(0, 4, 5)
        )

    first, second = two_replicas.experimental_local_results(generate())
    expected = np.array(StepNoise(0, 3).normal(0, 8, 5))
    np.testing.assert_array_equal(first, expected[:4])
    np.testing.assert_array_equal(second, expected[4:])
    assert len(np.unique(expected, axis=0)) == 8


@pytest.mark.parametrize("in_graph", [True, False])
@pytest.mark.parametrize("interpolate", ["none", "added", "in_place"])
def test_replicas_of_unequal_size_share_no_noise(
    two_replicas, interpolate, in_graph
):
    def noises(text):
        texts = generator_texts(text, interpolate, repeat=True)
        return [
            select(StepNoise(0, tf.constant(3)).normal(0, texts, 5))
            for select in (texts.matched, texts.interpolated, texts.repeated)
        ]

    # The last batch of a stream, of 7 rows: 4 and 3.
    def on_two(num_rows):
        def run():
            replica = tf.distribute.get_replica_context()
            first = 4 * tf.cast(replica.replica_id_in_sync_group, "int32")
            return noises(tf.zeros((num_rows, 3))[first : first + 4])

        return two_replicas.run(run)

    if in_graph:
        on_two = tf.function(on_two)
    of_devices = on_two(tf.constant(7))
    shares = [two_replicas.experimental_local_results(n) for n in of_devices]
    assert [len(share) for share in shares[0]] == [4, 3]
    rows = np.concatenate([tf.concat(share, 0) for share in shares])
    assert len(np.unique(rows, axis=0)) == len(rows)
    # Those of one device, where it has the same groups of rows.
    matched = noises(tf.zeros((7, 3)))[0]
    np.testing.assert_array_equal(tf.concat(shares[0], 0), matched)


def test_repeated_texts_leave_the_noise_of_the_others_as_it_is(two_replicas):
    text = tf.zeros((4, 2))

    def generate(num_rows):
        texts = generator_texts(text[:num_rows], repeat=True)
        return texts, StepNoise(0, tf.constant(3)).normal(0, texts, 5)

    _, noise = generate(4)
    np.testing.assert_array_equal(noise[:4], StepNoise(0, 3).normal(0, 4, 5))
    np.testing.assert_array_equal(noise[4:], StepNoise(0, 3).normal(3, 1, 5))

    @tf.function
    def on_two():
        return two_replicas.run(lambda: generate(2)[1])

    first, second = two_replicas.experimental_local_results(on_two())
    np.testing.assert_array_equal(
        np.concatenate([first[:2], second[:2]]), noise[:4]
    )


def test_noise_of_very_unequal_shares(two_replicas):
    # Those of `evaluate`, where interpolated texts follow 4 and 3 rows.
    @tf.function
    def on_two(sizes):
        def run():
            replica = tf.distribute.get_replica_context()
            size = sizes[replica.replica_id_in_sync_group]
            return noise_of_batch(tf.zeros((size, 3)), 5)

        return two_replicas.run(run)

    shares = two_replicas.experimental_local_results(
        on_two(tf.constant([6, 4]))
    )
    rows = np.concatenate(shares)
    assert len(np.unique(rows, axis=0)) == len(rows) == 10


def _two_noises():
    return noise_from_seeds([3, 4], 50)[:1], noise_from_seeds([5, 6], 50)[:1]


def test_the_ends_of_an_arc_are_the_noises_themselves():
    first, second = _two_noises()
    for weight, end in ((0.0, first), (1.0, second)):
        between = slerp(first, second, tf.constant([weight]))
        np.testing.assert_array_equal(between, end)


def test_the_middle_of_a_right_angle_lies_on_the_circle():
    first, second = tf.constant([[2.0, 0.0]]), tf.constant([[0.0, 2.0]])
    between = slerp(first, second, tf.constant([0.5]))
    np.testing.assert_allclose(between, [[2**0.5, 2**0.5]], rtol=1e-6)
    between = slerp(first, second, tf.constant([1 / 3]))
    np.testing.assert_allclose(between, [[3**0.5, 1.0]], rtol=1e-6)


def test_between_equal_noises_lies_that_noise():
    first, _ = _two_noises()
    for weight in (0.0, 0.3, 1.0):
        between = slerp(first, first, tf.constant([weight]))
        np.testing.assert_array_equal(between, first)


def test_between_opposite_noises_is_a_straight_line():
    noise = tf.constant([[1.0, 2.0]])
    between = slerp(noise, -noise, tf.constant([0.25]))
    np.testing.assert_allclose(between, 0.5 * noise, rtol=1e-6)


def test_noise_of_a_batch_does_not_depend_on_the_number_of_devices(
    two_replicas,
):
    rows = tf.zeros((8, 3))
    expected = noise_from_seeds(tf.range(8), 5)
    np.testing.assert_array_equal(noise_of_batch(rows, 5), expected)

    @tf.function
    def on_two():
        return two_replicas.run(lambda: noise_of_batch(rows[:4], 5))

    shares = two_replicas.experimental_local_results(on_two())
    np.testing.assert_array_equal(tf.concat(shares, 0), expected)

    @tf.function
    def on_two_of_unequal_size(num_rows):
        def run():
            replica = tf.distribute.get_replica_context()
            first = 4 * tf.cast(replica.replica_id_in_sync_group, "int32")
            return noise_of_batch(rows[:num_rows][first : first + 4], 5)

        return two_replicas.run(run)

    shares = two_replicas.experimental_local_results(
        on_two_of_unequal_size(tf.constant(7))
    )
    np.testing.assert_array_equal(tf.concat(shares, 0), expected[:7])
