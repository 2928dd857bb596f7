import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.batch_texts import generator_texts

DIM = 3


def _text(num_rows):
    values = np.random.default_rng(0).normal(size=(num_rows, DIM))
    return tf.constant(values, "float32")


def test_the_texts_of_the_images_alone():
    text = _text(5)
    texts = generator_texts(text)
    np.testing.assert_array_equal(texts.embeddings, text)
    assert (int(texts.num_texts), texts.repeats) == (5, False)
    rows = tf.range(5)
    for kept in (texts.matched, texts.with_repeated, texts.with_originals):
        np.testing.assert_array_equal(kept(rows), rows)
    assert len(texts.interpolated(rows)) == len(texts.repeated(rows)) == 0


def test_added_texts_lie_between_the_halves():
    text = _text(4)
    texts = generator_texts(text, "added", beta=0.25)
    np.testing.assert_array_equal(texts.embeddings[:4], text)
    np.testing.assert_allclose(
        texts.embeddings[4:], 0.25 * text[:2] + 0.75 * text[2:], rtol=1e-6
    )
    rows = tf.range(6)
    np.testing.assert_array_equal(texts.matched(rows), range(4))
    np.testing.assert_array_equal(texts.interpolated(rows), [4, 5])


def test_odd_batches_leave_out_the_middle_of_the_interpolation():
    text = _text(5)
    embeddings = generator_texts(text, "added").embeddings
    assert len(embeddings) == 7
    np.testing.assert_array_equal(embeddings[:5], text)
    between = (text[:2] + text[2:4]) / 2
    np.testing.assert_allclose(embeddings[5:], between, rtol=1e-6)


def test_a_quarter_of_the_rows_is_interpolated_in_place():
    text = _text(9)
    embeddings = generator_texts(text, "in_place", beta=0.25).embeddings
    # Of nine rows, two: the first with the fifth, the second with the sixth.
    assert embeddings.shape == (9, DIM)
    np.testing.assert_allclose(
        embeddings[:2], 0.25 * text[:2] + 0.75 * text[4:6], rtol=1e-6
    )
    np.testing.assert_array_equal(embeddings[2:], text[2:])


def test_a_single_row_has_nothing_to_interpolate_with():
    text = _text(1)
    embeddings = generator_texts(text, "in_place").embeddings
    np.testing.assert_array_equal(embeddings, text)
    np.testing.assert_array_equal(
        generator_texts(text, "added").embeddings, text
    )


def test_batches_of_single_rows_alone_are_refused():
    traced = tf.function(lambda text: generator_texts(text, "added").embeddings)
    with pytest.raises(ValueError, match="at least 2 rows.*Received: 1 row"):
        traced(_text(1))


@pytest.mark.parametrize("interpolate", ("none", "added", "in_place"))
def test_every_fourth_text_is_repeated(interpolate):
    text = _text(9)
    texts = generator_texts(text, interpolate, repeat=True)
    once = generator_texts(text, interpolate)
    assert texts.repeats
    np.testing.assert_array_equal(
        texts.matched(texts.embeddings), once.matched(once.embeddings)
    )
    np.testing.assert_array_equal(
        texts.interpolated(texts.embeddings),
        once.interpolated(once.embeddings),
    )
    # As it is in the batch, interpolated or not.
    np.testing.assert_array_equal(
        texts.repeated(texts.embeddings), once.embeddings[:9:4]
    )
    rows = tf.range(int(texts.num_texts))
    np.testing.assert_array_equal(texts.originals(rows), [0, 4, 8])
    np.testing.assert_array_equal(
        texts.with_repeated(rows), [*range(9), *rows[-3:]]
    )
    np.testing.assert_array_equal(
        texts.with_originals(rows[:9]), [*range(9), 0, 4, 8]
    )


# The last batch of a stream may give the last device fewer rows.
@pytest.mark.parametrize(
    ("interpolate", "num_rows"),
    [("none", 8), ("added", 8), ("in_place", 8), ("in_place", 7), ("added", 7)],
)
def test_two_devices_share_the_texts_of_one(
    two_replicas, interpolate, num_rows
):
    text = _text(num_rows)
    rows = tf.range(float(num_rows))[:, None]

    def texts_and_partners(text, rows):
        texts = generator_texts(text, interpolate, beta=0.25, repeat=True)
        partners = texts.beside_interpolated(rows)
        return [
            *(
                select(texts.embeddings)
                for select in (
                    texts.matched,
                    texts.interpolated,
                    texts.repeated,
                )
            ),
            partners,
        ]

    # Of unknown size, as the rows of streams are.
    specs = [tf.TensorSpec((None, each.shape[1])) for each in (text, rows)]

    @tf.function(input_signature=specs)
    def on_two(text, rows):
        def run():
            replica = tf.distribute.get_replica_context()
            first = 4 * tf.cast(replica.replica_id_in_sync_group, "int32")
            values = (values[first : first + 4] for values in (text, rows))
            return texts_and_partners(*values)

        return two_replicas.run(run)

    of_one = texts_and_partners(text, rows)
    for expected, found in zip(of_one, on_two(text, rows), strict=True):
        shares = two_replicas.experimental_local_results(found)
        np.testing.assert_array_equal(tf.concat(shares, 0), expected)
    if (interpolate, num_rows) == ("added", 8):
        np.testing.assert_array_equal(shares[1], [[2], [3]])
