import numpy as np
import pytest

from keras_t2i.datasets.sampling import DistinctClasses
from keras_t2i.datasets.sampling import ShuffledEpochs


def _epoch(order, epoch):
    first = epoch * order.steps_per_epoch
    return np.concatenate(
        [order.indices(first + step) for step in range(order.steps_per_epoch)]
    ).tolist()


# === ShuffledEpochs ===


def test_each_epoch_is_a_permutation():
    order = ShuffledEpochs(num_images=12, batch_size=4, seed=0)
    assert order.steps_per_epoch == 3
    epochs = [_epoch(order, epoch) for epoch in range(20)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 20


def test_images_beyond_the_last_whole_batch_are_left_out():
    order = ShuffledEpochs(num_images=11, batch_size=4, seed=0)
    assert order.steps_per_epoch == 2
    epochs = [_epoch(order, epoch) for epoch in range(50)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    # Other images each time: over 50 epochs nobody is left out for good.
    assert set().union(*epochs) == set(range(11))


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: ShuffledEpochs(30, 4, seed),
        lambda seed: DistinctClasses(np.arange(30) % 6, 4, seed),
    ],
    ids=["ShuffledEpochs", "DistinctClasses"],
)
def test_a_step_depends_on_the_seed_and_nothing_else(make):
    def batches(order, steps):
        return {step: order.indices(step).tolist() for step in steps}

    forwards = batches(make(seed=1), range(40))
    # In whatever order, and from wherever, the steps are asked for.
    assert batches(make(seed=1), reversed(range(40))) == forwards
    assert batches(make(seed=1), [23, 5, 23, 6]) == {
        step: forwards[step] for step in (5, 6, 23)
    }
    assert batches(make(seed=2), range(40)) != forwards


@pytest.mark.parametrize(("num_images", "batch_size"), [(1, 3), (2, 5), (3, 8)])
def test_fewer_images_than_a_batch_repeat(num_images, batch_size):
    order = ShuffledEpochs(num_images, batch_size, seed=0)
    assert order.steps_per_epoch == 1
    for step in range(10):
        counts = np.bincount(order.indices(step), minlength=num_images)
        assert counts.sum() == batch_size
        # As evenly as it goes.
        assert counts.max() - counts.min() <= 1


# === DistinctClasses ===

_CLASS_IDS = np.array([4, 0, 4, 2, 2, 2, 7, 0, 4, 4])


def test_no_class_twice_in_a_batch():
    order = DistinctClasses(_CLASS_IDS, batch_size=3, seed=0)
    assert (order.batch_size, order.steps_per_epoch) == (3, 3)
    for step in range(200):
        classes = _CLASS_IDS[order.indices(step)]
        assert len(set(classes)) == len(classes) == 3


def test_no_more_rows_than_classes():
    order = DistinctClasses(_CLASS_IDS, batch_size=40, seed=0)
    assert order.batch_size == 4
    assert sorted(_CLASS_IDS[order.indices(0)]) == [0, 2, 4, 7]


def test_all_classes_and_their_images_are_equally_likely():
    order = DistinctClasses(_CLASS_IDS, batch_size=2, seed=0)
    drawn = np.concatenate([order.indices(step) for step in range(4000)])
    shares = np.bincount(drawn, minlength=10) / len(drawn)
    # A quarter a class, then equally among the 4, 2, 3 and 1 images of it. The
    # standard deviation of a share is below 0.005.
    sizes = np.bincount(_CLASS_IDS)[_CLASS_IDS]
    np.testing.assert_allclose(shares, 0.25 / sizes, atol=0.02)


def test_images_outside_of_classes_are_a_class():
    order = DistinctClasses(np.array([-1, 0, -1]), batch_size=2, seed=0)
    for step in range(20):
        assert 1 in order.indices(step)


def test_several_images_of_each_class():
    order = DistinctClasses(_CLASS_IDS, 7, seed=0, images_per_class=2)
    assert (order.batch_size, order.steps_per_epoch) == (6, 1)
    for step in range(100):
        indices = order.indices(step)
        classes = _CLASS_IDS[indices].reshape(3, 2)
        assert (classes[:, 0] == classes[:, 1]).all()
        assert len(set(classes[:, 0])) == 3
        # Different ones, but for the class that has only one.
        for row, (first, second) in zip(classes, indices.reshape(3, 2)):
            assert (first == second) == (row[0] == 7)
