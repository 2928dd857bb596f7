import keras
import pytest

from keras_t2i import CharCNNRNN
from keras_t2i import Recipe
from keras_t2i import TextToImageGAN
from keras_t2i.models.from_recipe import gan_optimizer
from tests.models.layer_tables import discriminator_parameters
from tests.models.layer_tables import generator_parameters
from tests.tiny_models import VARIANTS
from tests.tiny_models import tiny_text_encoder


def test_presets_of_the_four_variants():
    assert set(VARIANTS) <= set(TextToImageGAN.presets)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_variants_at_their_own_size(name):
    gan = TextToImageGAN.from_preset(name, text_encoder=tiny_text_encoder())
    generator, discriminator = gan.generator, gan.discriminator
    assert generator.output_shape == (None, 64, 64, 3)
    assert generator.count_params() == generator_parameters(
        64, width=64, residual_blocks=False, text_dim=16
    )
    assert discriminator.count_params() == discriminator_parameters(
        64, width=64, fusion_size=2, as_released=False, text_dim=16
    )
    assert discriminator.trunk.output_shape == (None, 2, 2, 512)
    assert {
        "matching_aware": gan.matching_aware,
        "interpolate": gan.interpolate_texts,
    } == VARIANTS[name]


def test_without_a_text_encoder_a_new_one_of_full_size_is_made():
    gan = TextToImageGAN.from_preset("gan_int_cls")
    assert isinstance(gan.text_encoder, CharCNNRNN)
    assert gan.text_encoder.count_params() == CharCNNRNN().count_params()
    # By hand: 1024 * 128 + 128 + 16 * (228 * 512 + 512 * 256 + 256 * 128
    # + 128 * 64 + 64 * 3) + 4 * (512 + 256 + 128 + 64)
    assert gan.generator.count_params() == 4758400
    # 1024 * 128 + 128 + 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512
    # + 512 * 512) + 640 * 512 + 2 * 2 * 512
    # + 4 * (64 + 128 + 256 + 512 + 512 + 512)
    assert gan.discriminator.count_params() == 7418752


@pytest.mark.parametrize("name", [*VARIANTS, "reed2016"])
@pytest.mark.parametrize("image_size", [32, 128, 256])
def test_other_image_sizes_and_widths(name, image_size):
    gan = TextToImageGAN.from_preset(
        name,
        image_size=image_size,
        width=2,
        text_encoder=tiny_text_encoder(),
    )
    assert gan.image_size == image_size
    assert gan.generator.output_shape == (None, image_size, image_size, 3)
    assert gan.discriminator.width == 2
    recipe = Recipe.from_preset(name)
    ratio = recipe.generator_width // recipe.discriminator_width
    assert gan.generator.width == 2 * ratio
    assert gan.generator.count_params() == generator_parameters(
        image_size, 2 * ratio, gan.generator.residual_blocks, text_dim=16
    )
    assert gan.discriminator.count_params() == discriminator_parameters(
        image_size,
        2,
        gan.discriminator.fusion_size,
        gan.discriminator.as_released,
        text_dim=16,
    )
    assert gan.generator.text_embedding_dim == 16


def test_a_preset_is_not_changed_by_its_use():
    def use():
        gan = TextToImageGAN.from_preset(
            "gan", image_size=32, width=2, text_encoder=tiny_text_encoder()
        )
        return gan.generator.get_config()

    first = use()
    assert use()["width"] == first["width"] == 2
    assert Recipe.from_preset("gan").discriminator_width == 64


def test_a_global_policy_is_taken():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    gan = TextToImageGAN.from_preset(
        "gan", image_size=32, width=2, text_encoder=tiny_text_encoder()
    )
    assert gan.discriminator.dtype_policy.name == "mixed_bfloat16"


def test_each_network_has_its_learning_rate():
    recipe = Recipe()
    for network, rate in (("generator", 4e-4), ("discriminator", 1e-4)):
        optimizer = gan_optimizer(recipe, network, steps_per_epoch=7)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        assert optimizer.beta_1 == 0.5


def test_the_released_learning_rates_are_halved_every_100_epochs():
    recipe = Recipe.from_preset("reed2016")
    for network in ("generator", "discriminator"):
        optimizer = gan_optimizer(recipe, network, steps_per_epoch=7)
        for step, rate in ((0, 2e-4), (699, 2e-4), (700, 1e-4), (1400, 5e-5)):
            optimizer.iterations.assign(step)
            assert float(optimizer.learning_rate) == pytest.approx(rate)


def test_without_the_length_of_an_epoch_nothing_is_halved():
    gan = TextToImageGAN.from_preset(
        "reed2016", image_size=32, width=2, text_encoder=tiny_text_encoder()
    )
    gan.compile()
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        optimizer.iterations.assign(10**6)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)


def test_errors():
    with pytest.raises(
        ValueError, match="one of gan, gan_cls.*Received: 'stack_gan'"
    ):
        TextToImageGAN.from_preset("stack_gan")
    encoder = tiny_text_encoder()
    with pytest.raises(ValueError, match="Received: 48"):
        TextToImageGAN.from_preset("gan", image_size=48, text_encoder=encoder)
    for width in (0, -1, 1.5, True, "four"):
        with pytest.raises(
            ValueError, match=f"`width` must .*Received: {width!r}"
        ):
            TextToImageGAN.from_preset("gan", width=width, text_encoder=encoder)


def test_falling_channels_and_the_size_of_features():
    recipe = Recipe.from_preset("gan_cls").override(
        image_size=128,
        width=4,
        falling_channels=True,
        feature_network="efficientnet_lite0",
        feature_size=96,
    )
    gan = TextToImageGAN.from_recipe(recipe, text_encoder=tiny_text_encoder())
    assert gan.generator.falling_channels
    pixels, features = gan.discriminator.members
    assert pixels.falling_channels
    assert features.network_size == 96
    assert features.trunk.inputs[0].shape[1:3] == (24, 24)
    # Recipes from before there were these fields.
    fields = recipe.to_dict()
    del fields["falling_channels"], fields["feature_size"]
    earlier = Recipe.from_dict(fields)
    assert (earlier.falling_channels, earlier.feature_size) == (False, None)
