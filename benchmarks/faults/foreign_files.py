"""Damaged files of other programs are read: cut, changed, with parts moved.

Their formats have few checksums, so what is changed may pass for another file.
But one that is cut off must not pass for the whole.
"""

import faulthandler
import functools
import io
import pickle
import resource
import sys
import time

import numpy as np
from PIL import Image

from keras_t2i.datasets.coco_captions import CocoCaptions
from keras_t2i.datasets.cub_birds import CubBirds
from keras_t2i.datasets.folder import CaptionedFolder
from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.oxford_flowers import OxfordFlowers
from keras_t2i.formats.pickled_list import read_pickled_list
from keras_t2i.reading import UnusableFileError
from keras_t2i.torch_files import read_t7
from tests.damaged_files import damaged
from tests.damaged_files import measured
from tests.datasets.coco_captions_test import write_coco
from tests.datasets.cub_birds_test import write_birds
from tests.datasets.folder_test import write_json_lines
from tests.datasets.published_embeddings_test import LAYOUTS
from tests.datasets.published_embeddings_test import contents_of
from tests.datasets.published_embeddings_test import read_all
from tests.datasets.raw_files import write_class_list
from tests.datasets.raw_files import write_flower
from tests.datasets.raw_files import write_image
from tests.datasets.raw_files import write_text
from tests.formats.hdf5_file_test import read_all as read_hdf5
from tests.formats.hdf5_file_test import write_all_kinds
from tests.formats.pickled_list_test import ARRAYS
from tests.formats.pickled_list_test import VALUES
from tests.formats.t7_test import everything
from tests.formats.t7_writer import t7_bytes
from tests.torch_files.damaged_networks_test import LOADERS
from tests.torch_files.torch_networks import Builder

_MAX_BYTES = 2**30
_MAX_SECONDS = 10
# Then the reader is stuck, and all ends with a traceback of where.
_STUCK_SECONDS = 60
# Of each reader that makes networks of what it has read.
_NETWORKS_SHARE = 0.05
# What no reader does.
_EVENTS = (
    *("ctypes.dlopen", "ftplib.connect", "os.exec", "os.fork", "os.remove"),
    *("os.posix_spawn", "os.rename", "os.spawn", "os.startfile", "os.system"),
    *(
        "pickle.find_class",
        "shutil.rmtree",
        "socket.connect",
        "subprocess.Popen",
    ),
)
_TEXTS = (".csv", ".json", ".jsonl", ".txt")


def run(counts, whole, folder, count, seed):
    """Damages `count` files for each reader."""
    del whole
    executed = []
    is_watched = False

    def watch(event, arguments):
        if is_watched and event in _EVENTS:
            executed.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(watch)
    for name, (write, read) in _readers().items():
        path = write(folder / name.replace(" ", "_").replace(",", ""))
        contents = contents_of(path)
        original = read(path)  # It also loads what is needed for it.
        _limit_memory()
        started = time.monotonic()
        files = list(contents)
        share = _NETWORKS_SHARE if name.startswith("network") else 1
        number = max(1, round(share * count))
        for place in range(number):
            generator = np.random.default_rng([seed, place])
            file = files[place % len(files)]
            variant = damaged(contents[file], generator)
            file.write_bytes(variant)
            faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
            is_watched = True
            outcome, reason = _outcome(read, path, place)
            is_watched = False
            faulthandler.cancel_dump_traceback_later()
            is_cut = variant != contents[file] and contents[file].startswith(
                variant
            )
            # Text that ends early is text.
            if outcome == "harmless" and is_cut and file.suffix not in _TEXTS:
                result = read(path)
                # Some formats end with bytes that say nothing.
                is_same = isinstance(result, bytes) and result == original
                outcome = "harmless" if is_same else "silent"
            if executed:
                outcome, reason = "executed", str(executed)
                executed.clear()
            counts.add(name, outcome, f"seed {place}, {file}: {reason}")
            file.write_bytes(contents[file])
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def _outcome(read, path, seed):
    try:
        was_refused, seconds, peak = measured(read, path, seed)
    except MemoryError as error:
        return "too much", repr(error)
    except Exception as error:
        return "traceback", repr(error)
    if peak > _MAX_BYTES or seconds > _MAX_SECONDS:
        return "too much", f"{peak:,} bytes, {seconds:.1f} s"
    return ("found" if was_refused else "harmless"), ""


def _limit_memory():
    """From here on, 1 GiB may be asked for, whatever the library."""
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + _MAX_BYTES, hard))


# === The readers: each with a function that writes a whole file ===


def _readers():
    readers = {
        "t7": (_writer(".t7", lambda: t7_bytes(everything())), read_t7),
        "HDF5": (_write_hdf5, read_hdf5),
    }
    for protocol in (0, 2, 5):
        dump = functools.partial(pickle.dumps, VALUES + ARRAYS, protocol)
        readers[f"pickle, protocol {protocol}"] = (
            _writer(".pickle", dump),
            read_pickled_list,
        )
    for layout, write in LAYOUTS.items():
        readers[f"embeddings, {layout}"] = (write, read_all)
    for suffix in (".jpg", ".png", ".gif", ".bmp", ".tif", ".webp", ".ppm"):
        readers[f"image, {suffix[1:]}"] = (_image_writer(suffix), _read_image)
    readers["folder of images, captions.jsonl"] = (
        _write_json_folder,
        _reader(CaptionedFolder),
    )
    readers["folder of images, captions.csv"] = (
        _write_csv_folder,
        _reader(CaptionedFolder),
    )
    readers["COCO"] = (_write_coco, _reader(CocoCaptions))
    readers["CUB"] = (_write_cub, _reader(CubBirds))
    readers["Oxford flowers"] = (_write_flowers, _reader(OxfordFlowers))
    for load, network in LOADERS.items():
        readers[f"network, {network.__name__}"] = (
            _writer(".t7", functools.partial(_t7_of, network)),
            load,
        )
    return readers


def _t7_of(network):
    return t7_bytes(network(Builder()))


def _writer(suffix, content):
    def write(path):
        path = path.with_name(path.name + suffix)
        path.write_bytes(content())
        return path

    return write


def _write_hdf5(path):
    return write_all_kinds(path.with_suffix(".h5"))


def _image_writer(suffix):
    def write(path):
        path = path.with_name(path.name + suffix)
        pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), "uint8")
        Image.fromarray(pixels).save(path)
        return path

    return write


def _read_image(path):
    return _pixels(read_image(path, 16))


def _pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB").tobytes()


def _reader(source_class):
    """Reads a data set as `prepare` does: images that fail are left out."""

    def read(path):
        found = []
        try:
            source = source_class(path)
            left_out = list(source.unusable)
            for keys in source.splits().values():
                for key in keys:
                    try:
                        record = source.read(key, 16)
                    except UnusableFileError as error:
                        left_out.append(error)
                        continue
                    left_out += record.left_out
                    found.append((record.captions, _pixels(record.image)))
        except ValueError as error:
            # The command names the folder by its option.
            raise ValueError(f"{path}: {error}") from None
        # `prepare` lists them, which counts as an error here.
        if left_out:
            raise ValueError(f"{path}: {left_out[0]}")
        return repr(found).encode()

    return read


def _write_json_folder(root):
    for name in ("a.png", "b/c.png"):
        write_image(root / name)
    captions = {"a.png": ["a rose", "red"], "b/c.png": ["a tulip"]}
    write_json_lines(root, **captions)
    return root


def _write_csv_folder(root):
    write_image(root / "a.png")
    table = 'file,caption\na.png,"a, rose"\na.png,b\n'
    write_text(root / "captions.csv", table)
    return root


def _write_coco(root):
    write_coco(root, "2014")
    return root


def _write_cub(root):
    write_birds(root)
    return root


def _write_flowers(root):
    for number in range(1, 5):
        write_flower(root, number, number)
    for split, classes in (("train", [1, 2]), ("val", [3]), ("test", [4])):
        write_class_list(root, split, classes)
    return root
