import json
import os

import keras
import numpy as np
import pytest

from keras_t2i import Recipe
from keras_t2i import TextToImageGAN
from keras_t2i.training.model_files import fine_tuning_recipe
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder


@pytest.fixture
def gan():
    gan = TextToImageGAN.from_preset(
        "gan_int_cls",
        text_encoder=tiny_text_encoder(),
        image_size=32,
        width=2,
        generator_learning_rate=1e-3,
    )
    gan.compile()
    gan.ema_generator.set_weights(
        [weight + 0.5 for weight in gan.generator.get_weights()]
    )
    return gan


def test_a_saved_preset(gan, tmp_path):
    folder = tmp_path / "deep" / "preset"
    gan.save_to_preset(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("SHA256SUMS", "config.json", "model.weights.h5")
    ]
    config = json.loads((folder / "config.json").read_text())
    assert config["class_name"] == "TextToImageGAN"
    assert "compile_config" not in config
    loaded = TextToImageGAN.from_preset(folder)
    for weight, expected in zip(
        loaded.get_weights(), gan.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
    assert loaded.recipe == gan.recipe
    assert not loaded.compiled
    loaded.compile()
    rate = loaded.generator_optimizer.learning_rate
    assert float(rate) == pytest.approx(1e-3)
    np.testing.assert_array_equal(
        loaded.generate(["a rose"], seed=3), gan.generate(["a rose"], seed=3)
    )


def test_a_flipped_bit_is_found(gan, tmp_path):
    gan.save_to_preset(tmp_path)
    for name in ("config.json", "model.weights.h5", "SHA256SUMS"):
        content = (tmp_path / name).read_bytes()
        # The weights have no checksum in themselves.
        for place in np.linspace(0, len(content) - 1, 20, dtype=int):
            changed = bytearray(content)
            changed[place] ^= 1
            (tmp_path / name).write_bytes(changed)
            with pytest.raises(ValueError, match=f"{tmp_path}.*SHA256SUMS"):
                TextToImageGAN.from_preset(tmp_path)
        (tmp_path / name).write_bytes(content)


def test_a_folder_of_an_earlier_version(gan, tmp_path):
    gan.save_to_preset(tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    loaded = TextToImageGAN.from_preset(tmp_path)
    assert loaded.recipe == gan.recipe


def test_a_run_folder(gan, tmp_path):
    gan.save(tmp_path / "model.keras")
    loaded = TextToImageGAN.from_preset(str(tmp_path))
    assert loaded.recipe == gan.recipe
    assert not loaded.compiled


def test_a_run_is_not_overwritten(gan, tmp_path):
    (tmp_path / "run").mkdir()
    gan.save(tmp_path / "run" / "model.keras")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text("{}")
    for name, file in (("run", "model.keras"), ("begun", "config.json")):
        before = sorted(os.listdir(tmp_path / name))
        with pytest.raises(
            ValueError, match=f"new, or one.*{name}', which holds {file}"
        ):
            gan.save_to_preset(tmp_path / name)
        assert sorted(os.listdir(tmp_path / name)) == before


def test_overrides_of_a_folder(gan, tmp_path):
    gan.save_to_preset(tmp_path)
    encoder = tiny_text_encoder()
    loaded = TextToImageGAN.from_preset(
        tmp_path, text_encoder=encoder, mismatch_weight=0.25, beta_1=0.25
    )
    assert loaded.mismatch_weight == 0.25
    assert loaded.text_encoder is encoder
    loaded.compile()
    assert loaded.generator_optimizer.beta_1 == 0.25
    for own, other in (
        (loaded.generator, gan.generator),
        (loaded.ema_generator, gan.ema_generator),
        (loaded.discriminator, gan.discriminator),
    ):
        for weight, expected in zip(own.get_weights(), other.get_weights()):
            np.testing.assert_array_equal(weight, expected)
    with pytest.raises(ValueError, match="stay as they are. Received: width"):
        TextToImageGAN.from_preset(tmp_path, width=4)
    plain = tiny_gan(truncation=0.5)
    plain.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="Received: one without, and beta_1"):
        TextToImageGAN.from_preset(tmp_path, beta_1=0.1)
    loaded = TextToImageGAN.from_preset(tmp_path, text_encoder=encoder)
    assert loaded.text_encoder is encoder
    assert loaded.truncation == 0.5
    np.testing.assert_array_equal(
        loaded.generate_from_embeddings(np.ones((1, EMBEDDING_DIM)), seed=3),
        plain.generate_from_embeddings(np.ones((1, EMBEDDING_DIM)), seed=3),
    )


def test_options_that_were_set_later_are_kept(gan, tmp_path):
    gan.truncation = 0.25
    gan.save_to_preset(tmp_path)
    assert TextToImageGAN.from_preset(tmp_path, seed=3).truncation == 0.25
    # The last one is that of the recipe.
    for factor in (0.75, gan.recipe.truncation):
        loaded = TextToImageGAN.from_preset(tmp_path, truncation=factor)
        assert loaded.truncation == factor


def test_a_name_that_is_neither_preset_nor_folder(tmp_path):
    with pytest.raises(ValueError, match="gan_int_cls_plus_flowers, .*neither"):
        TextToImageGAN.from_preset(str(tmp_path / "nowhere"))


def test_folders_that_hold_something_else(gan, tmp_path):
    with pytest.raises(ValueError, match="a run folder with a model.keras"):
        TextToImageGAN.from_preset(tmp_path)
    tiny_style_encoder().save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="with a StyleEncoder"):
        TextToImageGAN.from_preset(tmp_path)
    (tmp_path / "model.keras").write_text("no model")
    with pytest.raises(ValueError, match="cannot be loaded: "):
        TextToImageGAN.from_preset(tmp_path)
    with pytest.raises(ValueError, match="one of gan, .*Received: 'nowhere'"):
        TextToImageGAN.from_preset("nowhere")


def test_what_is_of_a_training_in_a_run_folder(gan):
    for option in ({"precision": "mixed_bfloat16"}, {"strategy": "mirrored"}):
        with pytest.raises(ValueError, match="of `keras_t2i.train`. Received"):
            TextToImageGAN.from_preset("gan", **option)


def test_the_recipe_is_saved(gan, tmp_path):
    path = tmp_path / "gan.keras"
    gan.save(path)
    assert keras.saving.load_model(path).recipe == gan.recipe
    assert gan.recipe == Recipe().override(
        image_size=32, width=2, generator_learning_rate=1e-3
    )


def test_configs_of_before_there_were_recipes(gan):
    config = gan.get_config()
    del config["recipe"]
    loaded = TextToImageGAN.from_config({**config, "preset": "reed2016"})
    assert loaded.recipe == Recipe.from_preset("reed2016")
    assert TextToImageGAN.from_config({**config, "preset": None}).recipe is None


def _staged(**schedule):
    """A GAN whose mismatching pairs count since step 500."""
    gan = TextToImageGAN.from_preset(
        "gan_int_cls",
        text_encoder=tiny_text_encoder(),
        image_size=32,
        width=2,
        **{"matching_accuracy_threshold": 0.5, **schedule},
    )
    gan.matching_schedule.started_at.assign(500.0)
    gan.set_steps_trained(1500)
    return gan


def test_overrides_keep_the_stage_of_matching(tmp_path):
    gan = _staged()
    gan.save_to_preset(tmp_path)
    for changes in (
        {},
        {"batch_size": 8},
        {"matching_aware": True},
        {"text_encoder": tiny_text_encoder()},
    ):
        loaded = TextToImageGAN.from_preset(tmp_path, **changes)
        assert float(loaded.matching_schedule.factor(1500)) == 1.0
    # Another schedule begins.
    loaded = TextToImageGAN.from_preset(
        tmp_path, matching_accuracy_threshold=0.4
    )
    assert float(loaded.matching_schedule.factor(1500)) == 0.0


def test_the_stages_of_matching_can_be_left_out(tmp_path):
    gan = _staged(matching_accuracy_threshold=None, matching_start_step=4000)
    gan.save_to_preset(tmp_path)
    loaded = TextToImageGAN.from_preset(
        tmp_path, matching_start_step=None, matching_aware=False
    )
    assert loaded.recipe.matching_start_step is None
    assert loaded.matching_schedule is None


def test_fine_tuning_goes_on_with_the_stage_of_matching(tmp_path):
    _staged().save_to_preset(tmp_path / "begun")
    recipe = fine_tuning_recipe(str(tmp_path / "begun"))
    assert recipe.matching_accuracy_threshold is None
    assert (
        TextToImageGAN.from_recipe(
            recipe, text_encoder=tiny_text_encoder()
        ).matching_schedule
        is None
    )
    gan = _staged(matching_accuracy_threshold=None, matching_start_step=4000)
    gan.save_to_preset(tmp_path / "before")
    recipe = fine_tuning_recipe(str(tmp_path / "before"))
    assert recipe.matching_start_step == 2500
    gan = _staged()
    gan.matching_schedule.started_at.assign(-1.0)
    gan.save_to_preset(tmp_path / "waiting")
    recipe = fine_tuning_recipe(str(tmp_path / "waiting"))
    assert recipe.matching_accuracy_threshold == 0.5


def test_fine_tuning_keeps_the_size(tmp_path):
    gan = _staged()
    gan.recipe = gan.recipe.override(image_size=None)
    gan.save_to_preset(tmp_path)
    assert fine_tuning_recipe(str(tmp_path)).image_size == 32
