"""Text-to-image GANs for Keras 3 and TensorFlow.

Nothing is imported before it is used: TensorFlow takes seconds.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_t2i.registration import register_with_keras
from keras_t2i.version import __version__

if TYPE_CHECKING:
    from keras_t2i import applications
    from keras_t2i import blooms
    from keras_t2i import callbacks
    from keras_t2i import datasets
    from keras_t2i import evaluation
    from keras_t2i import export
    from keras_t2i import losses
    from keras_t2i import metrics
    from keras_t2i import plots
    from keras_t2i import text
    from keras_t2i import torch_files
    from keras_t2i.linear_decay import LinearDecay
    from keras_t2i.models import Discriminator
    from keras_t2i.models import DiscriminatorEnsemble
    from keras_t2i.models import FeatureDiscriminator
    from keras_t2i.models import Generator
    from keras_t2i.models import ModulatedGenerator
    from keras_t2i.models import PixelDiscriminator
    from keras_t2i.models import StagedMatching
    from keras_t2i.models import StyleEncoder
    from keras_t2i.models import StyleInversion
    from keras_t2i.models import TextToImageGAN
    from keras_t2i.recipes import Recipe
    from keras_t2i.recipes import StyleRecipe
    from keras_t2i.recipes import TextRecipe
    from keras_t2i.text import CharCNNRNN
    from keras_t2i.text import JointEmbedding
    from keras_t2i.training.entry import train

# The other public names are modules.
_MODULE_OF = {
    "CharCNNRNN": "text",
    "Discriminator": "models",
    "DiscriminatorEnsemble": "models",
    "FeatureDiscriminator": "models",
    "Generator": "models",
    "JointEmbedding": "text",
    "LinearDecay": "linear_decay",
    "ModulatedGenerator": "models",
    "PixelDiscriminator": "models",
    "Recipe": "recipes",
    "StagedMatching": "models",
    "StyleEncoder": "models",
    "StyleInversion": "models",
    "StyleRecipe": "recipes",
    "TextRecipe": "recipes",
    "TextToImageGAN": "models",
    "train": "training.entry",
}

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
    "blooms",
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

register_with_keras()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULE_OF.get(name, name)}")
    value = getattr(module, name) if name in _MODULE_OF else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
