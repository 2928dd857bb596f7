import pytest

from keras_t2i.presets import preset
from keras_t2i.presets import presets

GAN_PRESETS = ["gan", "gan_cls", "gan_int", "gan_int_cls"]


@pytest.mark.parametrize("kind", ["gan", "text_encoder"])
def test_all_presets_have_the_same_parts(kind):
    for name, values in presets(kind).items():
        assert set(values) == {"description", "model", "training"}, name
        assert values["description"].endswith(".")
        training = values["training"]
        assert training["batch_size"] >= 2
        assert training["epochs"] >= 1
        networks = ("generator_", "discriminator_") if kind == "gan" else ("",)
        for network in networks:
            assert 0 < training[f"{network}learning_rate"] < 1


def test_the_four_variants_differ_in_two_switches_alone():
    models = {name: dict(preset("gan", name)["model"]) for name in GAN_PRESETS}
    switches = {name: model.pop("gan") for name, model in models.items()}
    assert all(model == models["gan"] for model in models.values())
    for name, values in switches.items():
        assert values == {
            "matching_aware": "cls" in name,
            "interpolate": "int" in name,
            "mode_seeking_weight": 2.0,
            "image_noise": 0.5,
            "image_noise_half_life": 6000,
        }
    training = [preset("gan", name)["training"] for name in GAN_PRESETS]
    assert all(values == training[0] for values in training)


def test_the_variants_are_those_of_the_note():
    model = preset("gan", "gan")["model"]
    assert model["image_size"] == 64
    assert model["generator"] == {"width": 64, "residual_blocks": False}
    assert model["discriminator"] == {
        "width": 64,
        "fusion_size": 2,
        "as_released": False,
    }


def test_reed2016_has_the_released_layers():
    model = preset("gan", "reed2016")["model"]
    assert model["generator"] == {"width": 128, "residual_blocks": True}
    assert model["discriminator"] == {
        "width": 64,
        "fusion_size": 4,
        "as_released": True,
    }
    assert model["gan"] == {
        "matching_aware": True,
        "interpolate": True,
        "scores_jointly": False,
    }


def test_the_full_text_encoder_is_the_published_one():
    assert preset("text_encoder", "char_cnn_rnn")["model"] == {
        "convolution_filters": [384, 512, 512],
        "third_pool": True,
        "recurrence": "relu",
        "embedding_dim": 1024,
    }


PUBLISHED = {
    "char_cnn_rnn_cvpr": ([384, 512, 256], True, "relu"),
    "char_cnn_rnn_birds": ([384, 512, 512], False, "gated"),
    "char_cnn_rnn_flowers": ([384, 512, 512], True, "relu"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_text_encoders(name):
    values = preset("text_encoder", name)
    filters, third_pool, recurrence = PUBLISHED[name]
    assert values["model"] == {
        "convolution_filters": filters,
        "third_pool": third_pool,
        "recurrence": recurrence,
        "embedding_dim": 1024,
    }
    assert values["training"] == {
        "batch_size": 40,
        "images_per_class": 1,
        "epochs": 200,
        "steps_per_epoch": "classes",
        "optimizer": "rmsprop",
        "learning_rate": 7e-4,
        "decay_per_epoch": 0.98,
        "decay_share": None,
        "ema_momentum": None,
        "loss": {"structured": {"margin": 1.0}},
        "similarity": "dot",
        "class_head_weight": 0.0,
        "uniform_initialization": 0.08,
        "vocabulary_size": None,
    }


def test_the_features_preset_differs_in_decay_and_averages_alone():
    features = preset("text_encoder", "char_cnn_rnn_features")
    other = preset("text_encoder", "char_cnn_rnn_small_softmax")
    assert features["model"] == other["model"]
    differs = {
        name: value
        for name, value in features["training"].items()
        if value != other["training"][name]
    }
    assert differs == {"decay_share": 0.75, "ema_momentum": 0.995}


def test_one_kind_of_decay_at_a_time():
    for name, values in presets("text_encoder").items():
        training = values["training"]
        kinds = training["decay_per_epoch"], training["decay_share"]
        assert None in kinds, name


def test_text_encoders_of_reduced_size_have_one_size():
    models = {
        name: dict(preset("text_encoder", name)["model"])
        for name in presets("text_encoder")
        if "small" in name
    }
    assert len(models) == 3
    assert models["word_cnn_rnn_small"].pop("vocabulary") == []
    for model in models.values():
        assert model == models["char_cnn_rnn_small"]


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="char_cnn_rnn, .*word_cnn.*_small. Received: 'lstm'"
    ):
        preset("text_encoder", "lstm")
