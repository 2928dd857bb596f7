"""Runs the `>>>` examples of all docstrings."""

import doctest
import importlib
import os
import pkgutil
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i

_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
_NAMESPACE = {
    "keras": keras,
    "keras_t2i": keras_t2i,
    "np": np,
    "os": os,
    "tempfile": tempfile,
    "tf": tf,
}


def _doctests():
    """Module names to their doctests."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for info in pkgutil.walk_packages(keras_t2i.__path__, "keras_t2i."):
        module = importlib.import_module(info.name)
        tests = [test for test in finder.find(module) if test.examples]
        if tests:
            found[info.name] = tests
    return found


DOCTESTS = _doctests()


def test_there_are_examples():
    names = {test.name for tests in DOCTESTS.values() for test in tests}
    assert len(DOCTESTS) >= 20
    assert len(names) >= 25
    assert {
        "keras_t2i.models.text_to_image_gan.TextToImageGAN",
        "keras_t2i.losses.adversarial.discriminator_loss",
        "keras_t2i.tokenizers.tokenize",
        "keras_t2i.files.atomic_write",
    } <= names


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("module", DOCTESTS)
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=_FLAGS)
    report = []
    for test in DOCTESTS[module]:
        test.globs = dict(_NAMESPACE)
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    # An example that leaves files behind would do so for a reader too.
    assert list(tmp_path.iterdir()) == []
