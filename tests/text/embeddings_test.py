import json
import shutil
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.shards import EmbeddedCaptions
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.tokenizers import tokenize
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.tiny_models import randomize
from tests.tiny_models import tiny_text_encoder

_TEXTS = ["a red flower", "ein blaues Blümchen 🌹", "a rose"]
_SPLITS = {
    "train": [
        [example(0, captions=("a", "a rose")), example(1, captions=("b",))],
        [example(2, captions=("a", "ü", "a rose", "a"))],
    ],
    "test": [[example(3, captions=("x" * 500,))]],
}


@pytest.fixture(scope="module")
def encoder():
    # A number near zero would differ by more than the tests' tolerances.
    keras.utils.set_random_seed(0)
    encoder = tiny_text_encoder()
    randomize(encoder)
    return encoder


@pytest.fixture
def data(tmp_path):
    write_prepared_set(tmp_path / "data", _SPLITS)
    return tmp_path / "data"


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# === embed_texts ===


def test_texts(encoder):
    embeddings = embed_texts(encoder, _TEXTS)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (3, 16)
    expected = encoder(tokenize(tf.constant(_TEXTS)))
    np.testing.assert_allclose(embeddings, expected, rtol=1e-5)


def test_texts_of_which_most_is_unknown(encoder):
    with pytest.warns(UserWarning, match="not know 8 of 8 .*--text-embeddings"):
        alike = embed_texts(encoder, ["红色的花", "蓝色的鸟"])
    np.testing.assert_array_equal(*alike)
    words = tiny_text_encoder(vocabulary=("красный", "цветок"))
    different = embed_texts(words, ["красный цветок", "цветок красный"])
    assert not np.array_equal(*different)
    with pytest.warns(
        UserWarning, match="does not know 2 of 3 words.*with the"
    ):
        embed_texts(words, ["a red", "цветок"])


@pytest.mark.parametrize("texts", ["a red rose", b"a rose", [b"a"], [1]])
def test_what_is_no_list_of_texts(encoder, texts):
    with pytest.raises(ValueError, match="list of strings. Received: "):
        embed_texts(encoder, texts)


def test_an_array_of_texts(encoder):
    np.testing.assert_array_equal(
        embed_texts(encoder, np.array(_TEXTS)), embed_texts(encoder, _TEXTS)
    )


def test_texts_that_come_twice(encoder):
    texts = [_TEXTS[i] for i in (2, 0, 2, 1, 0, 0)]
    embeddings = embed_texts(encoder, texts)
    np.testing.assert_array_equal(embeddings[[0, 1]], embeddings[[2, 4]])
    np.testing.assert_array_equal(embeddings[1], embeddings[5])
    expected = encoder(tokenize(tf.constant(texts)))
    np.testing.assert_allclose(embeddings, expected, rtol=1e-5)


def test_more_texts_than_a_batch(encoder):
    # Of all lengths, in no order.
    texts = [f"flower {number} " * (number % 7) for number in range(300)]
    embeddings = embed_texts(encoder, texts)
    for index in (0, 255, 256, 299):
        expected = encoder(tokenize(tf.constant([texts[index]])))[0]
        np.testing.assert_allclose(embeddings[index], expected, rtol=1e-5)


def test_half_a_surrogate_pair_is_a_text_too(encoder):
    # As `generate` has it: invalid UTF-8, which is replaced.
    embeddings = embed_texts(encoder, ["a \ud800 rose"])
    expected = embed_texts(encoder, ["a \ufffd\ufffd\ufffd rose"])
    np.testing.assert_array_equal(embeddings, expected)


def test_a_long_text_does_not_make_the_others_long(encoder):
    texts = [f"flower {number}" for number in range(300)] + ["x" * 10**6]
    tracemalloc.start()
    embed_texts(encoder, texts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 300 times a megabyte otherwise.
    assert peak < 50 * 10**6


# === extract_embeddings ===


def test_shards_beside_those_of_the_images(encoder, data, tmp_path):
    out = tmp_path / "deep" / "embeddings"
    extract_embeddings(encoder, data, out)
    manifest = read_embedding_manifest(out)
    assert manifest.embedding_dim == 16
    assert set(_contents(out)) == set(_contents(data))
    for name, parts in _SPLITS.items():
        split = manifest.splits[name]
        assert [shard.num_records for shard in split.shards] == [
            len(part) for part in parts
        ]
        assert split.num_images == sum(len(part) for part in parts)
        assert split.num_captions == sum(
            len(e.captions) for part in parts for e in part
        )
        for shard, part in zip(split.shards, parts):
            records = tf.data.TFRecordDataset(str(out / shard.file))
            read = [EmbeddedCaptions.parse(r.numpy()) for r in records]
            assert [r.id for r in read] == [e.id for e in part]
            for record, image in zip(read, part):
                np.testing.assert_allclose(
                    record.embeddings,
                    encoder(tokenize(tf.constant(image.captions))),
                    rtol=1e-5,
                )


def test_same_bytes_each_time(encoder, data, tmp_path):
    for name in ("first", "second"):
        extract_embeddings(encoder, data, tmp_path / name)
    assert _contents(tmp_path / "first") == _contents(tmp_path / "second")


def test_progress(encoder, data, tmp_path):
    calls = []
    extract_embeddings(
        encoder, data, tmp_path / "out", lambda *call: calls.append(call)
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_fingerprints(encoder, data, tmp_path):
    extract_embeddings(encoder, data, tmp_path / "first")
    first = read_embedding_manifest(tmp_path / "first")
    other = tiny_text_encoder()
    extract_embeddings(other, data, tmp_path / "second")
    second = read_embedding_manifest(tmp_path / "second")
    assert first.data_fingerprint == second.data_fingerprint
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("holds", ["embeddings", "data set"])
def test_out_that_is_taken(encoder, data, tmp_path, holds):
    out = tmp_path / "out"
    if holds == "embeddings":
        extract_embeddings(encoder, data, out)
    else:
        shutil.copytree(data, out)
    before = _contents(out)
    with pytest.raises(
        ValueError, match="must not hold.*out', with a manifest"
    ):
        extract_embeddings(encoder, data, out)
    assert _contents(out) == before


def test_out_is_the_data_set(encoder, data):
    before = _contents(data)
    with pytest.raises(ValueError, match="must not hold"):
        extract_embeddings(encoder, data, data)
    assert _contents(data) == before


def test_no_data_set(encoder, tmp_path):
    with pytest.raises(ValueError, match="which has none"):
        extract_embeddings(encoder, tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_shard_leaves_nothing_that_looks_whole(encoder, data, tmp_path):
    shard = data / "train-00001-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[30] ^= 1
    shard.write_bytes(content)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="train-00001-of-00002.*damaged"):
        extract_embeddings(encoder, data, out)
    with pytest.raises(ValueError, match="which has none"):
        read_embedding_manifest(out)


def test_an_interrupted_extraction_is_done_again(encoder, data, tmp_path):
    out = tmp_path / "out"

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_embeddings(encoder, data, out, interrupt)
    assert not (out / "manifest.json").exists()
    extract_embeddings(encoder, data, out)
    extract_embeddings(encoder, data, tmp_path / "whole")
    assert _contents(out) == _contents(tmp_path / "whole")
    json.loads((out / "manifest.json").read_text())


def test_no_texts_at_all():
    with pytest.raises(ValueError, match="at least one. Received: none"):
        embed_texts(None, [])
