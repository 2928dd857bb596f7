import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import CharCNNRNN
from keras_t2i.text import embed_texts
from keras_t2i.text import tokenize
from keras_t2i.text.char_cnn_rnn import GatedRecurrence
from keras_t2i.text.char_cnn_rnn import OneHotCharacters
from keras_t2i.text.char_cnn_rnn import ReLURecurrence
from tests.tiny_models import randomize
from tests.tiny_models import tiny_text_encoder


def _token_ids(num_texts=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 71, (num_texts, 201), dtype="int32")


def _convolve(x, kernel, bias):
    size = kernel.shape[0]
    windows = [x[:, t : t + size] for t in range(x.shape[1] - size + 1)]
    outputs = [
        np.tensordot(window, kernel, axes=([1, 2], [0, 1]))
        for window in windows
    ]
    return np.maximum(np.stack(outputs, 1) + bias, 0)


def _pool(x, strides):
    starts = range(0, x.shape[1] - 2, strides)
    return np.stack([x[:, t : t + 3].max(axis=1) for t in starts], 1)


def _reference(encoder, token_ids):
    """Steps before the recurrence, and the embeddings, in NumPy."""

    def weights(name):
        return [np.array(w) for w in encoder.get_layer(name).weights]

    if encoder.vocabulary is None:
        columns = np.eye(70, dtype="float32")
    else:
        (columns,) = weights("word_vectors")
    x = np.concatenate([np.zeros((1, 70), "float32"), columns])[token_ids]
    x = _pool(_convolve(x, *weights("convolution_1")), 3)
    x = _pool(_convolve(x, *weights("convolution_2")), 3)
    x = _convolve(x, *weights("convolution_3"))
    if encoder.third_pool:
        x = _pool(x, 2)
    steps = x.shape[1]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    w, u, b, b_u = weights("recurrence")
    if encoder.recurrence == "relu":
        h = np.maximum(x[:, 0] @ w + b, 0)
        states = [h]
        for t in range(1, steps):
            h = np.maximum(x[:, t] @ w + b + h @ u + b_u, 0)
            states.append(h)
    else:
        n = w.shape[1] // 3
        h = np.tanh((x[:, 0] @ w + b)[:, 2 * n :])
        states = [h]
        for t in range(1, steps):
            p = x[:, t] @ w + b
            gates = p[:, : 2 * n] + h @ u[:, : 2 * n] + b_u[: 2 * n]
            update, reset = np.split(sigmoid(gates), 2, axis=1)
            hidden = (reset * h) @ u[:, 2 * n :] + b_u[2 * n :]
            candidate = np.tanh(p[:, 2 * n :] + hidden)
            h = update * candidate + (1 - update) * h
            states.append(h)
    kernel, bias = weights("embedding")
    return steps, np.mean(states, axis=0) @ kernel + bias


@pytest.mark.parametrize("vocabulary", [None, [f"w{n}" for n in range(70)]])
@pytest.mark.parametrize(
    ("recurrence", "third_pool", "steps"),
    [("relu", True, 8), ("gated", False, 18)],
)
def test_against_numpy(recurrence, third_pool, steps, vocabulary):
    encoder = tiny_text_encoder(
        recurrence=recurrence, third_pool=third_pool, vocabulary=vocabulary
    )
    randomize(encoder)
    # Keeps the ReLU states from growing: one weight matrix of norm below 1.
    kernel = encoder.get_layer("recurrence").recurrent_kernel
    kernel.assign(kernel * 0.1)
    token_ids = _token_ids()
    reference_steps, expected = _reference(encoder, token_ids)
    assert reference_steps == steps
    assert encoder.get_layer("recurrence").output.shape == (None, steps, 8)
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 1e-3 * scale
    np.testing.assert_allclose(
        np.array(encoder(token_ids)) / scale, expected / scale, atol=1e-5
    )


@pytest.mark.parametrize("name", ["cvpr", "birds", "flowers"])
def test_published_presets_against_numpy(name):
    encoder = CharCNNRNN.from_preset(f"char_cnn_rnn_{name}")
    # As published encoders start; ReLU states stay small.
    generator = np.random.default_rng(0)
    for weight in encoder.weights:
        weight.assign(generator.uniform(-0.08, 0.08, weight.shape))
    kernel = encoder.get_layer("recurrence").recurrent_kernel
    kernel.assign(kernel * 0.5)
    token_ids = _token_ids(2)
    steps, expected = _reference(encoder, token_ids)
    units = 256 if name == "cvpr" else 512
    assert encoder.get_layer("recurrence").output.shape == (None, steps, units)
    assert expected.shape == (2, 1024)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        np.array(encoder(token_ids)) / scale, expected / scale, atol=1e-5
    )


def test_parameters_of_the_flowers_encoder():
    encoder = CharCNNRNN()
    convolutions = (
        4 * 70 * 384 + 384 + 4 * 384 * 512 + 512 + 4 * 512 * 512 + 512
    )
    recurrence = 2 * (512 * 512 + 512)
    embedding = 512 * 1024 + 1024
    assert encoder.count_params() == convolutions + recurrence + embedding
    assert encoder.count_params() == 2994560


def test_parameters_of_the_birds_encoder():
    encoder = CharCNNRNN(third_pool=False, recurrence="gated")
    convolutions = (
        4 * 70 * 384 + 384 + 4 * 384 * 512 + 512 + 4 * 512 * 512 + 512
    )
    recurrence = 3 * 2 * (512 * 512 + 512)
    embedding = 512 * 1024 + 1024
    assert encoder.count_params() == convolutions + recurrence + embedding
    assert encoder.get_layer("recurrence").output.shape == (None, 18, 512)


def test_unknown_characters_have_no_column():
    rows = OneHotCharacters()(np.array([[0, 1, 70]], "int32"))
    assert rows.shape == (1, 3, 70)
    np.testing.assert_array_equal(rows[0, 0], np.zeros(70))
    np.testing.assert_array_equal(np.argmax(rows[0, 1:], -1), [0, 69])
    assert float(np.sum(rows)) == 2.0


def test_an_empty_text_has_an_embedding():
    encoder = tiny_text_encoder()
    embedding = np.array(encoder(np.zeros((1, 201), "int32")))
    assert np.isfinite(embedding).all()


def test_a_text_does_not_depend_on_its_neighbors():
    encoder = tiny_text_encoder()
    token_ids = _token_ids(4)
    together = np.array(encoder(token_ids))
    for index in range(4):
        alone = np.array(encoder(token_ids[index : index + 1]))
        np.testing.assert_allclose(together[index], alone[0], atol=1e-6)


@pytest.mark.parametrize(
    ("recurrence", "third_pool"), [("relu", True), ("gated", False)]
)
def test_predictions_leave_padding_out(recurrence, third_pool):
    encoder = tiny_text_encoder(recurrence=recurrence, third_pool=third_pool)
    # Biases too: padding alone then has features other than 0.
    randomize(encoder)
    kernel = encoder.get_layer("recurrence").recurrent_kernel
    kernel.assign(kernel * 0.1)
    batches = {}
    # Around the ends of all windows, and with unknown characters inside.
    for length in (0, 1, 8, 9, 10, 17, 18, 19, 54, 55, *range(124, 166), 201):
        token_ids = batches[length] = _token_ids(2, seed=length)
        token_ids[0, length:] = 0
        token_ids[1, length // 2 :] = 0
        token_ids[:, 20:24] = 0
    outputs = np.array(encoder(np.concatenate([*batches.values()])))
    for (length, token_ids), expected in zip(
        batches.items(), outputs.reshape(len(batches), 2, -1), strict=True
    ):
        scale = np.abs(expected).max()
        predicted = encoder.predict(token_ids, verbose=0)
        np.testing.assert_allclose(
            predicted / scale,
            expected / scale,
            atol=1e-5,
            err_msg=f"{length} characters",
        )
    by_name = encoder.predict({"token_ids": token_ids}, verbose=0)
    np.testing.assert_array_equal(by_name, predicted)


@pytest.mark.parametrize(
    ("third_pool", "columns"),
    [(True, {0: 66, 1: 84, 18: 84, 19: 102}), (False, {0: 48, 1: 57, 10: 66})],
)
def test_predictions_read_up_to_the_padding(third_pool, columns):
    encoder = tiny_text_encoder(third_pool=third_pool)
    read = []
    convolution = encoder.get_layer("convolution_1")
    call = convolution.call
    convolution.call = lambda x: read.append(x.shape[1]) or call(x)
    for length, expected in columns.items():
        token_ids = np.zeros((2, 201), "int32")
        token_ids[1, :length] = 1
        encoder.predict_step(tf.constant(token_ids))
        assert read.pop() == expected


def test_arguments_come_back():
    encoder = CharCNNRNN(
        [4, 6, 8],
        third_pool=False,
        recurrence="gated",
        embedding_dim=12,
        name="mine",
    )
    assert encoder.convolution_filters == (4, 6, 8)
    config = keras.saving.serialize_keras_object(encoder)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == encoder.get_config()
    assert copy.name == "mine"
    assert copy.convolution_filters == (4, 6, 8)
    assert copy.output_shape == (None, 12)
    assert copy.count_params() == encoder.count_params()


def test_words_are_all_that_differs():
    characters = tiny_text_encoder()
    words = tiny_text_encoder(vocabulary=("a", "rose"))
    assert words.count_params() == characters.count_params() + 2 * 70
    shapes = [weight.shape for weight in words.weights]
    assert shapes[1:] == [weight.shape for weight in characters.weights]
    texts = tf.constant(["A rose", "a " * 202, "x" * 202])
    np.testing.assert_array_equal(words.tokenize(texts)[0, :3], [1, 2, 0])
    assert words.lengths(texts).numpy().tolist() == [2, 202, 1]
    assert characters.lengths(texts).numpy().tolist() == [6, 404, 202]
    np.testing.assert_array_equal(characters.tokenize(texts), tokenize(texts))


def test_saving_and_loading_with_words(tmp_path):
    encoder = tiny_text_encoder(vocabulary=["a", "rosé"])
    encoder.save(tmp_path / "encoder.keras")
    copy = keras.saving.load_model(tmp_path / "encoder.keras")
    assert copy.vocabulary == ("a", "rosé")
    texts = tf.constant(["a Rosé", "b"])
    np.testing.assert_array_equal(
        copy(copy.tokenize(texts)), encoder(encoder.tokenize(texts))
    )


def test_a_function_with_words_can_be_exported(tmp_path):
    encoder = tiny_text_encoder(vocabulary=("a", "rose"))
    texts = tf.constant(["a rose", "rose, a " * 200, "花\0"])
    expected = encoder(encoder.tokenize(texts))
    archive = keras.export.ExportArchive()
    archive.track(encoder)
    archive.add_endpoint(
        "embed",
        lambda texts: encoder(encoder.tokenize(texts)),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    archive.write_out(tmp_path / "encoder", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "encoder")
    np.testing.assert_allclose(loaded.embed(texts), expected, atol=1e-6)


def test_presets_by_name():
    assert set(CharCNNRNN.presets) >= {"char_cnn_rnn", "char_cnn_rnn_small"}
    encoder = CharCNNRNN.from_preset("char_cnn_rnn_small", embedding_dim=7)
    assert encoder.convolution_filters == (96, 128, 128)
    assert encoder.output_shape == (None, 7)
    with pytest.raises(ValueError, match="one of .*Received: 'bert'"):
        CharCNNRNN.from_preset("bert")
    with pytest.raises(ValueError, match=r"at least one word.*Received: \(\)"):
        CharCNNRNN.from_preset("word_cnn_rnn_small")


def test_saving_and_loading(tmp_path):
    encoder = tiny_text_encoder()
    encoder.save(tmp_path / "encoder.keras")
    copy = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(copy(_token_ids()), encoder(_token_ids()))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_precision_comes_back(policy):
    encoder = tiny_text_encoder(dtype=policy)
    config = keras.saving.serialize_keras_object(encoder)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.dtype_policy.name == policy
    for name in ("one_hot", "convolution_1", "recurrence", "embedding"):
        assert copy.get_layer(name).dtype_policy.name == policy
    assert copy(_token_ids()).dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in copy.weights} == {"float32"}


def test_errors():
    with pytest.raises(ValueError, match="one of .*gated.*Received: 'lstm'"):
        CharCNNRNN(recurrence="lstm")
    with pytest.raises(ValueError, match=r"three .*Received: \(8, 8\)"):
        CharCNNRNN((8, 8))
    with pytest.raises(ValueError, match=r"empty. Received: \('a', ''\)"):
        CharCNNRNN(vocabulary=["a", ""])
    with pytest.raises(ValueError, match="once. Received: 3 words, 2 diff"):
        CharCNNRNN(vocabulary=["a", "b", "a"])
    with pytest.raises(ValueError, match="not one string. Received: 'rose'"):
        CharCNNRNN(vocabulary="rose")
    with pytest.raises(ValueError, match="letters .*: 'Rose', 'dog rose'. M"):
        CharCNNRNN(vocabulary=["a", "Rose", "é", "dog rose"])


UNITS = 3
FEATURES = 4
RECURRENCES = {"relu": ReLURecurrence, "gated": GatedRecurrence}


@pytest.fixture(params=RECURRENCES)
def layer(request):
    layer = RECURRENCES[request.param](UNITS)
    layer.build((None, 5, FEATURES))
    randomize(layer)
    return layer


@pytest.fixture
def inputs():
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, 5, FEATURES)).astype("float32")


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _relu_steps(x, layer):
    w, u, b, b_u = (np.array(weight) for weight in layer.weights)
    h = np.maximum(x[:, 0] @ w + b, 0)
    steps = [h]
    for t in range(1, x.shape[1]):
        h = np.maximum(x[:, t] @ w + b + h @ u + b_u, 0)
        steps.append(h)
    return np.stack(steps, 1)


def _gated_steps(x, layer):
    # Update gate, reset gate and candidate, one matrix each.
    w, u = (np.split(np.array(layer.weights[i]), 3, axis=1) for i in (0, 1))
    b, b_u = (np.split(np.array(layer.weights[i]), 3) for i in (2, 3))
    h = np.tanh(x[:, 0] @ w[2] + b[2])
    steps = [h]
    for t in range(1, x.shape[1]):
        update = _sigmoid(x[:, t] @ w[0] + b[0] + h @ u[0] + b_u[0])
        reset = _sigmoid(x[:, t] @ w[1] + b[1] + h @ u[1] + b_u[1])
        candidate = (reset * h) @ u[2] + b_u[2]
        candidate = np.tanh(x[:, t] @ w[2] + b[2] + candidate)
        h = update * candidate + (1 - update) * h
        steps.append(h)
    return np.stack(steps, 1)


def test_steps_follow_the_formula(layer, inputs):
    formula = {
        ReLURecurrence: _relu_steps,
        GatedRecurrence: _gated_steps,
    }[type(layer)]
    expected = formula(inputs, layer)
    assert expected.shape == (2, 5, UNITS)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_first_step_has_no_hidden_term(layer, inputs):
    first = np.array(layer(inputs))[:, 0]
    layer.recurrent_kernel.assign(100 * layer.recurrent_kernel)
    layer.recurrent_bias.assign(100 + layer.recurrent_bias)
    outputs = np.array(layer(inputs))
    np.testing.assert_array_equal(outputs[:, 0], first)
    # One step is a plain layer.
    np.testing.assert_allclose(layer(inputs[:, :1])[:, 0], first, atol=1e-6)


def test_a_step_does_not_see_later_ones(layer, inputs):
    outputs = np.array(layer(inputs))
    inputs[:, 3:] += 1
    changed = np.array(layer(inputs))
    np.testing.assert_array_equal(changed[:, :3], outputs[:, :3])
    assert (changed[:, 4] != outputs[:, 4]).any(axis=-1).all()


def test_gated_recurrence_is_the_gru_of_keras_after_the_first_step(inputs):
    layer = GatedRecurrence(UNITS)
    layer.build(inputs.shape)
    randomize(layer)
    w, u, b, b_u = (np.array(weight) for weight in layer.weights)
    # Keras' update gate keeps the old state: its sign is the other one.
    sign = np.repeat([-1.0, 1.0, 1.0], UNITS).astype("float32")
    gru = keras.layers.GRU(UNITS, reset_after=False, return_sequences=True)
    gru.build(inputs.shape)
    gru.set_weights([w * sign, u * sign, (b + b_u) * sign])
    outputs = np.array(layer(inputs))
    expected = gru(inputs[:, 1:], initial_state=outputs[:, 0])
    np.testing.assert_allclose(outputs[:, 1:], expected, atol=1e-6)


def test_config_round_trip(layer):
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert copy.units == UNITS


def test_predictions_are_of_the_ids_alone():
    encoder = tiny_text_encoder()
    ids, others = encoder.tokenize(["a rose"]), encoder.tokenize(["a tulip"])
    batch = {"images": np.zeros((1, 4, 4, 3)), "mismatched_token_ids": others}
    np.testing.assert_array_equal(
        encoder.predict({**batch, "token_ids": ids}, verbose=0),
        encoder.predict(ids, verbose=0),
    )
    with pytest.raises(ValueError, match="of shape \\(batch, 201\\).*: none"):
        encoder.predict(batch, verbose=0)
    short = ids[:, :100]
    with pytest.raises(ValueError, match="Received: shape \\(1, 100\\)"):
        tiny_text_encoder().predict(short, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible"):
        encoder.predict(short, verbose=0)
    encoder.predict(ids, verbose=0)


@pytest.mark.parametrize("num_texts", [1, 3, 257])
def test_a_device_without_texts(two_replicas, num_texts):
    texts = [f"flower number {number}" for number in range(num_texts)]
    with two_replicas.scope():
        encoder = tiny_text_encoder()
    alone = tiny_text_encoder()
    alone.set_weights(encoder.get_weights())
    np.testing.assert_allclose(
        embed_texts(encoder, texts), embed_texts(alone, texts), atol=1e-6
    )
