"""Models that are trained on streams of batches."""

import copy
import inspect
import re
from collections.abc import Iterable
from typing import Any
from typing import ClassVar
from typing import Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.linear_decay import schedules_of
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

_METRIC = "metric_"
_SEED = "seed_"
_STEPS = "steps"
# Arguments of Keras that are about targets, which no batch here has.
_OF_TARGETS = ("y", "sample_weight", "class_weight")
_COMPILED_FOR_TARGETS = ("metrics", "weighted_metrics", "loss_weights", "loss")
_OUT_OF_RANGE = "`images` must be float, with values in [-1, 1]"
# Interpolation overshoots a little where images are resized.
_LARGEST_VALUE = 1.01


class StreamTrainedModel(keras.Model):
    """A model whose batches come from a stream that has an order already.

    Batches are dicts, without targets and sample weights.

    The arguments of a subclass' constructor are attributes of the same name,
    and so make up its config. They are fixed, but for `recipe`.
    `object_arguments` names those that are Keras objects, such as networks,
    and `compiled_objects` what its `compile` takes of that kind. A subclass
    with a `train_step` of its own counts the steps by `set_steps_trained`.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    object_arguments: ClassVar[tuple[str, ...]] = ()
    compiled_objects: ClassVar[tuple[str, ...]] = ("optimizer",)
    # Why no optimizer can have `use_ema`. `None`: it can.
    why_no_use_ema: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = inspect.signature(cls.__init__).parameters
        cls.arguments = tuple(
            name for name in names if name not in ("self", "kwargs")
        )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step_counter = _StepCounter()

    def __setattr__(self, name: str, value: Any) -> None:
        is_fixed = name != "recipe" and name in self.arguments
        if is_fixed and name in vars(self):
            raise AttributeError(
                f"`{name}` cannot be set: other parts of a "
                f"`{type(self).__name__}` are made from it. Received: "
                f"{value!r}. Construct another `{type(self).__name__}`."
            )
        super().__setattr__(name, value)

    @property
    def steps_trained(self) -> Tensor:
        """int64 scalar. Steps trained, also before the last `compile`."""
        # A file of before there was a counter has the optimizer's alone.
        optimizer = getattr(self, "optimizer", None)
        iterations = getattr(optimizer, "iterations", 0)
        return ops.maximum(
            self._step_counter.variable, ops.cast(iterations, "int64")
        )

    def set_steps_trained(self, steps: Tensor) -> None:
        """Sets the count of steps, which a `train_step` does at its end.

        Args:
            steps: int scalar.
        """
        self._step_counter.variable.assign(steps)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configures the model, as `keras.Model.compile` does.

        Raises:
            ValueError: `metrics`, `weighted_metrics` or `loss_weights` are
                given, or a `loss` that the model has itself; or
                `steps_per_execution` is not 1 under a strategy of several
                devices, which Keras cannot run.
        """
        for name in self._unused():
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{type(self).__name__}` has its own losses and metrics, "
                    f"and `compile` takes no `{name}`. Received: {name}="
                    f"{kwargs[name]!r}. Leave it out."
                )
        replicas = self.distribute_strategy.num_replicas_in_sync
        steps_per_execution = kwargs.get("steps_per_execution", 1)
        if steps_per_execution != 1 and replicas > 1:
            raise ValueError(
                "`steps_per_execution` must be 1 under a strategy of several "
                f"devices. Received: {steps_per_execution!r} on {replicas} "
                "devices. Leave it out."
            )
        # The new optimizer counts from 0.
        self.set_steps_trained(self.steps_trained)
        super().compile(*args, **kwargs)
        self._check_use_ema(self.optimizer)
        self._compile_values = {
            name: value
            for name, value in kwargs.items()
            if name not in ("optimizer", "loss")
        }

    def _check_use_ema(self, optimizer: keras.optimizers.Optimizer) -> None:
        if self.why_no_use_ema is not None and _uses_ema(optimizer):
            raise ValueError(
                f"An optimizer of a `{type(self).__name__}` cannot have "
                f"`use_ema`: {self.why_no_use_ema}. Received: use_ema=True. "
                "Leave it out."
            )

    def _unused(self) -> set[str]:
        return set(_COMPILED_FOR_TARGETS) - set(self.compiled_objects)

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        return {
            **_serialized(self, self.compiled_objects),
            **self._compile_values,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Earlier code took them, and did nothing with them.
        known = {
            name: value
            for name, value in config.items()
            if name not in self._unused()
        }
        self.compile(**_deserialized(known, self.compiled_objects))

    def get_config(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.arguments}
        objects = _serialized(self, self.object_arguments)
        return {"name": self.name, **values, **objects}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, type] | None = None,
    ) -> Self:
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        return cls(**_deserialized(config, cls.object_arguments))

    def save(self, filepath: StrPath, *args: Any, **kwargs: Any) -> None:
        """Saves the model in a `.keras` file, as `keras.Model.save` does.

        Raises:
            ValueError: the name ends otherwise: Keras' older formats hold
                neither two optimizers nor the count of steps.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(
                "`save` takes a file name that ends in `.keras`. Received: "
                f"{str(filepath)!r}. For TensorFlow Serving, use "
                "`keras_t2i.export.export_saved_model`."
            )
        super().save(filepath, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Saves what a resumed training needs besides, and Keras does not save.

        The count of steps; the metrics, to record what it had; and the random
        states of layers such as Dropout.
        """
        super().save_own_variables(store)
        store[_STEPS] = ops.convert_to_numpy(self.steps_trained)
        for prefix, variables in self._other_variables().items():
            for index, variable in enumerate(variables):
                store[f"{prefix}{index}"] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` has saved."""
        values = {key: store[key] for key in store.keys()}
        self.set_steps_trained(int(np.asarray(values.pop(_STEPS, 0))))
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
            # A model that is not compiled may have fewer, and none to resume.
            if len(saved[prefix]) == len(variables):
                for index, variable in enumerate(variables):
                    variable.assign(saved[prefix][f"{prefix}{index}"])

    def _other_variables(self) -> dict[str, list[keras.Variable]]:
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

    def fit(
        self,
        x: Any = None,
        *args: Any,
        shuffle: bool | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model, as `keras.Model.fit` does.

        Args:
            x: `tf.data.Dataset` of batches, or a dict of arrays. Images must
                be float, in [-1, 1].
            *args: further arguments of `keras.Model.fit`, without targets and
                weights of samples or classes.
            shuffle: bool. Defaults to `None`: arrays are shuffled, and a
                stream, about which Keras would warn, is not.
            **kwargs: further arguments of `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: an argument, a batch or a callback does not fit.
        """
        given = inspect.signature(super().fit).bind(x, *args, **kwargs)
        for name in _OF_TARGETS:
            if given.arguments.get(name) is not None:
                raise _has_targets(f"`{name}`")
        for data in (x, given.arguments.get("validation_data")):
            _check_elements(data)
        self._check_callbacks(given.arguments.get("callbacks"))
        if shuffle is None:
            shuffle = isinstance(x, dict)
        x = _with_checked_images(x)
        try:
            return super().fit(x, *args, shuffle=shuffle, **kwargs)
        except tf.errors.InvalidArgumentError as error:
            found = re.search(
                re.escape(f"[{_OUT_OF_RANGE}] [") + r"([^]]*)", str(error)
            )
            if found is None:
                raise
            raise _out_of_range(_values(float(found[1]))) from None

    def _check_callbacks(self, callbacks: Any) -> None:
        for callback in keras.tree.flatten(
            getattr(callbacks, "callbacks", callbacks or [])
        ):
            name = type(callback).__name__
            if isinstance(
                callback,
                (
                    keras.callbacks.LearningRateScheduler,
                    keras.callbacks.ReduceLROnPlateau,
                ),
            ):
                for schedule in schedules_of(self):
                    raise ValueError(
                        f"`{name}` sets the learning rate, which must be a "
                        "number and not a schedule. Received: a "
                        f"{type(schedule).__name__}. Compile with numbers, or "
                        "leave the callback out."
                    )
            if not isinstance(callback, keras.callbacks.SwapEMAWeights):
                continue
            if self.why_no_use_ema is not None:
                raise ValueError(
                    f"`{name}` is not for a `{type(self).__name__}`: "
                    f"{self.why_no_use_ema}. Received: such a callback. Leave "
                    "it out."
                )
            if not _uses_ema(self.optimizer):
                raise ValueError(
                    f"`{name}` is for an optimizer with `use_ema=True`. "
                    f"Received: {self.optimizer.name} without. Compile with "
                    "such an optimizer, or leave the callback out."
                )

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Builds nothing: constructors have built all networks.

        Keras would trace a step for it, from a batch that it takes from the
        stream, and fails to under `MultiWorkerMirroredStrategy`.
        """

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Returns the metrics, as `keras.Model.get_metrics_result` does."""
        logs = super().get_metrics_result()
        if tf.distribute.in_cross_replica_context() or not isinstance(
            tf.distribute.get_strategy(),
            tf.distribute.MultiWorkerMirroredStrategy,
        ):
            return logs
        # What a step returns, of which Keras takes the mean along an axis.
        return {name: ops.reshape(value, (1,)) for name, value in logs.items()}


def batch_of(data: Any) -> dict[str, Tensor]:
    """Returns the batch of a step, which must be all that Keras hands over.

    Raises:
        ValueError: there are targets or sample weights too.
    """
    batch, *others = keras.utils.unpack_x_y_sample_weight(data)
    for name, value in zip(_OF_TARGETS, others):
        if value is not None:
            raise _has_targets(f"a batch with `{name}`")
    return batch


class _StepCounter:
    """Hides the count from Keras, which would make it one of the weights."""

    def __init__(self) -> None:
        self.variable = keras.Variable(
            0,
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
            name="steps_trained",
        )


def _has_targets(received: str) -> ValueError:
    return ValueError(
        "Batches must be dicts, without targets and without weights of "
        f"samples or classes. Received: {received}. Leave it out."
    )


def _check_elements(data: Any) -> None:
    elements = getattr(data, "element_spec", data)
    if isinstance(elements, (tuple, list)) and any(
        element is not None for element in elements[1:]
    ):
        raise _has_targets(f"{len(elements)} elements")


def _with_checked_images(data: Any) -> Any:
    """Returns data that fail at images out of range.

    A stream is looked at while it is read: opening it for a look would take an
    epoch of those that have another order each time.
    """
    elements = getattr(data, "element_spec", data)
    if not isinstance(elements, dict) or "images" not in elements:
        return data
    images = elements["images"]
    # Others are features of images.
    if len(images.shape) != 4 or images.shape[-1] != 3:
        return data
    if not tf.as_dtype(images.dtype).is_floating:
        raise _out_of_range(tf.as_dtype(images.dtype).name)
    if data is elements:
        largest = np.abs(images).max()
        if largest > _LARGEST_VALUE:
            raise _out_of_range(_values(largest))
        return data

    def check(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        largest = tf.reduce_max(tf.abs(batch["images"]))
        # NaN passes: `StopOnNaN` names it.
        in_range = tf.logical_not(largest > _LARGEST_VALUE)
        check = tf.debugging.Assert(in_range, [_OUT_OF_RANGE, largest])
        with tf.control_dependencies([check]):
            return {**batch, "images": tf.identity(batch["images"])}

    return data.map(check)


def _values(largest: float) -> str:
    return f"values as large as {largest:g}"


def _out_of_range(received: str) -> ValueError:
    return ValueError(
        f"{_OUT_OF_RANGE}. Received: {received}. Rescale images of 0 to 255 by "
        "`images / 127.5 - 1`."
    )


def _uses_ema(optimizer: Any) -> bool:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(inner, "use_ema", False)


def _serialized(model: keras.Model, names: Iterable[str]) -> dict[str, Any]:
    return {
        name: keras.saving.serialize_keras_object(getattr(model, name))
        for name in names
    }


def _deserialized(
    config: dict[str, Any], names: Iterable[str]
) -> dict[str, Any]:
    objects = {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in names
    }
    return {**config, **objects}
