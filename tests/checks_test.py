import pytest

from keras_t2i import JointEmbedding
from keras_t2i import StyleInversion
from keras_t2i import TextToImageGAN
from keras_t2i.checks import check_image_size
from keras_t2i.checks import check_not_negative
from keras_t2i.text import embed_texts
from keras_t2i.text import extract_embeddings
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder


@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
def test_image_sizes(image_size):
    check_image_size(image_size)


@pytest.mark.parametrize("image_size", [0, 16, 48, 512, None, "64"])
def test_other_sizes_are_refused(image_size):
    with pytest.raises(ValueError, match=f"256.*Received: {image_size!r}"):
        check_image_size(image_size)


def test_what_is_no_text_encoder(tmp_path):
    gan, joint = tiny_gan(), tiny_joint_embedding()
    networks = gan.generator, gan.discriminator
    style_encoder = tiny_style_encoder()
    uses = (
        lambda model: TextToImageGAN(*networks, model),
        lambda model: TextToImageGAN.from_preset("gan", text_encoder=model),
        lambda model: StyleInversion(gan.generator, model, style_encoder),
        lambda model: JointEmbedding(model, joint.image_encoder),
        lambda model: embed_texts(model, ["a rose"]),
        lambda model: extract_embeddings(model, tmp_path, tmp_path),
    )
    for wrong, received in (
        (joint, "a JointEmbedding. Take its `text_encoder`"),
        (gan, "a TextToImageGAN. Take its `text_encoder`"),
        ("runs/text", "'runs/text'. Load it by `keras.saving.load_model`"),
    ):
        for use in uses:
            with pytest.raises(ValueError, match=f"Received: {received}"):
                use(wrong)


def test_networks_in_each_others_place():
    networks = tiny_discriminator(), tiny_generator(), tiny_text_encoder()
    with pytest.raises(
        ValueError, match="`generator` must be.*`noise_dim`.*Discriminator"
    ):
        TextToImageGAN(*networks)
    with pytest.raises(ValueError, match="`discriminator` must be a discrim"):
        TextToImageGAN(tiny_generator(), None, tiny_text_encoder())


@pytest.mark.parametrize("value", [-0.5, float("nan")])
def test_numbers_that_are_not_at_least_0(value):
    with pytest.raises(ValueError, match=f"`weight` must be.*: {value}"):
        check_not_negative(weight=value)
    check_not_negative(weight=0.0)
