"""Text-to-image GANs for Keras 3 and TensorFlow."""

from keras_t2i.keras_backend import check_keras_backend
from keras_t2i.quiet_import import import_tensorflow_quietly

check_keras_backend()
# Before anything that imports Keras, which would import TensorFlow loudly.
import_tensorflow_quietly()
check_keras_backend()

from keras_t2i import applications  # noqa: E402
from keras_t2i import callbacks  # noqa: E402
from keras_t2i import datasets  # noqa: E402
from keras_t2i import evaluation  # noqa: E402
from keras_t2i import export  # noqa: E402
from keras_t2i import losses  # noqa: E402
from keras_t2i import metrics  # noqa: E402
from keras_t2i import plots  # noqa: E402
from keras_t2i import text  # noqa: E402
from keras_t2i import torch_files  # noqa: E402
from keras_t2i.linear_decay import LinearDecay  # noqa: E402
from keras_t2i.models.discriminator import Discriminator  # noqa: E402
from keras_t2i.models.discriminator_ensemble import DiscriminatorEnsemble  # noqa: E402
from keras_t2i.models.feature_discriminator import FeatureDiscriminator  # noqa: E402
from keras_t2i.models.generator import Generator  # noqa: E402
from keras_t2i.models.modulated_generator import ModulatedGenerator  # noqa: E402
from keras_t2i.models.pixel_discriminator import PixelDiscriminator  # noqa: E402
from keras_t2i.models.staged_matching import StagedMatching  # noqa: E402
from keras_t2i.models.style_encoder import StyleEncoder  # noqa: E402
from keras_t2i.models.style_inversion import StyleInversion  # noqa: E402
from keras_t2i.models.text_to_image_gan import TextToImageGAN  # noqa: E402
from keras_t2i.recipes.recipe import Recipe  # noqa: E402
from keras_t2i.recipes.style_recipe import StyleRecipe  # noqa: E402
from keras_t2i.recipes.text_recipe import TextRecipe  # noqa: E402
from keras_t2i.text.char_cnn_rnn import CharCNNRNN  # noqa: E402
from keras_t2i.text.joint_embedding import JointEmbedding  # noqa: E402
from keras_t2i.training.entry import train  # noqa: E402
from keras_t2i.version import __version__  # noqa: E402

__all__ = [
    "CharCNNRNN",
    "Discriminator",
    "DiscriminatorEnsemble",
    "FeatureDiscriminator",
    "Generator",
    "JointEmbedding",
    "LinearDecay",
    "ModulatedGenerator",
    "PixelDiscriminator",
    "Recipe",
    "StagedMatching",
    "StyleEncoder",
    "StyleInversion",
    "StyleRecipe",
    "TextRecipe",
    "TextToImageGAN",
    "__version__",
    "applications",
    "callbacks",
    "datasets",
    "evaluation",
    "export",
    "losses",
    "metrics",
    "plots",
    "text",
    "torch_files",
    "train",
]
