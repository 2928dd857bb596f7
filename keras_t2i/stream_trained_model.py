"""Models that are trained on streams of batches."""

import copy
import inspect
from collections.abc import Iterable
from typing import Any
from typing import ClassVar
from typing import Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.fit_checks import OF_TARGETS
from keras_t2i.fit_checks import check_callbacks
from keras_t2i.fit_checks import checked_batches
from keras_t2i.fit_checks import has_targets
from keras_t2i.fit_checks import images_in_range
from keras_t2i.fit_checks import not_a_dict
from keras_t2i.fit_checks import split_for_validation
from keras_t2i.fit_checks import uses_ema
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

_METRIC = "metric_"
_SEED = "seed_"
_STEPS = "steps"
_COMPILED_FOR_TARGETS = ("metrics", "weighted_metrics", "loss_weights", "loss")


class StreamTrainedModel(keras.Model):
    """A model whose batches come from a stream that has an order already.

    Batches are dicts, without targets and sample weights.

    The arguments of a subclass' constructor are attributes of the same name,
    and so make up its config. They are fixed, unless they are properties.
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
        if name in self.arguments and name in vars(self):
            raise AttributeError(
                f"`{name}` cannot be set: other parts of a "
                f"`{type(self).__name__}` are made from it. Received: "
                f"{value!r}. Construct another `{type(self).__name__}`."
            )
        super().__setattr__(name, value)

    @property
    def steps_trained(self) -> Tensor:
        """int64 scalar. Steps trained, also before the last `compile`."""
        # A file from before this counter holds only the optimizer's count.
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
                given, or a `loss` that the model has itself; or what Keras
                cannot do under a strategy of several devices:
                `steps_per_execution` is not 1, `jit_compile` is `True`, or an
                optimizer accumulates gradients.
        """
        for name in self._unused():
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{type(self).__name__}` has its own losses and metrics, "
                    f"and `compile` takes no `{name}`. Received: {name}="
                    f"{kwargs[name]!r}. Leave it out."
                )
        self._check_one_device(
            "steps_per_execution", kwargs.get("steps_per_execution", 1), 1
        )
        jit_compile = kwargs.get("jit_compile") is True
        self._check_one_device("jit_compile", jit_compile, False)
        # The new optimizer counts from 0.
        self.set_steps_trained(self.steps_trained)
        super().compile(*args, **kwargs)
        if self.optimizer is not None:
            self._check_optimizer(self.optimizer)
        self._compile_values = {
            name: value
            for name, value in kwargs.items()
            if name not in ("optimizer", "loss")
        }

    @property
    def _num_devices(self) -> int:
        return self.distribute_strategy.num_replicas_in_sync

    def _check_one_device(self, name: str, value: Any, expected: Any) -> None:
        if value != expected and self._num_devices > 1:
            raise ValueError(
                f"`{name}` must be {expected!r} under a strategy of several "
                f"devices. Received: {value!r} on {self._num_devices} devices. "
                "Leave it out."
            )

    def _check_optimizer(self, optimizer: keras.optimizers.Optimizer) -> None:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        name = "gradient_accumulation_steps"
        self._check_one_device(name, getattr(inner, name, None), None)
        if self.why_no_use_ema is not None and uses_ema(optimizer):
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
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        return {"name": self.name, "dtype": dtype, **values, **objects}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, type] | None = None,
    ) -> Self:
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        return cls(**_deserialized(config, cls.object_arguments))

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises `NotImplementedError`: its networks are what is exported."""
        raise NotImplementedError(
            f"A `{type(self).__name__}` is for training. Export one of its "
            f"networks: {', '.join(self.object_arguments)}."
        )

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
        """Also saves what a resumed training needs and Keras does not save.

        These are the count of steps, the random states of layers such as
        Dropout, and the metrics, since the next record may begin before.
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
            # A model that is not compiled may have other variables, and has no
            # training to resume.
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
                be float, in [-1, 1]. Under a strategy of several devices,
                a batch of a stream that would leave one of them without rows,
                such as a short last one, has some of its rows twice.
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
        options = given.arguments
        _refuse_targets(options)
        check_callbacks(self, options.get("callbacks"))
        if shuffle is None:
            shuffle = isinstance(x, dict)
        split_for_validation(options)
        batch_size = options.get("batch_size")
        if options.get("x") is not None:
            options["x"] = self._checked(options["x"], batch_size)
        if options.get("validation_data") is not None:
            options["validation_data"] = self._checked(
                options["validation_data"],
                options.get("validation_batch_size") or batch_size,
            )
        with images_in_range():
            return super().fit(shuffle=shuffle, **options)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the model, as `keras.Model.evaluate` does.

        Args:
            x: as in `fit`.
            *args: further arguments of `keras.Model.evaluate`, without targets
                and weights of samples.
            **kwargs: likewise.

        Returns:
            The values of `metrics_names`, or a dict of them.

        Raises:
            ValueError: an argument or a batch does not fit.
        """
        # `fit` has checked its validation data, which Keras keeps in a cache.
        if not kwargs.get("_use_cached_eval_dataset"):
            bound = inspect.signature(super().evaluate).bind_partial(x, *args)
            given = bound.arguments | kwargs
            _refuse_targets(given)
            x = self._checked(x, given.get("batch_size"))
        with images_in_range():
            return super().evaluate(x, *args, **kwargs)

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch, as `keras.Model.train_on_batch` does.

        Args:
            x: dict of arrays: a batch as in `fit`.
            *args: further arguments of `keras.Model.train_on_batch`, without
                targets and weights of samples or classes.
            **kwargs: likewise.

        Returns:
            The values of `metrics`, in their order, or a dict of them.

        Raises:
            ValueError: an argument or the batch does not fit.
        """
        _refuse_targets(kwargs)
        return super().train_on_batch(self._checked_batch(x), *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluates one batch, as `keras.Model.test_on_batch` does.

        The arguments and the errors are those of `train_on_batch`. The result
        has the values of `metrics_names`.
        """
        _refuse_targets(kwargs)
        return super().test_on_batch(self._checked_batch(x), *args, **kwargs)

    def _checked_batch(self, batch: Any) -> Any:
        if not isinstance(batch, dict):
            return batch
        num_rows = max((len(value) for value in batch.values()), default=0)
        # Run eagerly, networks take no arrays beside tensors.
        return keras.tree.map_structure(
            keras.ops.convert_to_tensor, self._checked(batch, num_rows)
        )

    def _checked(self, data: Any, batch_size: int | None) -> Any:
        return checked_batches(
            data,
            getattr(self, "image_size", None),
            self._num_devices,
            batch_size,
            getattr(self, "text_encoder", None),
        )

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Builds nothing: constructors have built all networks.

        Keras would trace a step here, with a batch that it takes from the
        stream. Under `MultiWorkerMirroredStrategy` that fails.
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


def batch_of(data: Any, *needed: str) -> dict[str, Tensor]:
    """Returns the batch of a step, which must be all that Keras hands over.

    Raises `ValueError` if it is no dict or holds not all that is `needed`, or
    if there are targets or sample weights too.
    """
    batch, *others = keras.utils.unpack_x_y_sample_weight(data)
    for name, value in zip(OF_TARGETS, others):
        if value is not None:
            raise has_targets(f"a batch with `{name}`")
    if not isinstance(batch, dict):
        raise not_a_dict(batch)
    for name in needed:
        if name not in batch:
            raise ValueError(
                f"A batch must hold `{name}`, as those of `make_dataset` do. "
                f"Received: {sorted(batch)}"
            )
    return batch


def _refuse_targets(arguments: dict[str, Any]) -> None:
    for name in OF_TARGETS:
        if arguments.get(name) is not None:
            raise has_targets(f"`{name}`")


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
