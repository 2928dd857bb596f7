import dataclasses

import numpy as np
import pytest

from keras_t2i.blooms import bloom_at
from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.blooms_source import bloom_of_record


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_bloom_of_a_record(split):
    source = BloomsSource(20, seed=3)
    record = source.read(source.splits()[split][1], image_size=32)
    bloom = bloom_of_record(record, seed=3)
    expected = bloom_at(split, 1, seed=3)
    assert bloom.style == expected.style
    assert bloom.content == expected.content
    np.testing.assert_array_equal(bloom.image, expected.image)


def test_a_record_of_another_seed_has_another_style():
    source = BloomsSource(20, seed=3)
    record = source.read(source.splits()["test"][1], image_size=32)
    with pytest.raises(ValueError, match="the seed 0. Received: 'test-000001'"):
        bloom_of_record(record)


@pytest.mark.parametrize("id", ["a/rose", "test-1", "rest-000001"])
def test_other_records(id):
    source = BloomsSource(20)
    record = source.read(source.splits()["test"][1], image_size=32)
    record = dataclasses.replace(record, id=id)
    with pytest.raises(ValueError, match=f"Received: '{id}'"):
        bloom_of_record(record)
