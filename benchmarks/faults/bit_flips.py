"""One bit is flipped in a file that this library has written, which is read.

Of two flips one is anywhere in a file. The other is near its begin or its end,
where lies what tells the rest: headers, tables of contents, checksums.
"""

import hashlib
import json
import shutil
import time

import keras
import numpy as np

from benchmarks.faults.counts import shares
from benchmarks.faults.operations import make_operations
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.errors import TrainingError
from keras_t2i.export import Client
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_style_encoder
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.run_folder import RunFolder
from tests.cli.run_states import state_of_model

_EDGE = 2048


def run(counts, whole, folder, count, seed):
    """Flips `count` bits, at places that `seed` decides."""
    generator = np.random.default_rng(seed)
    folders = {}
    for name, operation in make_operations(whole).items():
        operation.run_undisturbed()
        folders[name] = shutil.copytree(operation.whole, folder / name)
    kinds = _kinds(folders)
    for (kind, (files, read)), number in zip(
        kinds.items(), shares(count, len(kinds))
    ):
        started = time.monotonic()
        original = read()
        for _ in range(number):
            # By the bytes of the files, or each file alike.
            sizes = np.array([file.stat().st_size for file in files])
            chances = sizes if generator.integers(2) else np.ones(len(files))
            chances = chances / chances.sum()
            file = files[generator.choice(len(files), p=chances)]
            _flip(counts, kind, file, generator, read, original)
        print(f"{kind}: {time.monotonic() - started:.0f} s", flush=True)


def _kinds(folders):
    """The files of each kind, and a function that reads them into a digest."""
    data, text, gan = (
        folders[name] for name in ("prepare", "train-text", "train")
    )
    embeddings, style = folders["embed"], folders["train-style"]
    preset, run = gan.parent / "preset", RunFolder(gan)
    load_gan(gan).save_to_preset(preset)
    (version,) = (p for p in folders["export"].iterdir() if p.is_dir())
    last = run.checkpoints / f"step-{run.last_step():08d}.keras"
    return {
        "shards": (_shards(data), lambda: _of_data(data)),
        "manifests": ([data / MANIFEST_FILE], lambda: _of_data(data)),
        "embeddings": (
            _shards(embeddings),
            lambda: _of_embeddings(embeddings, data),
        ),
        "manifests of embeddings": (
            [embeddings / MANIFEST_FILE],
            lambda: _of_embeddings(embeddings, data),
        ),
        "checkpoints": (
            [last],
            lambda: _of_model(run.load_checkpoint(TextToImageGAN)),
        ),
        "`.keras` of a GAN": (
            [gan / "model.keras"],
            lambda: _of_model(load_gan(gan)),
        ),
        "`.keras` of a text encoder": (
            [text / "model.keras"],
            lambda: _of_model(load_text_encoder(text)),
        ),
        "`.keras` of a style encoder": (
            [style / "model.keras"],
            lambda: _of_model(load_style_encoder(style)),
        ),
        "preset folders": (
            _all_files(preset),
            lambda: _of_model(load_gan(preset)),
        ),
        "SavedModels": (
            _all_files(version),
            lambda: _of_served(version),
        ),
    }


def _shards(folder):
    return sorted(folder.glob("*.tfrecord"))


def _all_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _flip(counts, kind, file, generator, read, original):
    content = file.read_bytes()
    changed = bytearray(content)
    edge = min(_EDGE, len(content))
    place = int(generator.integers(len(content)))
    match generator.integers(4):
        case 0:
            place = int(generator.integers(edge))
        case 1:
            place = len(content) - 1 - int(generator.integers(edge))
    bit = int(generator.integers(8))
    changed[place] ^= 1 << bit
    file.write_bytes(changed)
    where = f"bit {bit} of byte {place:,} of {len(content):,} of {file}"
    try:
        is_same = read() == original
        counts.add(kind, "harmless" if is_same else "silent", where)
    except (ValueError, TrainingError) as error:
        names_it = str(file.parent) in str(error)
        outcome = "found" if names_it else "traceback"
        counts.add(kind, outcome, f"{where}: {error!r}")
    except Exception as error:
        counts.add(kind, "traceback", f"{where}: {error!r}")
    finally:
        file.write_bytes(content)


def _digest(*values):
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            value = str(value.shape).encode() + value.tobytes()
        digest.update(repr(value).encode())
    return digest.hexdigest()


def _of_data(data):
    manifest = read_manifest(data)
    values = [manifest]
    for split in manifest.splits:
        examples = PreparedExamples(data, split)
        values += [split, examples.class_ids, examples.ids]
        values += [examples.read(index) for index in range(len(examples))]
    return _digest(*values)


def _of_embeddings(embeddings, data):
    values = [read_embedding_manifest(embeddings)]
    for split in read_manifest(data).splits:
        rows = ExtractedEmbeddings(embeddings, PreparedExamples(data, split))
        values += [rows.read(index) for index in range(len(rows))]
    return _digest(*values)


def _of_model(model):
    config = keras.saving.serialize_keras_object(model)
    text = json.dumps(config, sort_keys=True, default=str)
    return _digest(text, *state_of_model(model))


def _of_served(version):
    client = Client(version)
    captions = ["a red flower", "a blue flower with a yellow center"]
    return _digest(
        client.embed_text(captions),
        client.generate(captions),
        client.interpolate(captions[:1], captions[1:], steps=2),
    )
