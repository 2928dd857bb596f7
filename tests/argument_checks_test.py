"""Numbers that are none, or out of range: refused at once, and by name."""

import functools

import numpy as np
import pytest

import keras_t2i
from keras_t2i import blooms
from keras_t2i import callbacks
from keras_t2i import datasets
from keras_t2i import export
from keras_t2i import losses
from keras_t2i import plots
from keras_t2i import text
from keras_t2i.metrics import style_clusters
from keras_t2i.tokenizers import vocabulary_of
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder

_NEITHER_NUMBERS_NOR_FINITE = (
    *("3", [], object(), True),
    *(float("nan"), float("inf"), -1),
)


# Networks to pass on, made once.
_generator = functools.cache(tiny_generator)
_text_encoder = functools.cache(tiny_text_encoder)
_style_encoder = functools.cache(tiny_style_encoder)
_discriminator = functools.cache(tiny_discriminator)
_joint = functools.cache(tiny_joint_embedding)


def _gan(**arguments):
    networks = _generator(), _discriminator(), _text_encoder()
    return keras_t2i.TextToImageGAN(*networks, **arguments)


def _inversion(**arguments):
    networks = _generator(), _text_encoder(), _style_encoder()
    return keras_t2i.StyleInversion(*networks, **arguments)


def _joint_embedding(**arguments):
    joint = _joint()
    return keras_t2i.JointEmbedding(
        joint.text_encoder, joint.image_encoder, num_classes=2, **arguments
    )


def _image_grid(**arguments):
    return callbacks.ImageGrid("samples", ["a rose"], **arguments)


def _recorder(**arguments):
    arguments = {"steps_per_epoch": 5, **arguments}
    return callbacks.RunRecorder("metrics.jsonl", **arguments)


def _stop(**arguments):
    return callbacks.StopAfter(_recorder(), **arguments)


def _client(**arguments):
    return export.Client("http://localhost:8501/v1/models/a", **arguments)


def _image_encoder(**arguments):
    return text.image_encoder(**{"image_size": 32, **arguments})


def _staged_matching(**arguments):
    return keras_t2i.StagedMatching(start_step=1, **arguments)


@pytest.mark.parametrize(
    "make, name",
    [
        (_gan, "mismatch_weight"),
        (_gan, "mode_seeking_weight"),
        (_gan, "image_noise"),
        (_gan, "ema_decay"),
        (_gan, "seed"),
        (keras_t2i.PixelDiscriminator, "penalty_weight"),
        (keras_t2i.FeatureDiscriminator, "network_size"),
        (keras_t2i.FeatureDiscriminator, "projection_seed"),
        (_inversion, "reconstruction_weight"),
        (_inversion, "seed"),
        (_joint_embedding, "class_head_weight"),
        (_staged_matching, "accuracy_threshold"),
        (_staged_matching, "smoothing"),
        (_image_encoder, "image_size"),
        (_image_encoder, "embedding_dim"),
        (_image_encoder, "width"),
        (text.feature_encoder, "num_features"),
        (losses.SoftmaxJointEmbedding, "temperature"),
        (losses.StructuredJointEmbedding, "margin"),
        (_image_grid, "images_per_caption"),
        (_image_grid, "every_steps"),
        (_image_grid, "seed"),
        (_image_grid, "first_step"),
        (_recorder, "steps_per_epoch"),
        (_recorder, "first_seconds"),
        (_stop, "steps"),
        (_stop, "minutes"),
        (lambda **share: callbacks.BeginDecay(_stop(), **share), "share"),
        (callbacks.CollapseWarning, "patience"),
        (lambda **n: callbacks.Checkpoints("a", **n), "every_seconds"),
        (lambda **n: callbacks.TensorBoardWriter("a", "b", **n), "every_steps"),
        (datasets.BloomsSource, "num_images"),
        (lambda **n: blooms.captions_between("test", **n), "num_pairs"),
        (blooms.content_of_class, "class_id"),
        (lambda **size: vocabulary_of(["a rose"], **size), "size"),
        (lambda **n: style_clusters([[0.0], [1.0]], **n), "num_clusters"),
        (_client, "timeout"),
        (
            lambda **n: plots.animated_gif(
                np.zeros((1, 8, 8, 3), "uint8"), **n
            ),
            "seconds_per_image",
        ),
    ],
)
def test_a_bad_number_is_refused_by_its_name(make, name):
    for value in _NEITHER_NUMBERS_NOR_FINITE:
        with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: "):
            make(**{name: value})


@pytest.mark.parametrize("network", [None, "runs/gan", []])
def test_networks_that_are_none(network):
    others = _text_encoder(), _style_encoder()
    with pytest.raises(ValueError, match="`generator` must be a generator of"):
        keras_t2i.StyleInversion(network, *others)
    with pytest.raises(ValueError, match="`style_encoder` must be a style enc"):
        keras_t2i.StyleInversion(_generator(), others[0], network)
    with pytest.raises(ValueError, match="`image_encoder` must be .*Received"):
        keras_t2i.JointEmbedding(others[0], network)


def test_a_path_in_place_of_a_source(tmp_path):
    with pytest.raises(ValueError, match="must be a `Source`.*data/oxford"):
        datasets.prepare("data/oxford", tmp_path / "out")
    assert not (tmp_path / "out").exists()
