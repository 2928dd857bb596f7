"""Networks trained on ImageNet, for features of images."""

from keras_t2i.applications.efficientnet_lite import EfficientNetLite0
from keras_t2i.applications.efficientnet_lite import EfficientNetLite2

__all__ = ["EfficientNetLite0", "EfficientNetLite2"]
