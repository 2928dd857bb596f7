"""What a config holds are constructor arguments, and attributes so named."""

import inspect

import keras
import numpy as np
import pytest

import keras_t2i
from keras_t2i import registration
from keras_t2i.models.adversarial_training import RelativeDiversity
from keras_t2i.models.adversarial_training import ReplicaLoss
from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.layers import BoxedConv2D
from keras_t2i.models.layers import BoxedConv2DTranspose
from keras_t2i.models.layers import Conv2DTranspose
from keras_t2i.models.layers import SpectralConv2D
from keras_t2i.models.normalization import FusedBatchNormalization
from keras_t2i.models.normalization import Modulation
from keras_t2i.models.normalization import TextStandardization
from keras_t2i.models.pixel_discriminator import MinibatchDeviation
from keras_t2i.text.char_cnn_rnn import GatedRecurrence
from keras_t2i.text.char_cnn_rnn import OneHotCharacters
from keras_t2i.text.char_cnn_rnn import ReLURecurrence
from keras_t2i.text.char_cnn_rnn import WordVectors
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_feature_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_modulated_generator
from tests.tiny_models import tiny_pixel_discriminator
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder

MAKERS = {
    "BoxedConv2D": lambda: BoxedConv2D(2),
    "BoxedConv2DTranspose": lambda: BoxedConv2DTranspose(2),
    "CharCNNRNN": tiny_text_encoder,
    "Conv2DTranspose": lambda: Conv2DTranspose(2, 4, use_bias=False),
    "Discriminator": tiny_discriminator,
    "DiscriminatorEnsemble": lambda: keras_t2i.DiscriminatorEnsemble(
        [tiny_discriminator()]
    ),
    "EfficientNetLite0": lambda: keras_t2i.applications.EfficientNetLite0(
        weights=None
    ),
    "EfficientNetLite2": lambda: keras_t2i.applications.EfficientNetLite2(
        weights=None
    ),
    "FeatureDiscriminator": tiny_feature_discriminator,
    "FusedBatchNormalization": FusedBatchNormalization,
    "GatedRecurrence": lambda: GatedRecurrence(2),
    "Generator": tiny_generator,
    "ImageNoise": lambda: ImageNoise(0.5, half_life=3),
    "JointEmbedding": tiny_joint_embedding,
    "LinearDecay": lambda: keras_t2i.LinearDecay(0.5, 1, 2),
    "MinibatchDeviation": MinibatchDeviation,
    "ModulatedGenerator": tiny_modulated_generator,
    "Modulation": Modulation,
    "OneHotCharacters": OneHotCharacters,
    "PixelDiscriminator": tiny_pixel_discriminator,
    "PrecomputedEmbeddings": lambda: keras_t2i.text.PrecomputedEmbeddings(4),
    "ReLURecurrence": lambda: ReLURecurrence(2),
    "RelativeDiversity": RelativeDiversity,
    "RelativisticPairing": keras_t2i.losses.RelativisticPairing,
    "ReplicaLoss": ReplicaLoss,
    "SoftmaxJointEmbedding": keras_t2i.losses.SoftmaxJointEmbedding,
    "SpectralConv2D": lambda: SpectralConv2D(2, 3),
    "StagedMatching": lambda: keras_t2i.StagedMatching(start_step=1),
    "StructuredJointEmbedding": keras_t2i.losses.StructuredJointEmbedding,
    "StyleEncoder": tiny_style_encoder,
    "StyleInversion": lambda: keras_t2i.StyleInversion(
        tiny_generator(), tiny_text_encoder(), tiny_style_encoder()
    ),
    "TextStandardization": TextStandardization,
    "TextToImageGAN": tiny_gan,
    "WordVectors": lambda: WordVectors(3, 2),
}


@pytest.mark.parametrize("name", registration._NAMES)
def test_configs_arguments_and_attributes_have_the_same_names(name):
    made = MAKERS[name]()
    assert type(made).__name__ == name
    config = made.get_config()
    own, known = set(), set()
    for kind in type(made).__mro__:
        names = set(inspect.signature(kind.__init__).parameters)
        known |= names
        if not own and "__init__" in vars(kind):
            is_ours = kind.__module__.startswith("keras_t2i")
            own = names if is_ours else {"self"}
    own -= {"self", "kwargs"}
    # Of a Keras model, these are its variables.
    own.discard("weights")
    assert own <= set(config) <= known
    for key, value in config.items():
        # A GAN's `interpolate` is a method.
        of_other_name = {"interpolate": "interpolate_texts"}
        attribute = getattr(made, of_other_name.get(key, key))
        # The others are Keras' own, some of which it keeps in another form.
        if key in own:
            assert _as_config(attribute) == _as_config(value)


def _as_config(value):
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return keras.saving.serialize_keras_object(value)


@pytest.mark.parametrize(
    "kind",
    [MinibatchDeviation, Modulation, OneHotCharacters, TextStandardization],
)
def test_layers_that_are_given_a_policy_have_a_config(kind):
    policy = keras.dtype_policies.get("mixed_bfloat16")
    config = kind(dtype=policy, name="mine").get_config()
    copy = kind.from_config(config)
    assert (copy.name, copy.dtype_policy.name) == ("mine", "mixed_bfloat16")


def test_a_part_of_a_network_can_be_saved(tmp_path):
    encoder = tiny_text_encoder()
    steps = encoder.get_layer("mean_over_time").output
    keras.Model(encoder.input, steps).save(tmp_path / "part.keras")
    part = keras.saving.load_model(tmp_path / "part.keras")
    token_ids = encoder.tokenize(["a rose"])
    np.testing.assert_array_equal(
        part(token_ids), keras.Model(encoder.input, steps)(token_ids)
    )
