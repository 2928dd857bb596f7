import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

import keras_t2i
from keras_t2i import Recipe
from keras_t2i import StyleRecipe
from keras_t2i import TextRecipe
from keras_t2i import TextToImageGAN
from keras_t2i.recipes.base_recipe import presets
from tests.tiny_models import VARIANTS
from tests.tiny_models import tiny_text_encoder

# What the networks and the GAN of each preset were, and how they were trained,
# when presets were nested.
_EARLIER = json.loads(
    (pathlib.Path(__file__).parent / "earlier_presets.json").read_text()
)
LAYERS = ("convolution_filters", "third_pool", "recurrence", "embedding_dim")


def test_the_defaults_are_presets():
    assert Recipe() == Recipe.from_preset("gan_int_cls")
    assert TextRecipe() == TextRecipe.from_preset("char_cnn_rnn_small_softmax")


def test_presets_are_found_in_a_zip_file(tmp_path):
    package = pathlib.Path(keras_t2i.__file__).parent
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        for pattern in ("*.py", "*.json"):
            for path in package.rglob(pattern):
                archive.write(path, path.relative_to(package.parent))
    code = "import keras_t2i; print(keras_t2i.Recipe.from_preset('gan'))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "library.zip")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == f"{Recipe.from_preset('gan')}\n"


@pytest.mark.parametrize("recipe_class", [Recipe, TextRecipe])
def test_all_presets_are_recipes(recipe_class):
    kind = recipe_class.PRESETS
    for name, values in presets(kind).items():
        assert values["description"].endswith(".")
        recipe = recipe_class.from_preset(name)
        assert recipe.preset == name
        assert recipe.batch_size >= 2
        assert recipe.epochs >= 1
        for field, value in values.items():
            if field != "description":
                assert recipe.to_dict()[field] == value


def test_the_four_variants_differ_in_two_switches_alone():
    for name, switches in VARIANTS.items():
        assert Recipe.from_preset(name).to_dict() == {
            **Recipe().to_dict(),
            "preset": name,
            **switches,
        }


@pytest.mark.parametrize("name", _EARLIER)
def test_presets_are_what_they_were(name):
    earlier = _EARLIER[name]
    gan = TextToImageGAN.from_preset(name, text_encoder=tiny_text_encoder())
    discriminators = getattr(gan.discriminator, "members", gan.discriminator)
    if isinstance(earlier["discriminator"], dict):
        networks = [(gan.discriminator, earlier["discriminator"])]
    else:
        networks = list(zip(discriminators, earlier["discriminator"]))
    for network, values in [(gan.generator, earlier["generator"]), *networks]:
        assert network.image_size == 64
        values = dict(values)
        assert type(network).__name__ == values.pop("class_name")
        for field, value in values.items():
            assert getattr(network, field) == value
    config = gan.get_config()
    for field, value in earlier["gan"].items():
        assert config[field] == value
    recipe = Recipe.from_preset(name).to_dict()
    for field, value in earlier["training"].items():
        assert recipe[field] == value
    assert set(_EARLIER) == set(presets("gan"))


def test_reed2016_has_the_released_layers():
    recipe = Recipe.from_preset("reed2016")
    assert (recipe.generator_width, recipe.residual_blocks) == (128, True)
    assert recipe.discriminator_width == 64
    assert (recipe.fusion_size, recipe.as_released) == (4, True)
    assert recipe.matching_aware and recipe.interpolate
    assert not recipe.scores_jointly
    assert recipe.mode_seeking_weight == recipe.image_noise == 0.0


def _layers(name):
    recipe = TextRecipe.from_preset(name).to_dict()
    return {field: recipe[field] for field in LAYERS}


def test_the_full_text_encoder_is_the_published_one():
    assert _layers("char_cnn_rnn") == {
        "convolution_filters": [384, 512, 512],
        "third_pool": True,
        "recurrence": "relu",
        "embedding_dim": 1024,
    }
    recipe = TextRecipe.from_preset("char_cnn_rnn")
    assert (recipe.optimizer, recipe.loss) == ("adam", "structured")
    assert (recipe.batch_size, recipe.learning_rate) == (40, 7e-4)
    assert recipe.uniform_initialization is None


PUBLISHED = {
    "char_cnn_rnn_cvpr": ([384, 512, 256], True, "relu"),
    "char_cnn_rnn_birds": ([384, 512, 512], False, "gated"),
    "char_cnn_rnn_flowers": ([384, 512, 512], True, "relu"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_text_encoders(name):
    filters, third_pool, recurrence = PUBLISHED[name]
    assert TextRecipe.from_preset(name).to_dict() == {
        "preset": name,
        "convolution_filters": filters,
        "third_pool": third_pool,
        "recurrence": recurrence,
        "embedding_dim": 1024,
        "vocabulary_size": None,
        "uniform_initialization": 0.08,
        "image_encoder": "small",
        "image_weights": None,
        "freeze_images": False,
        "similarity": "dot",
        "loss": "structured",
        "margin": 1.0,
        "temperature": 1.0,
        "class_head_weight": 0.0,
        "split": "trainval",
        "batch_size": 40,
        "images_per_class": 1,
        "epochs": 200,
        "steps": None,
        "minutes": None,
        "steps_per_epoch": "classes",
        "optimizer": "rmsprop",
        "learning_rate": 7e-4,
        "decay_per_epoch": 0.98,
        "decay_share": None,
        "ema_momentum": None,
        "tensorboard": False,
        "seed": 0,
    }


def _differences(name, other):
    recipe, other = (
        TextRecipe.from_preset(one).to_dict() for one in (name, other)
    )
    return {
        field: value
        for field, value in recipe.items()
        if value != other[field] and field != "preset"
    }


def test_text_encoders_of_reduced_size():
    other = "char_cnn_rnn_small_softmax"
    # All of them have its layers.
    assert _differences("char_cnn_rnn_features", other) == {
        "similarity": "cosine",
        "decay_share": 0.75,
        "ema_momentum": 0.995,
    }
    assert _differences("char_cnn_rnn_small", other) == {
        "loss": "structured",
        "batch_size": 40,
    }
    assert _differences("word_cnn_rnn_small", other) == {
        "vocabulary_size": 5000
    }
    recipe = TextRecipe.from_preset(other)
    assert recipe.convolution_filters == (96, 128, 128)
    assert (recipe.recurrence, recipe.embedding_dim) == ("gated", 256)
    assert (recipe.loss, recipe.temperature) == ("softmax", 1.0)
    assert (recipe.batch_size, recipe.learning_rate) == (64, 1e-3)
    assert (recipe.optimizer, recipe.steps_per_epoch) == ("adam", "batches")


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="char_cnn_rnn, .*word_cnn.*_small. Received: 'lstm'"
    ):
        TextRecipe.from_preset("lstm")
    with pytest.raises(ValueError, match="`StyleRecipe` has no presets"):
        StyleRecipe.from_preset("plain")
