"""The notebook, from top to bottom in a kernel of its own."""

import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

_FILE = pathlib.Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
# To trace the training step would take most of the time.
_EAGERLY = """
import warnings

import keras_t2i
import tensorflow as tf

tf.config.run_functions_eagerly(True)
# Of what this test sets.
warnings.filterwarnings("ignore", "Limiting|Even though the `tf.config")
"""
_PROGRESS = """
from keras_t2i.progress import show_progress

with show_progress("Rendering", "images") as on_progress:
    for done in range(4):
        on_progress(done, 3)
"""


def _read():
    return nbformat.read(_FILE, as_version=4)


def _outputs(notebook):
    return [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


def _num_figures(notebook):
    return sum("image/png" in o.get("data", {}) for o in _outputs(notebook))


def _standard_error(notebook):
    texts = [o.text for o in _outputs(notebook) if o.get("name") == "stderr"]
    return "".join(texts)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    notebook = _read()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_EAGERLY))
    notebook.cells.append(nbformat.v4.new_code_cell(_PROGRESS))
    folder = tmp_path_factory.mktemp("notebook")
    # Of Keras: how much of each training is done.
    _execute(
        notebook, folder, KERAS_MAX_EPOCHS="1", KERAS_MAX_STEPS_PER_EPOCH="1"
    )
    return notebook, folder


def _execute(notebook, folder, **environment):
    environment["PYTHONPATH"] = str(_FILE.parents[1])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        ).execute()


def test_every_figure_is_shown(executed):
    notebook, folder = executed
    assert _num_figures(notebook) == 5
    assert (folder / "my_flowers.keras").exists()


@pytest.mark.large
def test_every_figure_is_shown_after_whole_trainings(tmp_path):
    notebook = _read()
    _execute(notebook, tmp_path)
    assert _num_figures(notebook) == 5
    assert (tmp_path / "my_flowers.keras").exists()


def test_progress_is_one_line_that_changes(executed):
    notebook, _ = executed
    (output,) = notebook.cells[-1].outputs
    text = output.data["text/plain"]
    assert text.startswith("Rendering: 3 of 3 images, ")
    # Red, in a notebook.
    assert _standard_error(notebook) == ""


def test_the_repository_has_it_without_outputs():
    # They take a megabyte, and each change of them would stay in the history.
    notebook = _read()
    nbformat.validate(notebook)
    assert not _outputs(notebook)
