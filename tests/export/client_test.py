"""The client, on a folder and on stand-ins, which are no TensorFlow Serving."""

import contextlib
import io
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i.export import Client
from keras_t2i.export import ServerError
from tests.export.stand_in_servers import grpc_stand_in
from tests.export.stand_in_servers import rest_stand_in
from tests.export.tiny_served import decode
from tests.export.tiny_served import encode
from tests.export.tiny_served import expected_answer
from tests.export.tiny_served import strings
from tests.export.tiny_served import style_images


def _damaged_jpeg():
    """A JPEG that Pillow reads, and TensorFlow does not."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 10, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(noise).resize((90, 76)).save(file, "JPEG")
    content = file.getvalue()
    for start in range(620, len(content) - 16, 7):
        damaged = content[:start] + 16 * b"\xff" + content[start + 16 :]
        with contextlib.suppress(OSError):
            Image.open(io.BytesIO(damaged)).load()
            try:
                tf.io.decode_jpeg(damaged)
            except tf.errors.InvalidArgumentError:
                return damaged
    raise AssertionError("TensorFlow reads what Pillow reads")


CAPTIONS = ["a red flower", "Straße 花", "a \udcff rose"]
STAND_INS = {"http": rest_stand_in, "grpc": grpc_stand_in}


@pytest.fixture(scope="module", params=["folder", "version", *STAND_INS])
def client(request, model_folder, saved_model):
    if request.param == "folder":
        yield Client(model_folder)
    elif request.param == "version":
        yield Client(str(saved_model))
    else:
        with STAND_INS[request.param](saved_model) as (address, _):
            yield Client(address)


def test_generate(client, gan):
    expected = gan.generate(CAPTIONS, seed=[0, -1, 2**63 - 1])
    found = client.generate(CAPTIONS, seed=[0, -1, 2**63 - 1])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        client.generate(CAPTIONS[0]), gan.generate(CAPTIONS[0])
    )


def test_generate_many(client, gan):
    captions = ["a rose", "a tulip", "an iris"] * 50
    # In the batches of `gan.generate`, so that they are bit-equal.
    np.testing.assert_array_equal(
        client.generate(captions, seed=5), gan.generate(captions, seed=5)
    )


def test_generate_from_embeddings(client, gan):
    rows = client.embed_text(CAPTIONS)
    seeds = [0, -1, 2**63 - 1]
    found = client.generate_from_embeddings(rows, seed=seeds)
    expected = gan.generate_from_embeddings(rows, seed=seeds)
    np.testing.assert_array_equal(found, expected)
    files = client.generate_from_embeddings(rows.tolist(), seeds, as_png=True)
    np.testing.assert_array_equal(decode(files), expected)


@pytest.mark.parametrize("shape", [(8,), (0, 8), (2, 0), (1, 1, 8)])
def test_embeddings_that_are_no_rows(client, shape):
    with pytest.raises(
        ValueError, match=r"\(num_texts, dim\).*Received: shape"
    ):
        client.generate_from_embeddings(np.ones(shape))


def test_embeddings_that_are_not_finite(client):
    with pytest.raises(ValueError, match="Received: .*, not all finite"):
        client.generate_from_embeddings([[np.nan, 1.0]])


@pytest.mark.parametrize("dim", [1, 3])
def test_embeddings_of_another_size(client, dim):
    # Above all one number, which would be repeated without a word.
    with pytest.raises(ServerError):
        client.generate_from_embeddings(np.ones((2, dim)))


def test_png_files(client, gan):
    files = client.generate(CAPTIONS, seed=3, as_png=True)
    assert files.shape == (3,)
    assert {file[1:4] for file in files} == {b"PNG"}
    np.testing.assert_array_equal(decode(files), gan.generate(CAPTIONS, seed=3))


def test_interpolate(client, gan):
    captions = CAPTIONS[:2], ["a rose", "an iris"]
    found = client.interpolate(*captions, 5, seed=4)
    expected = gan.interpolate(*captions, 5, seed=4)
    assert found.shape == expected.shape == (2, 5, 32, 32, 3)
    # Of another batch size.
    assert np.abs(found.astype(int) - expected).max() <= 1
    middle = found[:, 2].astype(int)
    assert np.abs(middle - found[:, 0]).max() > 5
    assert np.abs(middle - found[:, -1]).max() > 5
    found = client.interpolate_noise(CAPTIONS[:2], 4, [5, -1], 5)
    expected = gan.interpolate_noise(CAPTIONS[:2], 4, [5, -1], 5)
    assert found.shape == expected.shape == (2, 5, 32, 32, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1
    files = client.interpolate("a rose", "an iris", 2, as_png=True)
    assert files.shape == (1, 2)


def test_transfer_style(client, gan, style_encoder):
    images = style_images(2)
    file = memoryview(encode(images[1]))
    found = client.transfer_style([images[0], file], CAPTIONS)
    assert found.shape == (2, 3, 32, 32, 3)
    texts = [c.encode("utf-8", "surrogatepass") for c in CAPTIONS]
    inputs = {
        "text": strings(*texts * 2),
        "style_image_bytes": strings(
            *(encode(image) for image in np.repeat(images, 3, axis=0))
        ),
    }
    expected = expected_answer(gan, style_encoder, "transfer_style", inputs)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


def test_large_images_are_sent_in_several_requests(saved_model):
    small = encode(style_images(1)[0])
    # What follows the end of a PNG is not looked at.
    large = small + bytes(17 * 2**20)
    with rest_stand_in(saved_model) as (address, model):
        client = Client(address)
        expected = client.transfer_style([small], CAPTIONS)
        found = client.transfer_style([large], CAPTIONS)
        num_rows = [len(inputs["text"]) for *_, inputs in model.asked]
    assert num_rows == [3, 2, 1]
    # Of another batch size.
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_embed_text(client, gan, style_encoder):
    found = client.embed_text(CAPTIONS)
    assert found.dtype == np.float32
    texts = [c.encode("utf-8", "surrogatepass") for c in CAPTIONS]
    expected = expected_answer(
        gan, style_encoder, "embed_text", {"text": strings(*texts)}
    )
    np.testing.assert_array_equal(found, expected)


# === What is refused before it is sent ===


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda c: c.generate([]), "at least one. Received: none"),
        (lambda c: c.generate(["a", " "]), "must hold some text.*' '"),
        (lambda c: c.generate("a", seed=2**63), "64 bits. Received: 92233"),
        (lambda c: c.embed_text(""), "must hold some text"),
        (lambda c: c.embed_text([]), "at least one. Received: none"),
        (lambda c: c.interpolate([], []), "at least one. Received: none"),
        (lambda c: c.interpolate(["a"], ["a", "b"]), "Received: 1 and 2"),
        (lambda c: c.interpolate("a", "b", 1), "at least 2.*Received: 1"),
        (lambda c: c.interpolate_noise("a", 0, 1, 1), "at least 2.*: 1"),
        (lambda c: c.interpolate_noise("a", 0, [1, 2]), "`seed_to` must"),
        (lambda c: c.transfer_style([], "a"), "at least one. Received: none"),
        # One file in place of a list of them.
        (lambda c: c.transfer_style(b"abc", "a"), "a list.*Received: b'abc'"),
        (
            lambda c: c.transfer_style([b"no image"], "a"),
            "JPEG or PNG.*Received: b'no image'",
        ),
        (lambda c: c.transfer_style(["a.png"], "a"), "Received: 'a.png'"),
        (
            lambda c: c.transfer_style([np.zeros((4, 4, 3))], "a"),
            r"uint8 of shape.*float64 of shape \(4, 4, 3\)",
        ),
        (
            lambda c: c.transfer_style([encode(style_images(1)[0])[:99]], "a"),
            "cannot be read",
        ),
        # Its last bytes are missing: Pillow would take it.
        (
            lambda c: c.transfer_style([encode(style_images(1)[0])[:-12]], "a"),
            "cannot be read",
        ),
        (
            lambda c: c.transfer_style([_damaged_jpeg()], "a"),
            "cannot be read",
        ),
    ],
)
def test_bad_requests_are_not_sent(saved_model, ask, message):
    with rest_stand_in(saved_model) as (address, model):
        with pytest.raises(ValueError, match=message):
            ask(Client(address))
        assert model.asked == []


def test_a_version_with_leading_zeros(saved_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / "model" / "001")
    client = Client(tmp_path / "model")
    expected = Client(saved_model).generate("a rose", seed=1)
    np.testing.assert_array_equal(client.generate("a rose", seed=1), expected)


@pytest.mark.parametrize(
    "address",
    [
        *["http://localhost:8501", "http://localhost:8501/v1/models/"],
        *["http://localhost/v1/models/a:predict", "ftp://a/v1/models/b"],
        *["http://a/v1/models/b/versions/x", "http://a/v1/models/b?c=d"],
        *["http://[::1/v1/models/a", "http://a//v1/models/b"],
        # gRPC has no paths.
        "grpc://a/team/v1/models/b",
    ],
)
def test_other_addresses(address):
    with pytest.raises(ValueError, match="/v1/models/NAME.*Received: '") as e:
        Client(address)
    assert repr(address) in str(e.value)


@pytest.mark.parametrize("timeout", [0, -1.0, 1e12, float("nan"), float("inf")])
def test_other_timeouts(timeout):
    with pytest.raises(ValueError, match="above 0.*a day, 86400"):
        Client("http://a/v1/models/b", timeout=timeout)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match="holds no SavedModel") as error:
        Client(tmp_path)
    assert repr(str(tmp_path)) in str(error.value)


def test_a_damaged_model(tmp_path):
    (tmp_path / "flowers" / "1").mkdir(parents=True)
    (tmp_path / "flowers" / "1" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be loaded"):
        Client(tmp_path / "flowers")


def test_a_flipped_bit_in_a_folder_is_found(tmp_path, saved_model):
    path = shutil.copytree(saved_model, tmp_path / "flowers" / "1")
    for file in sorted(path.rglob("*")):
        if not file.is_file():
            continue
        content = file.read_bytes()
        for place in np.linspace(0, len(content) - 1, 5, dtype=int):
            changed = bytearray(content)
            changed[place] ^= 16
            file.write_bytes(changed)
            with pytest.raises(ValueError, match=f"{path}.*SHA256SUMS"):
                Client(tmp_path / "flowers")
        file.write_bytes(content)


def test_the_newest_version_of_a_folder(tmp_path, saved_model):
    for name in ("2", "10", "9", ".tmp-11-1", "12"):
        (tmp_path / name).mkdir()
    # Version 12 is empty, as one that is being copied.
    for name in ("2", "9", ".tmp-11-1"):
        (tmp_path / name / "saved_model.pb").write_bytes(b"damaged")
    for file in saved_model.rglob("*"):
        copy = tmp_path / "10" / file.relative_to(saved_model)
        if file.is_file():
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    assert Client(tmp_path).generate("a rose").shape == (1, 32, 32, 3)


# === Versions and labels ===


def test_a_version_and_a_label_by_rest(saved_model):
    with rest_stand_in(saved_model) as (address, model):
        for suffix in ("", "/versions/3", "/labels/canary"):
            Client(address + suffix).embed_text("a rose")
        paths = [path for path, *_ in model.asked]
    assert paths == [
        "/v1/models/flowers:predict",
        "/v1/models/flowers/versions/3:predict",
        "/v1/models/flowers/labels/canary:predict",
    ]


def test_a_proxy_with_a_path(saved_model):
    with rest_stand_in(saved_model) as (address, model):
        Client(address.replace("/v1", "/team/v1")).embed_text("a rose")
        ((path, *_),) = model.asked
    assert path == "/team/v1/models/flowers:predict"


def test_a_version_and_a_label_by_grpc(saved_model):
    with grpc_stand_in(saved_model) as (address, model):
        for suffix in ("", "/versions/3", "/labels/canary"):
            Client(address + suffix).embed_text("a rose")
        specs = [spec for spec, *_ in model.asked]
    assert [spec.WhichOneof("version_choice") for spec in specs] == [
        *[None, "version", "version_label"]
    ]
    assert specs[1].version.value == 3
    assert specs[2].version_label == "canary"


# === Models that no export has written ===

_TEXT = tf.TensorSpec([None], tf.string, "text")
_SEED = tf.TensorSpec([None], tf.int64, "seed")


def _text(text):
    return {"image_bytes": text}


def _text_beside_seed(text, seed):
    return {"image_bytes": text}


def _first_text(text, seed):
    return {"image_bytes": text[0]}


def _two_outputs(text, seed):
    return {"image_bytes": text, "seed": seed}


def _failure(text, seed):
    return {"image_bytes": tf.io.decode_base64(text)}


def _save(path, function, *inputs):
    served = tf.function(function, input_signature=inputs, autograph=False)
    tf.saved_model.save(tf.Module(), str(path), signatures=served)


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (
            _text,
            [_TEXT],
            "1', which must be .* has failed at 'serving_default'",
        ),
        (_two_outputs, [_TEXT, _SEED], "has failed at .*too many values"),
        (_failure, [_TEXT, _SEED], "(?si)has failed at .*base64"),
        (_first_text, [_TEXT, _SEED], r"request's 1. Received.*shape \(\)"),
        (_text_beside_seed, [_TEXT, _SEED], "PNG files.*Received: b'a rose'"),
    ],
)
def test_a_folder_of_another_model(tmp_path, function, inputs, message):
    _save(tmp_path / "1", function, *inputs)
    client = Client(tmp_path)
    with pytest.raises(ServerError, match=message):
        client.generate("a rose")


def test_a_model_of_a_stranger_is_a_program(tmp_path):
    """As `SECURITY.md` says; nothing keeps it from what it does."""
    path = tmp_path / "written"

    def _program(text, seed):
        with tf.control_dependencies([tf.io.write_file(str(path), "by it")]):
            return {"image_bytes": tf.identity(text)}

    _save(tmp_path / "1", _program, _TEXT, _SEED)
    with pytest.raises(ServerError, match="must answer with PNG files"):
        Client(tmp_path).generate("a rose")
    assert path.read_text() == "by it"


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_server_of_another_model(tmp_path, kind):
    _save(tmp_path / "1", _two_outputs, _TEXT, _SEED)
    with STAND_INS[kind](tmp_path / "1") as (address, _):
        with pytest.raises(ServerError, match="must be the address of a model"):
            Client(address).generate("a rose")


def test_a_model_without_the_signature(tmp_path):
    _save(tmp_path / "1", _text_beside_seed, _TEXT, _SEED)
    with pytest.raises(
        ServerError, match="'transfer_style'. Received: one with"
    ):
        Client(tmp_path).transfer_style(style_images(1), "a rose")


def test_grpc_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ValueError, match="pip install tensorflow-serving-api"):
        Client("grpc://127.0.0.1:1/v1/models/a")
