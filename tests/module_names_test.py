"""Holds the names of modules to what a reader can find and import."""

import collections
import importlib
import pathlib

import pytest

import keras_t2i

_ROOT = pathlib.Path(keras_t2i.__file__).parent
_PACKAGES = (
    *("applications", "callbacks", "evaluation", "export", "losses"),
    *("metrics", "plots"),
)


@pytest.mark.parametrize("package", _PACKAGES)
def test_no_function_hides_the_module_it_lives_in(package):
    modules = {path.stem for path in (_ROOT / package).glob("*.py")}
    public = importlib.import_module(f"keras_t2i.{package}").__all__
    assert not modules & set(public)


@pytest.mark.parametrize("package", _PACKAGES)
def test_no_module_is_called_as_one_of_another_package(package):
    counts = collections.Counter(path.stem for path in _ROOT.rglob("*.py"))
    modules = {path.stem for path in (_ROOT / package).glob("*.py")}
    assert [name for name in modules - {"__init__"} if counts[name] > 1] == []
