"""Holds the names of modules to what a reader can find and import."""

import collections
import importlib
import pathlib

import pytest

import keras_t2i

_ROOT = pathlib.Path(keras_t2i.__file__).parent
_PACKAGES = sorted(path.parent.name for path in _ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("package", _PACKAGES)
def test_no_function_hides_the_module_it_lives_in(package):
    modules = {path.stem for path in (_ROOT / package).glob("*.py")}
    public = importlib.import_module(f"keras_t2i.{package}")
    assert not modules & set(getattr(public, "__all__", ()))


def test_no_two_modules_have_one_name():
    counts = collections.Counter(path.stem for path in _ROOT.rglob("*.py"))
    del counts["__init__"]
    assert [name for name, count in counts.items() if count > 1] == []
