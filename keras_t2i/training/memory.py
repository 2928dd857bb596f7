"""Refuses a training that this machine has not the memory for.

The numbers that a training keeps are counted before any of them is made: the
weights with what optimizers keep of them, and what each layer gives for each
image of a batch. A training takes more than that, so none is refused that
could run.
"""

import concurrent.futures
import math
import os
from collections.abc import Callable
from typing import Any

import keras

from keras_t2i.models.discriminator import members_of
from keras_t2i.models.from_recipe import networks_of_recipe
from keras_t2i.recipes.recipe import Recipe

# Counting takes a second. It is left out for the sizes that people use.
_USUAL = 128


def check_gan_memory(recipe: Recipe, num_workers: int = 1) -> None:
    """Raises `ValueError` if a GAN does not fit into the memory.

    `num_workers` machines share each batch.
    """
    widths = recipe.generator_width, recipe.discriminator_width
    if max(*widths, recipe.batch_size) <= _USUAL:
        return
    generator, discriminator, _ = without_memory(
        lambda: networks_of_recipe(recipe, None)
    )
    # Adam keeps two numbers for each weight. The generator has an average too.
    weights = 4 * generator.count_params() + 3 * discriminator.count_params()
    # The discriminator sees real and generated images.
    outputs = num_outputs(generator) + 2 * sum(
        num_outputs(member) for member in members_of(discriminator)
    )
    check_memory(
        weights,
        recipe.batch_size // num_workers * outputs,
        f"`width` {recipe.discriminator_width} and `batch_size` "
        f"{recipe.batch_size}",
    )


def check_memory(weights: int, outputs: int, what: str) -> None:
    """Raises `ValueError` if so many floats do not fit into the memory.

    `weights` counts weights and what is kept for each, and `outputs` the
    outputs of layers for all rows of a batch. `what` names the fields that
    decide it, and their values.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * (weights + outputs) > memory:
        of_weights, of_outputs, available = (
            f"{size / 2**30:,.0f} GiB"
            for size in (4 * weights, 4 * outputs, memory)
        )
        raise ValueError(
            f"The training must fit into the memory, {available}. Received: "
            f"{what}, which take at least {of_weights} for weights and "
            f"{of_outputs} for a batch. Name smaller ones."
        )


def num_outputs(network: keras.Model) -> int:
    """Returns how many numbers the layers of a network give for one row."""
    return sum(
        math.prod(layer.output.shape[1:])
        for layer in network.layers
        if hasattr(layer, "output") and hasattr(layer.output, "shape")
    )


def without_memory(make: Callable[[], Any]) -> Any:
    """Calls a function that makes networks whose weights have no values."""

    def make_without_values() -> Any:
        with keras.StatelessScope(initialize_variables=False):
            return make()

    # Keras lists variables without values, and gives values to all of them
    # later. It has such a list for each thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(make_without_values).result()
