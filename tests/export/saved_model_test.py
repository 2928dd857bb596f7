import concurrent.futures
import os
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from keras_t2i.export import ServerError
from keras_t2i.export import export_saved_model
from keras_t2i.export import signatures
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.models.image_generation import generate_from_embeddings
from tests.export.stand_in_servers import grpc_stand_in
from tests.export.stand_in_servers import rest_stand_in
from tests.export.tiny_served import decode
from tests.export.tiny_served import tiny_served_gan
from tests.programs import with_this_python
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_style_encoder


def _signatures(path):
    return tf.saved_model.load(str(path)).signatures


def _generate(path, caption, seed):
    answer = _signatures(path)["serving_default"](
        text=tf.constant([caption]), seed=tf.constant([seed], tf.int64)
    )
    return decode(answer["image_bytes"].numpy())


def _files(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
    )


def test_layout(model_folder):
    assert _files(model_folder) == [
        "1/SHA256SUMS",
        "1/assets.extra/tf_serving_warmup_requests",
        "1/fingerprint.pb",
        "1/saved_model.pb",
        "1/variables/variables.data-00000-of-00001",
        "1/variables/variables.index",
        "README.md",
        "batching_parameters.txt",
        "models.config",
    ]
    assert '/models/flowers"' in (model_folder / "models.config").read_text()
    batching = (model_folder / "batching_parameters.txt").read_text()
    assert batching == batching_parameters()


def test_checksums_of_all_other_files(model_folder):
    lines = (model_folder / "1" / "SHA256SUMS").read_text().splitlines()
    named = ["SHA256SUMS", *(line.partition("  ")[2] for line in lines)]
    assert sorted(named) == _files(model_folder / "1")


@pytest.fixture(scope="module")
def without_style(gan, tmp_path_factory):
    """A folder with a version 7 to begin with, and the export after it."""
    folder = tmp_path_factory.mktemp("deep") / "saved_models" / "flowers"
    (folder / "7").mkdir(parents=True)
    (folder / "7" / "saved_model.pb").write_text("precious")
    # Another export is writing it.
    (folder / ".tmp-README.md").write_text("half")
    # A relative path with a slash at its end, from another folder.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        return export_saved_model(gan, "./flowers/")


def test_the_next_version(without_style):
    folder = without_style.parent
    assert without_style == folder / "8"
    assert without_style.is_absolute()
    assert sorted(path.name for path in folder.iterdir()) == [
        *[".tmp-README.md", "7", "8", "README.md"],
        *["batching_parameters.txt", "models.config"],
    ]
    assert (folder / ".tmp-README.md").read_text() == "half"


def test_a_version_that_is_there(without_style, gan):
    folder = without_style.parent
    with pytest.raises(
        ValueError, match="`version` must not be there yet. Received: 7, and "
    ):
        export_saved_model(gan, folder, version=7)
    assert (folder / "7" / "saved_model.pb").read_text() == "precious"


def test_without_a_style_encoder(without_style):
    assert set(_signatures(without_style)) == {
        *["serving_default", "pixels", "embed_text"],
        *["from_embedding", "interpolate"],
    }
    readme = without_style.parent / "README.md"
    assert "transfer_style" not in readme.read_text("utf-8")


@pytest.mark.parametrize("version", [0, -1, 2**63, 1.0, "1", True])
def test_versions_that_can_not_be(tmp_path, gan, version):
    with pytest.raises(ValueError, match=f"at least 1.*Received: {version!r}"):
        export_saved_model(gan, tmp_path / "flowers", version=version)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["my flowers", "a:b", "é", "-x", ".hidden"])
def test_names_that_can_not_be_served(tmp_path, gan, name):
    with pytest.raises(ValueError, match=f"served by.*Received: '{name}'"):
        export_saved_model(gan, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_weights_too_large_for_half_precision(tmp_path):
    gan = tiny_gan()
    kernel = gan.text_encoder.get_layer("embedding").kernel
    kernel.assign(tf.fill(kernel.shape, 1e5))
    with pytest.raises(ValueError, match="Received: values up to 100000. Exp"):
        export_saved_model(gan, tmp_path / "flowers", half_precision=True)
    assert list((tmp_path / "flowers").iterdir()) == []


@pytest.mark.parametrize("pixels", [0, 1.5, "400"])
def test_limits_of_style_images_that_can_not_be(tmp_path, gan, pixels):
    with pytest.raises(ValueError, match="max_style_pixels.*at least 1"):
        export_saved_model(gan, tmp_path / "a", max_style_pixels=pixels)
    assert os.listdir(tmp_path) == []


class _Failure(Exception):
    pass


def test_a_failed_export_leaves_nothing(tmp_path):
    gan = tiny_gan()
    gan.text_encoder.get_layer("embedding").call = _raise
    with pytest.raises(_Failure):
        export_saved_model(gan, tmp_path / "flowers")
    assert list((tmp_path / "flowers").iterdir()) == []


def _raise(*_, **__):
    raise _Failure


def test_a_version_that_another_export_has_written_meanwhile(tmp_path):
    gan = tiny_gan()
    layer = gan.text_encoder.get_layer("embedding")
    call = layer.call
    other = tmp_path / "flowers" / "1"

    def call_later(*args, **kwargs):
        other.mkdir(exist_ok=True)
        (other / "saved_model.pb").write_text("precious")
        return call(*args, **kwargs)

    layer.call = call_later
    with pytest.raises(OSError):
        export_saved_model(gan, tmp_path / "flowers")
    assert (other / "saved_model.pb").read_text() == "precious"
    # What belongs to a version is there before it is.
    assert sorted(os.listdir(tmp_path / "flowers")) == [
        *["1", "README.md", "batching_parameters.txt", "models.config"]
    ]


def _gan_of_embeddings():
    """A GAN whose export is quick: it has one signature."""
    return keras_t2i.TextToImageGAN(
        tiny_generator(),
        tiny_discriminator(),
        keras_t2i.text.PrecomputedEmbeddings(EMBEDDING_DIM),
    )


def test_exports_at_the_same_time_take_a_number_each(tmp_path):
    folder = tmp_path / "flowers"
    gans = [_gan_of_embeddings() for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        paths = pool.map(lambda gan: export_saved_model(gan, folder), gans)
    assert {path.name for path in paths} == {"1", "2"}


def test_what_a_server_is_configured_by_is_kept(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "flowers")
    for name in ("batching_parameters.txt", "models.config"):
        (folder / name).write_text("tuned")
    (folder / "README.md").write_text("Made by `keras-t2i export` before")
    export_saved_model(_gan_of_embeddings(), folder)
    for name in ("batching_parameters.txt", "models.config"):
        assert (folder / name).read_text() == "tuned"
    assert "before" not in (folder / "README.md").read_text()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "flowers").write_text("mine")
    with pytest.raises(ValueError, match="folder of its own.*is a file"):
        export_saved_model(tiny_gan(), tmp_path / "flowers")
    assert (tmp_path / "flowers").read_text() == "mine"


def test_no_version_is_above_the_largest(tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(ValueError, match="By default it is one more than"):
        export_saved_model(tiny_gan(), tmp_path)


def test_a_readme_of_others_is_kept(tmp_path):
    (tmp_path / "README.md").write_text("My project")
    with pytest.raises(ValueError, match="folder of its own.*of an export"):
        export_saved_model(tiny_gan(), tmp_path)
    assert os.listdir(tmp_path) == ["README.md"]


def test_the_moving_average_is_exported(tmp_path):
    gan = tiny_served_gan()
    kernel = gan.generator.get_layer("convolution_32").kernel
    kernel.assign(kernel + 100.0)
    expected = gan.generate("a rose", seed=3)
    path = export_saved_model(gan, tmp_path / "flowers")
    # The export is a copy: it does not change with the GAN.
    kernel = gan.ema_generator.get_layer("convolution_32").kernel
    kernel.assign(-kernel)
    np.testing.assert_array_equal(_generate(path, "a rose", 3), expected)
    assert not np.array_equal(gan.generate("a rose", seed=3), expected)


def test_outputs_are_float32_in_any_precision(tmp_path):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    gan = tiny_served_gan()
    path = export_saved_model(gan, tmp_path / "flowers")
    np.testing.assert_array_equal(
        _generate(path, "a rose", 3), gan.generate("a rose", seed=3)
    )
    embed = _signatures(path)["embed_text"]
    answer = embed(text=tf.constant(["a rose"]))
    assert answer["embedding"].dtype == tf.float32
    variables = tf.train.list_variables(str(path / "variables" / "variables"))
    dtypes = {
        tf.train.load_variable(str(path / "variables" / "variables"), n).dtype
        for n, _ in variables
        if not n.startswith("_CHECKPOINTABLE")
    }
    assert dtypes == {np.dtype("float32")}


def test_a_style_encoder_that_does_not_fit(tmp_path, gan):
    images = keras.Input((32, 32, 3))
    noise = keras.layers.Dense(9)(keras.layers.Flatten()(images))
    with pytest.raises(
        ValueError, match=r"noise of shape \(None, 8\).*Received: .*\(None, 9\)"
    ):
        export_saved_model(
            gan, tmp_path / "a", style_encoder=keras.Model(images, noise)
        )
    assert os.listdir(tmp_path) == []


def test_the_readme_says_what_is_there(model_folder):
    text = (model_folder / "README.md").read_text("utf-8")
    for signature in _signatures(model_folder / "1"):
        assert f"| `{signature}` |" in text
    assert "`image` uint8 (32, 32, 3)" in text
    assert "http://localhost:8501/v1/models/flowers:predict" in text
    assert "{" + "name" + "}" not in text


@pytest.fixture(scope="module")
def without_texts(tmp_path_factory):
    """A GAN of embeddings made elsewhere, its folder, and one of its rows."""
    gan = _gan_of_embeddings()
    folder = tmp_path_factory.mktemp("of_embeddings") / "flowers"
    export_saved_model(gan, folder)
    row = np.random.default_rng(0).normal(size=(1, EMBEDDING_DIM))
    return gan, folder, row.astype("float32")


def test_a_graph_is_traced_once(without_texts, tmp_path, monkeypatch):
    """The README and the requests of the warm-up need no trace of their own."""
    gan, _, _ = without_texts
    traced = []

    def generate(*rows):
        traced.append(rows)
        return generate_from_embeddings(*rows)

    monkeypatch.setattr(signatures, "generate_from_embeddings", generate)
    export_saved_model(gan, tmp_path / "flowers")
    assert len(traced) == 1


def test_the_readme_of_a_model_without_texts(without_texts, tmp_path):
    """Its requests, as a reader would run them."""
    gan, folder, row = without_texts
    text = (folder / "README.md").read_text("utf-8")
    assert "serving_default" not in text
    assert '"a red flower' not in text
    expected = gan.generate_from_embeddings(row, seed=7)
    np.save(tmp_path / "embedding.npy", row)
    image = tmp_path / "image.png"
    (block,) = [
        part.partition("```")[0]
        for part in text.split("```sh\n")
        if "curl" in part
    ]
    address = "http://localhost:8501/v1/models/flowers"
    with rest_stand_in(folder / "1") as (stand_in, _):
        assert address in block
        subprocess.run(
            ["bash", "-euc", block.replace(address, stand_in)],
            cwd=tmp_path,
            env=with_this_python(),
            check=True,
        )
    np.testing.assert_array_equal(decode([image.read_bytes()]), expected)
    from_python, by_grpc = (
        part.partition("```")[0] for part in text.split("```python\n")[1:]
    )
    image.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with rest_stand_in(folder / "1") as (stand_in, _):
            names = {}
            exec(from_python.replace(address, stand_in), names)
        with grpc_stand_in(folder / "1") as (stand_in, _):
            host = stand_in.removeprefix("grpc://").partition("/")[0]
            exec(by_grpc.replace("localhost:8500", host), {})
    np.testing.assert_array_equal(names["images"], expected)
    np.testing.assert_array_equal(decode([image.read_bytes()]), expected)


def test_a_model_without_texts_has_no_styles(without_texts, tmp_path):
    gan, folder, _ = without_texts
    with pytest.raises(ValueError, match="embeddings that were computed els"):
        export_saved_model(
            gan, tmp_path / "a", style_encoder=tiny_style_encoder()
        )
    assert os.listdir(tmp_path) == []
    client = keras_t2i.export.Client(folder)
    with pytest.raises(ServerError, match="no texts: use `generate --embedd"):
        client.generate("a rose")


def test_the_grpc_request_of_the_readme(
    model_folder, saved_model, gan, tmp_path, monkeypatch
):
    """As a reader would run it who does not have this library."""
    readme = (model_folder / "README.md").read_text("utf-8")
    (block,) = [
        part.partition("```")[0]
        for part in readme.split("```python\n")[1:]
        if part.startswith("import grpc")
    ]
    assert "keras_t2i" not in block
    assert "localhost:8500" in block
    monkeypatch.chdir(tmp_path)
    with grpc_stand_in(saved_model) as (address, _):
        host = address.removeprefix("grpc://").partition("/")[0]
        exec(block.replace("localhost:8500", host), {})
    image = decode([(tmp_path / "image.png").read_bytes()])
    caption = "a red flower with a yellow center"
    np.testing.assert_array_equal(image, gan.generate(caption, seed=7))
