import dataclasses

import pytest

from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.text.embeddings import embeddings_fingerprint
from tests.tiny_models import tiny_text_encoder


def _manifest(digest="0" * 64, name="tiny"):
    shard = Shard("train-00000-of-00001.tfrecord", digest, 2)
    return Manifest(name, 32, ("a", "b"), {"train": Split(2, 4, (shard,))})


@pytest.fixture
def encoder():
    return tiny_text_encoder()


def test_same_data_and_weights_have_one_fingerprint(encoder):
    copy = tiny_text_encoder()
    copy.set_weights(encoder.get_weights())
    fingerprint = embeddings_fingerprint(_manifest(), encoder)
    assert len(fingerprint) == 64
    assert embeddings_fingerprint(_manifest(), copy) == fingerprint


def test_other_data_has_another_fingerprint(encoder):
    fingerprint = embeddings_fingerprint(_manifest(), encoder)
    changed = _manifest(digest="1" * 64)
    assert embeddings_fingerprint(changed, encoder) != fingerprint
    renamed = dataclasses.replace(
        _manifest(), splits={"test": _manifest().splits["train"]}
    )
    assert embeddings_fingerprint(renamed, encoder) != fingerprint


def test_one_changed_weight_is_another_fingerprint(encoder):
    fingerprint = embeddings_fingerprint(_manifest(), encoder)
    bias = encoder.get_layer("embedding").bias
    value = bias.numpy()
    value[-1] += 1e-7
    bias.assign(value)
    assert embeddings_fingerprint(_manifest(), encoder) != fingerprint
