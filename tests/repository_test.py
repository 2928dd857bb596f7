"""Holds pages and settings to what they name: files, headings, versions."""

import configparser
import inspect
import pathlib
import re
import types

import pytest

import keras_t2i

_ROOT = pathlib.Path(__file__).parents[1]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
# The pages that `mkdocs build --strict` does not see.
_PAGES = [
    *(path.name for path in sorted(_ROOT.glob("*.md"))),
    "saved_models/README.md",
]


def _anchors(page):
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in _HEADING.findall(page.read_text("utf-8"))
    }


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page):
    for link in _LINK.findall((_ROOT / page).read_text("utf-8")):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (_ROOT / page).parent / file
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_the_api_reference_has_all_public_modules():
    shown = {
        path.stem
        for path in (_ROOT / "docs" / "api").glob("*.md")
        if f"::: keras_t2i.{path.stem}\n" in path.read_text("utf-8")
    }
    assert shown == {
        name
        for name in keras_t2i.__all__
        if isinstance(getattr(keras_t2i, name), types.ModuleType)
    }


def test_no_module_is_long():
    modules = (_ROOT / "keras_t2i").rglob("*.py")
    lines = {
        path.name: len(path.read_text("utf-8").splitlines()) for path in modules
    }
    assert {name: n for name, n in lines.items() if n > 450} == {}


def test_train_step_fits_a_screen():
    train_step = keras_t2i.TextToImageGAN.train_step
    assert len(inspect.getsource(train_step).splitlines()) <= 45


def test_pre_commit_has_the_versions_of_setup_cfg():
    config = configparser.ConfigParser()
    config.read(_ROOT / "setup.cfg")
    extras = "\n".join(config["options.extras_require"].values()).splitlines()
    text = (_ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    named = re.findall(r'additional_dependencies: \["(.+)"\]', text)
    assert named
    assert set(named) <= set(extras)
