"""Functional models that are rebuilt from their constructor arguments."""

from typing import Any
from typing import Self

import keras


def check_keras_config(dtype: Any = None) -> None:
    """Raises `ValueError` for settings of Keras that no network here knows.

    Args:
        dtype: the argument of a Keras model. Defaults to `None`: the policy of
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
                f"keras.json or in this program. Set it by {remedy}."
            )


class ConfiguredModel(keras.Model):
    """A Functional model whose config is its constructor's arguments.

    A subclass builds its graph in `__init__`, calls `super().__init__` with
    it, and then `set_arguments`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Before any layer is built, which would fail in ways of its own.
        check_keras_config(kwargs.get("dtype"))
        return super().__new__(cls, *args, **kwargs)

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
        return {
            **config,
            **{name: getattr(self, name) for name in self._argument_names},
        }
