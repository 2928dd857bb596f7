"""Functional models that are rebuilt from their constructor arguments."""

from typing import Any

import keras


class ConfiguredModel(keras.Model):
    """A Functional model whose config is its constructor's arguments.

    A subclass builds its graph in `__init__`, calls `super().__init__` with
    it, and then `set_arguments`.
    """

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
