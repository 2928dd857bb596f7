"""Files that earlier code has saved are read, and mean what they meant."""

import json
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_t2i.cli.main import main
from keras_t2i.datasets import make_dataset
from tests.golden.make_golden import MODELS
from tests.golden.outputs import outputs_of
from tests.tiny_models import vivid_gan

_FOLDER = pathlib.Path(__file__).parent
_EXPECTED = dict(np.load(_FOLDER / "expected.npz"))
# Other machines sum in another order.
_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
_LOAD_ALL = """
import sys
import keras_t2i
import keras
for file in sys.argv[2:]:
    model = keras.saving.load_model(file)
    print(type(model).__name__)
print(int(model.generator_optimizer.iterations))
print(model.generate(["a rose", "an iris"], seed=3).sum())
import json
for config in json.load(open(sys.argv[1])):
    print(type(keras.saving.deserialize_keras_object(config)).__name__)
"""


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:The text encoder does not know")
def test_a_model_of_earlier_code_gives_the_same_outputs(name):
    model = keras.saving.load_model(_FOLDER / f"{name}.keras")
    outputs = outputs_of(model)
    expected = {
        key.partition("/")[2]: values
        for key, values in _EXPECTED.items()
        if key.startswith(f"{name}/")
    }
    assert set(outputs) == set(expected)
    for key, values in outputs.items():
        if values.dtype == np.uint8:
            difference = np.abs(values.astype(int) - expected[key])
            assert difference.max() <= 1
        else:
            np.testing.assert_allclose(values, expected[key], **_TOLERANCE)


@pytest.mark.usefixtures("eagerly")
def test_a_compiled_gan_of_earlier_code_trains_on():
    gan = keras.saving.load_model(_FOLDER / "text_to_image_gan.keras")
    assert int(gan.generator_optimizer.iterations) == 1
    assert gan.matching_schedule.start_step == 1
    data = make_dataset(
        _FOLDER / "data",
        batch_size=4,
        text_embeddings=_FOLDER / "embeddings",
    )
    gan.fit(data.take(1), verbose=0)
    assert int(gan.generator_optimizer.iterations) == 2


def test_a_fresh_process_finds_all_classes_by_the_import_alone(tmp_path):
    gan = vivid_gan()
    gan.compile()
    gan.generator_optimizer.iterations.assign(2)
    gan.save(tmp_path / "gan.keras")
    files = [_FOLDER / f"{name}.keras" for name in MODELS]
    files.append(tmp_path / "gan.keras")
    configs = _FOLDER / "configs.json"
    result = subprocess.run(
        [sys.executable, "-c", _LOAD_ALL, configs, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    # No start-up messages, no warnings.
    assert result.stderr == ""
    images = gan.generate(["a rose", "an iris"], seed=3)
    names = [config["class_name"] for config in json.loads(configs.read_text())]
    assert result.stdout.split() == [
        *("CharCNNRNN", "Generator", "ModulatedGenerator", "Discriminator"),
        *("DiscriminatorEnsemble", "StyleEncoder", "StyleInversion"),
        *("JointEmbedding", "TextToImageGAN", "TextToImageGAN"),
        *("2", str(images.sum(dtype=int))),
        *names,
    ]


def test_a_data_set_of_earlier_code_end_to_end():
    batch = next(iter(make_dataset(_FOLDER / "data", batch_size=4)))
    assert batch["images"].shape == (4, 32, 32, 3)
    assert "text_embeddings" not in batch


@pytest.mark.usefixtures("eagerly")
def test_a_run_of_earlier_code_goes_on(tmp_path, monkeypatch):
    for part in ("data", "run"):
        shutil.copytree(_FOLDER / part, tmp_path / part)
    for file in ("char_cnn_rnn.keras",):
        shutil.copy(_FOLDER / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main("train --out run --resume --steps 3".split()) == 0
    lines = pathlib.Path("run/metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 3
    gan = keras.saving.load_model("run/model.keras")
    assert int(gan.generator_optimizer.iterations) == 3
