"""`keras_t2i.train`, beside what a user of Keras writes in its place."""

import json
import shutil

import keras
import numpy as np
import pytest

import keras_t2i
from keras_t2i import Recipe
from keras_t2i import StyleRecipe
from keras_t2i import TextRecipe
from keras_t2i import TextToImageGAN
from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.preparation import prepare
from keras_t2i.recipe_batches import sample_texts
from tests.callbacks.event_files import read_events
from tests.cli.run_states import lines_of
from tests.eager import without_graphs
from tests.tiny_models import tiny_joint_embedding

TINY = {"image_size": 32, "width": 4, "batch_size": 8}
# All of `gan_int_cls_plus` but what depends on the length of a training, and
# the pretrained network, which takes the most time.
PLUS = {**TINY, "feature_network": None, "decay_share": None}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty blooms of 32 pixels: 48 train, 6 val, 6 test."""
    folder = tmp_path_factory.mktemp("blooms") / "data"
    prepare(BloomsSource(60), folder, image_size=32)
    return folder


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    tiny_joint_embedding().save(folder / "model.keras")
    return folder


@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("gan_int_cls", TINY),
        # Its texts are standardized in the next test too.
        pytest.param("gan_int_cls_plus", PLUS, marks=pytest.mark.large),
    ],
)
def test_both_ways_train_alike(data, text_run, tmp_path, preset, overrides):
    recipe = Recipe.from_preset(preset).override(**overrides, steps=20)
    trained = keras_t2i.train(
        recipe, data=data, text_encoder=text_run, out=tmp_path / "run"
    )
    assert int(trained.generator_optimizer.iterations) == 20
    (embeddings,) = text_run.glob("embeddings-*")

    # As README does.
    keras.utils.set_random_seed(0)
    encoder = keras.saving.load_model(text_run / "model.keras").text_encoder
    gan = TextToImageGAN.from_preset(preset, text_encoder=encoder, **overrides)
    batches = gan.make_dataset(
        data, split="trainval", text_embeddings=embeddings, start_step=0
    )
    gan.compile()
    # Each epoch as long as a line of metrics.
    history = gan.fit(batches, epochs=2, steps_per_epoch=10, verbose=0).history
    for number, line in enumerate(lines_of(tmp_path / "run")):
        assert set(line) == {*history, "step", "epoch"}
        for name, values in history.items():
            assert line[name] == pytest.approx(values[number], rel=1e-6), name
    for own, other in zip(gan.get_weights(), trained.get_weights()):
        np.testing.assert_allclose(own, other, atol=1e-6)


def test_texts_are_standardized_by_those_of_training(data, text_run, tmp_path):
    keras.utils.set_random_seed(0)
    encoder = keras.saving.load_model(text_run / "model.keras").text_encoder
    embeddings = tmp_path / "embeddings"
    keras_t2i.text.extract_embeddings(encoder, data, embeddings)
    gan = TextToImageGAN.from_preset(
        "gan_int_cls_plus", text_encoder=encoder, **PLUS
    )
    layer = gan.generator.get_layer("text_standardization")
    gan.make_dataset(data)
    assert not np.any(layer.mean)
    gan.make_dataset(data, text_embeddings=embeddings)
    texts = sample_texts(data, "train", embeddings, (1, 4), seed=0)
    assert texts.shape == (3200, 16)
    np.testing.assert_allclose(layer.mean, texts.mean(axis=0), atol=1e-6)
    # One caption of every other image, the mean of up to four of the others.
    examples = PreparedExamples(data, "train")
    read = ExtractedEmbeddings(embeddings, examples).read
    captions = np.concatenate([read(index) for index in range(len(examples))])
    alone, means = texts[::2], texts[1::2]
    assert np.all(np.isclose(alone[:50, None], captions).all(-1).any(-1))
    assert means.std(axis=0).sum() < alone.std(axis=0).sum()
    # Once: a GAN that has them keeps them.
    gan.make_dataset(data, "val", embeddings)
    np.testing.assert_allclose(layer.mean, texts.mean(axis=0), atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_other_images_than_the_data_sets_own(data, text_run, tmp_path):
    recipe = Recipe().override(width=2, batch_size=4, steps=1, image_size=64)
    # What a program has set for its other layers stays.
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    gan = keras_t2i.train(
        recipe, data=data, text_encoder=text_run, out=tmp_path / "run"
    )
    assert gan.image_size == 64
    assert gan.recipe == recipe
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert Recipe.from_dict(config["recipe"]) == recipe


_SMALL = Recipe().override(width=2, batch_size=4, steps=2)


@pytest.fixture(scope="module")
def gan_run(data, text_run, tmp_path_factory):
    """Tests that write to it take a copy."""
    out = tmp_path_factory.mktemp("gan") / "run"
    with without_graphs():
        keras_t2i.train(_SMALL, data=data, text_encoder=text_run, out=out)
    return out


@pytest.mark.usefixtures("eagerly")
def test_resume(data, text_run, gan_run, tmp_path):
    recipe = _SMALL
    out = shutil.copytree(gan_run, tmp_path / "run")
    with pytest.raises(ValueError, match="`out` must.*`resume=True`"):
        keras_t2i.train(recipe, data=data, text_encoder=text_run, out=out)
    with pytest.raises(ValueError, match="`beta_1` 0.9, started with 0.5"):
        keras_t2i.train(recipe.override(beta_1=0.9), out=out, resume=True)
    gan = keras_t2i.train(recipe.override(steps=3), out=out, resume=True)
    assert int(gan.generator_optimizer.iterations) == 3
    assert Recipe.from_run(out).steps == 3
    # The folder is a preset too, and what trains it on may differ.
    gan = TextToImageGAN.from_preset(out)
    assert gan.recipe.batch_size == 4
    assert gan.generate(["a rose"]).shape == (1, 32, 32, 3)


@pytest.mark.usefixtures("eagerly")
def test_an_error_that_a_session_keeps_does_not_keep_the_folder(
    data, text_run, gan_run, tmp_path
):
    out = shutil.copytree(gan_run, tmp_path / "run")
    (tmp_path / "other").mkdir()
    kept = []
    for wrong in (tmp_path / "gone", tmp_path / "other"):
        with pytest.raises(ValueError, match=str(wrong)) as error:
            keras_t2i.train(_SMALL, data=wrong, out=out, resume=True)
        # As `sys.last_value` of a session does.
        kept.append(error)
    gan = keras_t2i.train(_SMALL.override(steps=3), out=out, resume=True)
    assert int(gan.generator_optimizer.iterations) == 3


@pytest.mark.usefixtures("eagerly")
def test_text_and_style_encoders(data, gan_run, tmp_path):
    recipe = TextRecipe().override(
        convolution_filters=(8, 8, 8),
        embedding_dim=16,
        batch_size=4,
        split="train",
        steps=1,
    )
    text = keras_t2i.train(recipe, data=data, out=tmp_path / "text")
    assert text.text_encoder.embedding_dim == 16
    assert TextRecipe.from_run(tmp_path / "text") == recipe
    recipe = StyleRecipe(width=2, batch_size=4, color_jitter=0.1)
    inversion = keras_t2i.train(
        recipe.override(steps=1),
        data=data,
        model=gan_run,
        out=tmp_path / "style",
    )
    assert inversion.style_encoder.width == 2
    assert inversion.color_jitter == 0.1
    assert (tmp_path / "style" / "r_squared.json").is_file()


def test_an_input_is_a_path(data, tmp_path):
    encoder = keras.Sequential()
    with pytest.raises(
        ValueError,
        match=r"`text_encoder` must be a path.*Received: <Sequential.*Save it",
    ):
        keras_t2i.train(
            keras_t2i.Recipe.from_preset("gan_cls"),
            data=data,
            text_encoder=encoder,
            out=tmp_path / "run",
        )
    assert not list(tmp_path.iterdir())


def test_what_is_of_another_training(data, text_run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="`TextRecipe` is trained with `data`"):
        keras_t2i.train(TextRecipe(), data=data, text_encoder="t", out=out)
    with pytest.raises(ValueError, match="with `data`, `model`. Rec.*`text_en"):
        keras_t2i.train(StyleRecipe(), text_encoder=text_run, out=out)
    with pytest.raises(ValueError, match="`recipe` must be a .*'gan_int_cls'"):
        keras_t2i.train("gan_int_cls", data=data, out=out)
    with pytest.raises(ValueError, match="train needs `data`"):
        keras_t2i.train(Recipe(), text_encoder=text_run, out=out)
    with pytest.raises(ValueError, match="'kernel_distance', .*Rec.*'beauty'"):
        keras_t2i.train(
            Recipe().override(keep_best="beauty"),
            data=data,
            text_encoder=text_run,
            out=out,
        )
    assert not out.exists()


def test_tensorboard_has_the_lines_and_the_grids(data, text_run, tmp_path):
    run = tmp_path / "run"
    recipe = Recipe.from_preset("gan").override(
        **TINY, steps=12, tensorboard=True
    )
    given = {"data": data, "text_encoder": text_run, "out": run}
    keras_t2i.train(recipe, **given)
    longer = recipe.override(steps=20)
    keras_t2i.train(longer, out=run, resume=True)
    events = read_events(run / "tensorboard")
    assert [step for step, _ in events["samples"]] == [12, 20]
    for step, value in events["samples"]:
        file = run / "samples" / f"step-{step:08d}.png"
        assert value.image.encoded_image_string == file.read_bytes()
    (until_10, until_20) = lines_of(run)
    for name in set(until_10) - {"step", "epoch"}:
        values = [value.simple_value for _, value in events[name]]
        assert [step for step, _ in events[name]] == [10, 12, 20]
        assert [values[0], values[2]] == pytest.approx(
            [until_10[name], until_20[name]]
        )
    assert Recipe.from_run(run).tensorboard
    # A run of before there was such a field.
    config = json.loads((run / "config.json").read_text())
    del config["recipe"]["tensorboard"]
    (run / "config.json").write_text(json.dumps(config))
    assert Recipe.from_run(run) == longer.override(tensorboard=False)
