"""Networks trained on ImageNet, for features of images."""

from keras_t2i.applications.efficientnet_lite import EfficientNetLite0
from keras_t2i.applications.efficientnet_lite import EfficientNetLite2
from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.applications.feature_networks import pooled_network

__all__ = [
    "EfficientNetLite0",
    "EfficientNetLite2",
    "extract_image_features",
    "pooled_network",
]
