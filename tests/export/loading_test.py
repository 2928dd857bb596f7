"""What TensorFlow Serving does to a SavedModel, without TensorFlow Serving.

The same C++ loader, kernels and text operations as in TensorFlow Serving, and
no Keras. What is not run here: its REST API, batching and version manager.
"""

import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_t2i.export.saved_model import write_warm_up_requests
from keras_t2i.text.embeddings import embed_texts
from tests.captions_of_all_kinds import CAPTIONS_OF_ALL_KINDS
from tests.export.loaders import ask_by_c_api
from tests.export.loaders import ask_by_session
from tests.export.tiny_served import SEEDS
from tests.export.tiny_served import TEXTS
from tests.export.tiny_served import answer_values
from tests.export.tiny_served import claiming_png
from tests.export.tiny_served import decode
from tests.export.tiny_served import expected_answer
from tests.export.tiny_served import inputs_of_signatures
from tests.export.tiny_served import strings
from tests.programs import with_this_python

SIGNATURES = list(inputs_of_signatures())


@pytest.fixture(scope="module", params=[ask_by_c_api, ask_by_session])
def answers(request, saved_model, tmp_path_factory):
    requests = inputs_of_signatures()
    found = request.param(
        saved_model, requests.items(), tmp_path_factory.mktemp("answers")
    )
    return dict(zip(requests, found))


@pytest.mark.parametrize("signature", SIGNATURES)
def test_answers_are_bit_equal_to_python(
    answers, gan, style_encoder, signature
):
    inputs = inputs_of_signatures()[signature]
    expected = expected_answer(gan, style_encoder, signature, inputs)
    found = answer_values(answers[signature])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    # Rows differ, or equal would mean nothing.
    assert len(np.unique(expected.reshape(4, -1), axis=0)) == 4


def test_images_are_bit_equal_to_generate(answers, gan):
    # An empty text is refused in Python.
    captions = [b"{ }" if text == b"" else text for text in TEXTS]
    expected = gan.generate(captions, seed=SEEDS)
    for signature in ("serving_default", "pixels"):
        found = answer_values(answers[signature])
        rows = [0, 1, 3]
        np.testing.assert_array_equal(found[rows], expected[rows])


def test_an_empty_text_draws_from_all_zero_columns(answers, gan):
    embedding = gan.text_encoder(tf.zeros((1, 201), tf.int32)).numpy()
    found = answer_values(answers["embed_text"])[2]
    np.testing.assert_allclose(found, embedding[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ask", [ask_by_c_api, ask_by_session])
def test_captions_of_all_kinds_are_read_as_everywhere(
    saved_model, gan, tmp_path, ask
):
    # Words after them, for their places show how many columns were taken.
    captions = [f"{text} and petals" for text in CAPTIONS_OF_ALL_KINDS]
    inputs = {"text": strings(*(text.encode() for text in captions))}
    (answer,) = ask(saved_model, [("embed_text", inputs)], tmp_path)
    expected = embed_texts(gan.text_encoder, captions)
    np.testing.assert_allclose(
        answer["embedding"], expected, rtol=1e-4, atol=1e-4
    )
    # All differ but U+FFFD and NUL, which are read alike.
    ids = gan.text_encoder.tokenize(captions).numpy()
    kinds, places = np.unique(ids, axis=0, return_index=True)
    assert len(kinds) == len(captions) - 1
    distances = expected[places][:, None] - expected[places]
    distances = np.abs(distances).max(axis=-1) + np.eye(len(kinds))
    assert distances.min() > 0.01


def test_xla_would_fail_as_it_does_in_tensorflow_serving(tmp_path):
    """The harness finds what it is there for."""

    class Compiled(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.float32)],
            jit_compile=True,
        )
        def double(self, x):
            return {"doubled": 2.0 * x}

    module = Compiled()
    tf.saved_model.save(
        module, str(tmp_path / "1"), signatures={"double": module.double}
    )
    request = ("double", {"x": np.ones(1, "float32")})
    (error,) = ask_by_c_api(tmp_path / "1", [request], tmp_path)
    assert "XLA compilation disabled" in error


def test_a_python_function_would_fail_as_in_tensorflow_serving(tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def double(x):
        return {"doubled": tf.numpy_function(lambda v: 2 * v, [x], tf.float32)}

    tf.saved_model.save(
        module, str(tmp_path / "1"), signatures={"double": double}
    )
    request = ("double", {"x": np.ones(1, "float32")})
    (error,) = ask_by_c_api(tmp_path / "1", [request], tmp_path)
    assert "PyFunc" in error


def test_rows_do_not_depend_on_their_batch(saved_model, tmp_path):
    """Merged and padded as a batching server does, and split again."""
    requests = inputs_of_signatures()
    rows = [0, 1, 2, 3, 0, 0, 0, 0]
    asked = []
    for signature, inputs in requests.items():
        merged = {name: values[rows] for name, values in inputs.items()}
        asked.append((signature, merged))
        for row in range(4):
            alone = {name: v[row : row + 1] for name, v in inputs.items()}
            asked.append((signature, alone))
    found = [
        answer_values(answer)
        for answer in ask_by_c_api(saved_model, asked, tmp_path)
    ]
    for start in range(0, len(found), 5):
        merged, alone = found[start][:4], np.concatenate(found[start + 1 :][:4])
        if merged.dtype == np.uint8:
            difference = np.abs(merged.astype(int) - alone)
            assert difference.max() <= 1
            assert np.mean(difference > 0) < 0.01
        else:
            np.testing.assert_allclose(merged, alone, rtol=1e-4, atol=1e-4)


def test_a_bad_row_does_not_touch_its_neighbors(saved_model, tmp_path):
    good = inputs_of_signatures()
    bad_texts = strings(b"x" * 1_000_000, b"\xff\xfe" * 9, b"a\0b\0", b"")
    huge = claiming_png(20_000, 20_000)
    bad_files = strings(b"no image", b"", b"\xff\xd8\xff", huge)
    extreme = np.array([np.nan, np.inf, -np.inf, 1e38], "float32")
    asked = []
    for signature, inputs in good.items():
        mixed = {}
        for name, values in inputs.items():
            bad = np.array([-(2**63), 2**63 - 1, -1, 0])
            if name == "style_image_bytes":
                bad = bad_files
            elif values.dtype == object:
                bad = bad_texts
            elif name == "embedding":
                bad = np.tile(extreme[:, None], (1, values.shape[1]))
            elif values.dtype == np.float32:
                bad = extreme
            mixed[name] = np.concatenate([values, bad])
        asked += [(signature, mixed)]
        # Of the same batch size, so that the good rows are bit-equal.
        twice = {n: np.concatenate([v, v]) for n, v in inputs.items()}
        asked += [(signature, twice)]
    answers = ask_by_c_api(saved_model, asked, tmp_path)
    for mixed, twice in zip(answers[::2], answers[1::2]):
        mixed, twice = answer_values(mixed), answer_values(twice)
        assert mixed.shape == twice.shape
        np.testing.assert_array_equal(mixed[:4], twice[:4])


def test_requests_that_are_no_batch(saved_model, tmp_path):
    good = inputs_of_signatures()
    asked = []
    for signature, inputs in good.items():
        asked.append((signature, {n: v[:0] for n, v in inputs.items()}))
        for name in inputs if len(inputs) > 1 else ():
            asked.append((signature, {**inputs, name: inputs[name][:1]}))
        for name in inputs:
            deeper = inputs[name][:, None]
            asked.append((signature, {**inputs, name: deeper}))
    asked.append(("pixels", good["pixels"]))
    *errors, answer = ask_by_c_api(saved_model, asked, tmp_path)
    for (signature, inputs), error in zip(asked, errors):
        empty = all(len(rows) == 0 for rows in inputs.values())
        expected = "at least one row" if empty else "same number of rows"
        if any(
            inputs[n].ndim > rows.ndim for n, rows in good[signature].items()
        ):
            expected = "not compatible with expected shape"
        assert expected in str(error), signature
    assert answer["image"].shape == (4, 32, 32, 3)


def test_the_style_image_of_a_bad_file_is_gray(saved_model, tmp_path):
    gray = np.full((32, 32, 3), 128, "uint8")
    files = strings(b"no image", _encoded(gray))
    inputs = {"text": strings(b"a rose", b"a rose"), "style_image_bytes": files}
    (answer,) = ask_by_c_api(
        saved_model, [("transfer_style", inputs)], tmp_path
    )
    bad, expected = decode(answer["image_bytes"])
    np.testing.assert_array_equal(bad, expected)


def _encoded(pixels):
    return tf.io.encode_png(pixels).numpy()


# === Warm-up ===


def _warm_up_requests(path):
    """What the file holds, by TensorFlow Serving's own messages."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in records
    ]


def test_warm_up_requests_are_answered(saved_model, tmp_path):
    path = saved_model / "assets.extra" / "tf_serving_warmup_requests"
    requests = _warm_up_requests(path)
    assert len(requests) == 2 * len(SIGNATURES)
    asked = [
        (
            request.model_spec.signature_name,
            {
                name: tf.make_ndarray(tensor)
                for name, tensor in request.inputs.items()
            },
        )
        for request in requests
    ]
    answers = ask_by_c_api(saved_model, asked, tmp_path)
    sizes = set()
    for (signature, _), request, answer in zip(asked, requests, answers):
        assert request.model_spec.name == "flowers"
        ((_, values),) = answer.items()
        sizes.add((signature, len(values)))
    assert sizes == {(name, size) for name in SIGNATURES for size in (1, 64)}
    # The style image is one, or decoding would not be warmed up.
    (styles,) = (i["style_image_bytes"] for s, i in asked[-1:])
    assert tf.io.decode_png(styles[0]).shape == (8, 8, 3)


def test_warm_up_records_are_as_the_generated_classes_write_them(gan, tmp_path):
    function = tf.function(
        lambda text, number: {"text": text},
        input_signature=[
            tf.TensorSpec([None], tf.string, "text"),
            tf.TensorSpec([None, 300], tf.float32, "number"),
        ],
    ).get_concrete_function()
    path = tmp_path / "requests"
    write_warm_up_requests(path, "x" * 200, {"ask": function}, (3,))
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "x" * 200
    request.model_spec.signature_name = "ask"
    text = [b"a red flower with a yellow center"] * 3
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(text))
    request.inputs["number"].CopyFrom(
        tf.make_tensor_proto(np.zeros((3, 300), "float32"))
    )
    (record,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    assert prediction_log_pb2.PredictionLog.FromString(record) == log


def test_the_command_that_the_readme_has_without_a_server(
    saved_model, gan, tmp_path
):
    folder = tmp_path / saved_model.parent.name
    shutil.copytree(saved_model.parent, folder)
    readme = (folder / "README.md").read_text("utf-8")
    command = readme.rpartition("```sh\n")[2].partition("```")[0]
    assert "saved_model_cli" in command
    subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=with_this_python(),
        check=True,
        capture_output=True,
    )
    text = re.search(r'text=\["(.*?)"\]', command)[1]
    np.testing.assert_array_equal(
        np.load(folder / "images" / "image.npy"), gan.generate(text, seed=7)
    )
