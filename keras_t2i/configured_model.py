"""Functional models that are rebuilt from their constructor arguments."""

import inspect
from collections.abc import Iterator
from typing import Any
from typing import Self

import keras

from keras_t2i.checks import check_whole_number

# Arguments of networks that count something.
_COUNTS = (
    "width",
    "embedding_dim",
    "noise_dim",
    "penalty_interval",
    "projection_dim",
    "text_embedding_dim",
    "text_projection_dim",
)
_FROZEN_LAYERS = "frozen_layers"


def check_keras_config(dtype: Any = None) -> None:
    """Raises `ValueError` for settings of Keras that no network here knows.

    `dtype` is the argument of a Keras model. `None` stands for the policy of
    new layers.
    """
    policy = keras.dtype_policies.get(dtype)
    for what, value, expected, remedy in (
        (
            "image format of Keras",
            keras.config.image_data_format(),
            "channels_last",
            "`keras.config.set_image_data_format('channels_last')`",
        ),
        (
            "float type of Keras",
            keras.config.floatx(),
            "float32",
            "`keras.config.set_floatx('float32')`",
        ),
        (
            "type of the weights",
            policy.variable_dtype,
            "float32",
            "`keras.config.set_dtype_policy('mixed_bfloat16')`, for example, "
            "which computes in another type",
        ),
    ):
        if value != expected:
            raise ValueError(
                f"The {what} must be {expected!r}. Received: {value!r}, as in "
                "keras.json, in this program or in the argument `dtype`. Set "
                f"it by {remedy}."
            )


class ConfiguredModel(keras.Model):
    """A Functional model whose config is its constructor's arguments.

    A subclass builds its graph in `__init__`, calls `super().__init__` with
    it, and then `set_arguments`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Before any layer is built, which would fail in ways of its own.
        check_keras_config(kwargs.get("dtype"))
        names = list(inspect.signature(cls.__init__).parameters)[1:]
        for name, value in {**dict(zip(names, args)), **kwargs}.items():
            if name in _COUNTS:
                check_whole_number(value, name, at_least=1)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Keras would ignore them.
        unknown = set(kwargs) - {"inputs", "outputs", "name", "trainable"}
        if unknown:
            raise ValueError(
                f"`{type(self).__name__}` has no argument "
                f"{', '.join(map(repr, sorted(unknown)))}. Check the spelling, "
                "or leave it out."
            )
        trainable = kwargs.pop("trainable", True)
        super().__init__(*args, **kwargs)
        # Keras would set it before there are layers, which stay trainable.
        if not trainable:
            self.trainable = False

    def set_arguments(
        self, dtype_policy: keras.dtype_policies.DTypePolicy, **arguments: Any
    ) -> None:
        """Keeps the arguments, each as an attribute of its name.

        Args:
            dtype_policy: `keras.dtype_policies.DTypePolicy`. That of the
                layers.
            **arguments: the constructor's arguments, as received.
        """
        # A Functional model forgets the policy that it was given.
        self.dtype_policy = dtype_policy
        self._argument_names = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    def get_config(self) -> dict[str, Any]:
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }
        # Those of a model that is frozen as a whole follow from that.
        frozen = list(_frozen_layers(self)) if self.trainable else []
        if frozen:
            config[_FROZEN_LAYERS] = frozen
        return {
            **config,
            **{name: getattr(self, name) for name in self._argument_names},
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> Self:
        config = dict(config)
        frozen = config.pop(_FROZEN_LAYERS, ())
        model = super().from_config(config, custom_objects)
        for path in frozen:
            layer = model
            for name in path.split("/"):
                layer = layer.get_layer(name)
            layer.trainable = False
        return model


class PlainLayer(keras.layers.Layer):
    """A layer without arguments of its own."""

    def get_config(self) -> dict[str, Any]:
        # Keras knows no config of a layer that was given its policy, unless
        # there is this method.
        return super().get_config()


def _frozen_layers(model: keras.Model, path: str = "") -> Iterator[str]:
    """Yields the paths of layers whose weights the user has frozen."""
    for layer in model.layers:
        if not layer.trainable and layer.weights:
            yield f"{path}{layer.name}"
        elif isinstance(layer, keras.Model):
            yield from _frozen_layers(layer, f"{path}{layer.name}/")
