import dataclasses
import json

import numpy as np
import pytest

from keras_t2i import Recipe
from keras_t2i import StyleRecipe
from keras_t2i import TextRecipe
from keras_t2i import TextToImageGAN
from tests.tiny_models import tiny_gan


def _write(folder, config):
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe.from_preset("gan_int_cls_plus").override(minutes=2.5),
        Recipe().override(
            feature_network="efficientnet_lite0",
            discriminator=None,
            matching_accuracy_threshold=0.8,
        ),
        TextRecipe.from_preset("char_cnn_rnn_birds").override(steps=3),
        StyleRecipe(color_jitter=0.1),
    ],
)
def test_json_and_back(recipe, tmp_path):
    path = tmp_path / "recipe.json"
    recipe.to_json(path)
    read = type(recipe).from_json(path)
    assert read == recipe
    assert read.to_dict() == recipe.to_dict()
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.json"]
    _write(tmp_path, {"command": recipe.COMMAND, "recipe": recipe.to_dict()})
    assert type(recipe).from_run(tmp_path) == recipe


def test_values_are_plain_ones():
    recipe = Recipe(
        batch_size=np.int64(8),
        image_noise=0,
        captions_per_image=[1, np.int32(4)],
    )
    assert recipe.captions_per_image == (1, 4)
    assert type(recipe.batch_size) is int
    assert type(recipe.image_noise) is float
    assert recipe.to_dict()["captions_per_image"] == [1, 4]


def test_it_is_frozen_and_compared_by_its_fields():
    recipe = Recipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.batch_size = 3
    changed = recipe.override(batch_size=3)
    assert recipe.batch_size == 32 and changed.batch_size == 3
    assert changed != recipe
    assert changed.override(batch_size=32) == recipe
    assert hash(recipe) == hash(Recipe())


def test_a_duration_takes_the_place_of_the_other():
    recipe = Recipe()
    assert (recipe.epochs, recipe.steps, recipe.minutes) == (200, None, None)
    recipe = recipe.override(minutes=3)
    assert (recipe.epochs, recipe.steps, recipe.minutes) == (None, None, 3.0)
    assert recipe.override(steps=7).minutes is None
    assert recipe.override(minutes=None, epochs=2).epochs == 2


def test_width_keeps_the_ratio():
    recipe = Recipe.from_preset("reed2016").override(width=4)
    assert (recipe.generator_width, recipe.discriminator_width) == (8, 4)
    # After the other fields.
    recipe = Recipe().override(width=4, generator_width=16)
    assert (recipe.generator_width, recipe.discriminator_width) == (1, 4)
    recipe = Recipe.from_preset("gan_int_cls_plus").override(discriminator=None)
    with pytest.raises(ValueError, match="`width` is.*Set `generator_width`"):
        recipe.override(width=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a whole.*1. Received: 0"),
        ({"batch_size": True}, "Received: True"),
        ({"batch_size": 2.5}, "Received: 2.5"),
        ({"batch_size": None}, "Received: None"),
        ({"seed": 2**32}, r"from 0 to 2\*\*32 - 1. Received: 4294967296"),
        ({"seed": -1}, "`seed` must be a whole number from 0"),
        ({"width": "four"}, "`width` must .*Received: 'four'"),
        ({"image_size": 48}, "one of None, 32, 64, 128, 256. Received: 48"),
        ({"fusion_size": 3}, "`fusion_size` must be one of 2, 4. Rec"),
        ({"generator": "Painter"}, "'ModulatedGenerator'. Received: 'Pai"),
        ({"discriminator": None}, "`discriminator` must not be None without"),
        ({"matching_aware": 1}, "`matching_aware` must be True or False"),
        ({"image_noise": -1.0}, "at least 0. Received: -1.0"),
        ({"image_noise": float("nan")}, "Received: nan"),
        ({"cutout": 1.5}, r"`cutout` must be a number in \[0, 1\]. Rec"),
        ({"decay_share": 0.0}, r"`decay_share` .* in \(0, 1\), .*ed: 0.0"),
        ({"decay_share": 1.0}, r"`decay_share` .* in \(0, 1\), .*ed: 1.0"),
        ({"beta_1": 1.0}, r"`beta_1` must be a number in \[0, 1\)"),
        ({"captions_per_image": []}, r"of such numbers. Received: \[\]"),
        ({"captions_per_image": [1, 0]}, r"Received: \[1, 0\]"),
        ({"keep_best": 3}, "`keep_best` must be one of None, 'kernel_dist"),
        ({"steps": 3, "minutes": 2}, "Received: steps and minutes"),
        ({"epochs": None}, "must be given. Received: none of them"),
        ({"preset": "gan"}, "cannot be overridden. Received: 'gan'. Start"),
        ({"colour": 1}, "must be one of epochs, .*preset, .*Received: colour"),
        (
            {"matching_aware": False, "matching_start_step": 3},
            "for `matching_aware=True`",
        ),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        Recipe().override(**changes)
    assert "\n" not in str(error.value)


def test_a_duration_replaces_the_default_one():
    assert Recipe.from_dict({"steps": 100}).epochs is None
    assert StyleRecipe.from_dict({"epochs": 3}).minutes is None
    with pytest.raises(ValueError, match=r"epochs and steps. `Recipe\(\).over"):
        Recipe(steps=100)


def test_errors_of_text_recipes():
    for changes, message in (
        ({"convolution_filters": (1, 2)}, r"three whole.*Received: \(1, 2\)"),
        ({"loss": "hinge"}, "'softmax', 'structured'. Received: 'hinge'"),
        ({"decay_per_epoch": 0.9, "decay_share": 0.5}, "0.9 and 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            TextRecipe().override(**changes)


@pytest.mark.parametrize("content", ["", "[]", "3", '{"batch'])
def test_a_file_with_something_else(content, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="recipe.json must be a JSON object"):
        Recipe.from_json(path)
    path.write_text('{"batchsize": 3}')
    with pytest.raises(ValueError, match="Received: batchsize"):
        Recipe.from_json(path)


# === Runs of before there were recipes ===


def test_a_run_of_before(tmp_path):
    options = {
        "data": "data",
        "text_encoder": "text",
        "preset": "gan_int_cls_plus",
        "width": 8,
        "batch_size": 4,
        "epochs": None,
        "steps": 40,
        "minutes": None,
        "end_to_end": False,
        "strategy": "none",
        "precision": "mixed_bfloat16",
        "keep_best": "recall",
        "seed": 3,
    }
    _write(tmp_path, {"command": "train", "options": options, "versions": {}})
    recipe = Recipe.from_preset("gan_int_cls_plus").override(
        width=8,
        batch_size=4,
        steps=40,
        precision="mixed_bfloat16",
        keep_best="recall",
        seed=3,
    )
    assert Recipe.from_run(tmp_path) == recipe
    # And of before there was a measure.
    del options["keep_best"]
    options["width"] = None
    _write(tmp_path, {"command": "train", "options": options})
    read = Recipe.from_run(tmp_path)
    assert read.keep_best is None
    assert read.discriminator_width == 32


def test_other_runs_of_before(tmp_path):
    options = {
        "data": "data",
        "preset": "char_cnn_rnn_features",
        "batch_size": 64,
        "image_encoder": "efficientnet_lite0",
        "image_weights": None,
        "freeze_images": False,
        "epochs": 7,
        "steps": None,
        "minutes": None,
        "seed": 0,
    }
    _write(tmp_path, {"command": "train-text", "options": options})
    recipe = TextRecipe.from_preset("char_cnn_rnn_features")
    assert TextRecipe.from_run(tmp_path) == recipe.override(
        image_encoder="efficientnet_lite0", epochs=7, similarity="dot"
    )
    options = {"model": "m", "data": "d", "epochs": None, "steps": None}
    config = {"command": "train-style", "options": {**options, "minutes": 2}}
    _write(tmp_path, config)
    assert StyleRecipe.from_run(tmp_path) == StyleRecipe(minutes=2)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"command": "train"}',
        '{"command": "train", "options": {"width": 4}}',
        '{"command": "train", "recipe": {"batchsize": 4}}',
        '{"command": "train", "recipe": 3}',
    ],
)
def test_a_damaged_run(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="config.json must be the JSON that"):
        Recipe.from_run(tmp_path)


def test_no_such_run(tmp_path):
    with pytest.raises(ValueError, match="which holds no run"):
        Recipe.from_run(tmp_path)
    _write(tmp_path, {"command": "train", "recipe": Recipe().to_dict()})
    with pytest.raises(ValueError, match="a run of `train-text`.*`train`"):
        TextRecipe.from_run(tmp_path)


def test_the_learning_rate_falls_in_one_way():
    recipe = Recipe.from_preset("reed2016")
    with pytest.raises(ValueError, match="One of `epochs_per_halving` and `d"):
        recipe.override(decay_share=0.25)
    recipe = recipe.override(decay_share=0.25, epochs_per_halving=None)
    assert recipe.decay_share == 0.25


def test_a_gan_of_earlier_code_whose_rate_falls_in_two_ways(tmp_path):
    gan = tiny_gan(recipe=Recipe.from_preset("gan_int_cls"))
    config = gan.get_config()
    config["recipe"] |= {"decay_share": 0.25, "epochs_per_halving": 100}
    recipe = TextToImageGAN.from_config(config).recipe
    assert (recipe.decay_share, recipe.epochs_per_halving) == (0.25, None)
