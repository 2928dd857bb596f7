"""Models that are trained on streams of batches."""

import copy
import inspect

import keras
import tensorflow as tf

_METRIC = "metric_"
_SEED = "seed_"


class StreamTrainedModel(keras.Model):
    """A model whose batches come from a stream that has an order already.

    The arguments of a subclass' constructor are attributes of the same name,
    and so make up its config. `object_arguments` names those that are Keras
    objects, such as networks, and `compiled_objects` what its `compile` takes
    of that kind.
    """

    object_arguments = ()
    compiled_objects = ("optimizer",)

    def compile(self, *args, steps_per_execution=1, **kwargs):
        """Configures the model, as `keras.Model.compile` does.

        Raises:
            ValueError: `steps_per_execution` is not 1 under a strategy of
                several devices, which Keras can not run.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        if steps_per_execution != 1 and replicas > 1:
            raise ValueError(
                "`steps_per_execution` must be 1 under a strategy of several "
                f"devices. Received: {steps_per_execution!r} on {replicas} "
                "devices. Leave it out."
            )
        super().compile(
            *args, steps_per_execution=steps_per_execution, **kwargs
        )
        self._compile_values = {
            name: value
            for name, value in kwargs.items()
            if name not in ("optimizer", "loss")
        }
        if steps_per_execution != 1:
            self._compile_values["steps_per_execution"] = steps_per_execution

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            **_serialized(self, self.compiled_objects),
            **self._compile_values,
        }

    def compile_from_config(self, config):
        self.compile(**_deserialized(config, self.compiled_objects))

    def get_config(self):
        arguments = inspect.signature(type(self).__init__).parameters
        values = {
            name: getattr(self, name)
            for name in arguments
            if name not in ("self", "kwargs")
        }
        objects = _serialized(self, self.object_arguments)
        return {"name": self.name, **values, **objects}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        return cls(**_deserialized(config, cls.object_arguments))

    def save_own_variables(self, store):
        """Saves what a resumed training needs besides, and Keras does not save.

        The metrics, to record what it had, and the random states of layers
        such as Dropout.
        """
        super().save_own_variables(store)
        for prefix, variables in self._other_variables().items():
            for index, variable in enumerate(variables):
                store[f"{prefix}{index}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` has saved."""
        values = {key: store[key] for key in store.keys()}
        others = self._other_variables()
        saved = {
            prefix: {
                key: values.pop(key)
                for key in list(values)
                if key.startswith(prefix)
            }
            for prefix in others
        }
        super().load_own_variables(values)
        for prefix, variables in others.items():
            # A model that is not compiled may have fewer, and nothing to go on.
            if len(saved[prefix]) == len(variables):
                for index, variable in enumerate(variables):
                    variable.assign(saved[prefix][f"{prefix}{index}"])

    def _other_variables(self):
        weights = {id(weight) for weight in self.weights}
        return {
            _METRIC: [
                variable
                for metric in self.metrics
                for variable in metric.variables
            ],
            _SEED: [
                variable
                for variable in self.variables
                if id(variable) not in weights
            ],
        }

    def fit(self, x=None, *args, shuffle=None, **kwargs):
        """Trains the model, as `keras.Model.fit` does.

        Args:
            x: `tf.data.Dataset` of batches, or a dict of arrays.
            *args: further arguments of `keras.Model.fit`.
            shuffle: bool. Defaults to `None`: arrays are shuffled, and a
                stream, about which Keras would warn, is not.
            **kwargs: further arguments of `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        if shuffle is None:
            shuffle = isinstance(x, dict)
        return super().fit(x, *args, shuffle=shuffle, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds nothing: constructors have built all networks.

        Keras would trace a step for it, from a batch that it takes from the
        stream, and fails to under `MultiWorkerMirroredStrategy`.
        """

    def get_metrics_result(self):
        """Returns the metrics, as `keras.Model.get_metrics_result` does."""
        logs = super().get_metrics_result()
        if tf.distribute.in_cross_replica_context() or not isinstance(
            tf.distribute.get_strategy(),
            tf.distribute.MultiWorkerMirroredStrategy,
        ):
            return logs
        # What a step returns, of which Keras takes the mean along an axis.
        return {
            name: keras.ops.reshape(value, (1,)) for name, value in logs.items()
        }


def _serialized(model, names):
    return {
        name: keras.saving.serialize_keras_object(getattr(model, name))
        for name in names
    }


def _deserialized(config, names):
    objects = {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in names
    }
    return {**config, **objects}
