"""`prepare coco_captions`, and training streams, at the size of MS-COCO.

    python benchmarks/coco.py --folder /tmp/coco

Renders as many images and captions as the training images of 2014 have, in
COCO's layout, and prepares them twice: once undisturbed, once interrupted by
Ctrl-C and killed. Both must give the same files. Then reads batches, with hard
negatives too, from all images and from a tenth of them, and embeds the captions
of that tenth. The folder takes 4 GB and is left there.
"""

import argparse
import io
import json
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
from memory import peak_until_end

from keras_t2i.datasets.batches import from_arrays
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.shards import write_embeddings
from keras_t2i.files import file_sha256

_CAPTIONS_PER_IMAGE = 414_113 / 82_783
_EMBEDDING_DIM = 1024
_BATCH_SIZE = 64
# Longer over shorter side, and how many images of COCO have it, roughly.
_RATIOS, _SHARES = (4 / 3, 3 / 2, 1.0), (0.6, 0.35, 0.05)
# Encoded once each; every file gets a comment of its own.
_NUM_DIFFERENT_IMAGES = 200
# When to interrupt: once more than this share of the shards is whole, and one
# more than before.
_INTERRUPTIONS = (
    (0.0, signal.SIGKILL),
    (0.3, signal.SIGINT),
    (0.6, signal.SIGKILL),
)
_STREAMS = {
    "token ids, no mismatches": {"mismatched": False},
    "token ids": {},
    "embeddings": {"text_embeddings": True},
    "embeddings, mean of 4 captions, nearest of 8 mismatches": {
        "text_embeddings": True,
        "captions_per_image": 4,
        "mismatch_candidates": 8,
    },
    "embeddings, mean of 4 captions, nearest of 64 mismatches": {
        "text_embeddings": True,
        "captions_per_image": 4,
        "mismatch_candidates": 64,
    },
}
_ALL_ALIKE = "token ids, one caption common to all images but ten"
_WORDS = {
    "count": ["A", "A", "A", "Two", "Three", "Several", "A group of", "The"],
    "adjective": "small large young old red blue white black wooden wet "
    "empty busy colorful striped bright dirty".split(),
    "noun": "man woman dog cat train bus horse skateboard pizza bench table "
    "kitchen giraffe elephant zebra child clock toilet laptop sheep boat bird "
    "umbrella sandwich plane motorcycle truck sign".split(),
    "verb": "sitting standing riding eating holding playing looking walking "
    "flying parked lying jumping".split(),
    "place": ["on a street", "in a field", "next to a window", "at the beach"]
    + ["in front of a building", "under a tree", "on top of a plate"]
    + ["with a caf\u00e9 behind", "near the water", "in the snow"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--num-images", type=int, default=82_783)
    parser.add_argument(
        "--long-side", type=int, default=160, help="640 as in COCO itself"
    )
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--stream", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder
    if arguments.stream:
        name, data = arguments.stream
        num_images = read_manifest(data).splits["train"].num_images
        measured = _read_stream(name, data, num_images, arguments.batches)
        # Most at one time of this process, which starts no others.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        _row(name, f"{num_images:,}", *measured, f"{peak:.2f}")
        return
    # In the background of a shell Ctrl-C is ignored, by what it starts too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepared, tenth = folder / "prepared", folder / "tenth"
    if not (folder / "raw").exists():
        render(folder / "raw", arguments.num_images, arguments.long_side)

    _row("what", "seconds", "CPU seconds", "GiB")
    _row("---", "---", "---", "---")
    name = f"prepare {arguments.num_images:,} images"
    _row(name, *_run(_prepare(folder, prepared)))
    _row("the same, when it is there", *_run(_prepare(folder, prepared)))
    _interrupt(folder, -(-arguments.num_images // 1000))
    _compare(prepared, folder / "interrupted")
    _take_a_tenth(prepared, tenth)
    argv = ["embed", "--data", tenth, "--out", folder / "embedded"]
    argv = [sys.executable, "-m", "keras_t2i", *argv]
    num_captions = read_manifest(tenth).splits["train"].num_captions
    _row(f"embed {num_captions:,} captions", *_run(argv))

    print()
    names = ("images", "first batch, s", "images/s", "CPU ms an image", "GiB")
    _row("batches of", *names)
    _row("---", *["---"] * len(names))
    for data in (prepared, tenth):
        _write_random_embeddings(data, f"{data}-embeddings")
    for stream in (*_STREAMS, _ALL_ALIKE):
        for data in (tenth, prepared):
            argv = [sys.executable, __file__, "--folder", folder]
            argv += ["--batches", arguments.batches, "--stream", stream, data]
            subprocess.run(list(map(str, argv)), check=True)


def render(folder, num_images, long_side):
    """Writes images and captions as `captions_train2014.json` has them."""
    images = folder / "train2014"
    images.mkdir(parents=True)
    (folder / "annotations").mkdir()
    generator = np.random.default_rng(0)
    different = [
        _jpeg(generator, long_side) for _ in range(_NUM_DIFFERENT_IMAGES)
    ]
    # Ids with gaps, in no order.
    ids = generator.permutation(7 * num_images)[:num_images].tolist()
    values = {"info": {}, "licenses": [], "images": [], "annotations": []}
    for id in ids:
        size, content = different[generator.integers(len(different))]
        file = f"COCO_train2014_{id:012d}.jpg"
        comment = b"\xff\xfe\x00\x0e" + b"%012d" % id
        (images / file).write_bytes(content[:2] + comment + content[2:])
        values["images"].append(
            {"license": 1, "file_name": file, "id": id}
            | {"width": size[0], "height": size[1]}
        )
    num_captions = round(num_images * _CAPTIONS_PER_IMAGE)
    # Five each; some images have six.
    owners = generator.permutation(np.resize(ids, num_captions)).tolist()
    values["annotations"] = [
        {"image_id": owner, "id": number, "caption": caption}
        for number, (owner, caption) in enumerate(
            zip(owners, _captions(generator, num_captions))
        )
    ]
    path = folder / "annotations/captions_train2014.json"
    path.write_text(json.dumps(values))


def _jpeg(generator, long_side):
    """Returns the size and the content of an image as busy as a photograph."""
    short_side = round(long_side / generator.choice(_RATIOS, p=_SHARES))
    size = (long_side, short_side)
    if generator.random() < 0.3:
        size = size[::-1]
    image = PIL.Image.new("RGB", size)
    for scale in (4, 16, 64):
        width, height = (max(2, length * scale // 256) for length in size)
        noise = generator.integers(0, 256, (height, width, 3), np.uint8)
        layer = PIL.Image.fromarray(noise).resize(size, PIL.Image.BICUBIC)
        image = PIL.Image.blend(image, layer, 1.0 if scale == 4 else 0.4)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return size, file.getvalue()


def _captions(generator, count):
    """Returns captions; some are the same, as in COCO."""
    columns = []
    for words in _WORDS.values():
        # Some words are far more frequent than others.
        chances = 1 / np.arange(1, len(words) + 1)
        chances /= chances.sum()
        columns.append(generator.choice(words, count, p=chances).tolist())
    columns.append(generator.choice([".", ".", " .", ". ", ".\n"], count))
    more = generator.choice(_WORDS["place"], count).tolist()
    return [
        f"{' '.join(words)} {extra}{end}" if number % 3 else " ".join(words)
        for number, (*words, end, extra) in enumerate(zip(*columns, more))
    ]


def _prepare(folder, out):
    return [
        *[sys.executable, "-m", "keras_t2i", "prepare", "coco_captions"],
        *["--source", folder / "raw", "--out", out],
    ]


def _run(argv):
    """Runs a command; returns its seconds, CPU seconds and peak GiB."""
    start, cpu = time.monotonic(), _cpu_seconds(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(list(map(str, argv)), stdout=sys.stderr)
    peak = peak_until_end(process)
    cpu = _cpu_seconds(resource.RUSAGE_CHILDREN) - cpu
    seconds = time.monotonic() - start
    return f"{seconds:.0f}", f"{cpu:.0f}", f"{peak / 2**30:.2f}"


def _cpu_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _interrupt(folder, num_shards):
    """Prepares the images with interruptions, and prints what remained."""
    out = folder / "interrupted"
    for share, number in _INTERRUPTIONS:
        enough = max(share * num_shards, _num_whole(out))
        process = subprocess.Popen(
            list(map(str, _prepare(folder, out))), stdout=sys.stderr
        )
        while process.poll() is None and _num_whole(out) <= enough:
            time.sleep(0.5)
        process.send_signal(number)
        sent = time.monotonic()
        code = process.wait()
        name = f"{number.name} ends it with code {code}; "
        name += f"{_num_whole(out)} of {num_shards} shards are whole"
        _row(name, f"{time.monotonic() - sent:.0f}", "", "")
    _row("prepare the rest", *_run(_prepare(folder, out)))


def _num_whole(out):
    return len(list(out.glob("[!.]*.tfrecord")))


def _compare(folder, other):
    files = [
        {path.name: file_sha256(path) for path in sorted(out.iterdir())}
        for out in (folder, other)
    ]
    if files[0] != files[1]:
        raise SystemExit("The interrupted data set differs from the other.")


def _take_a_tenth(folder, out):
    """Makes a data set of a tenth of another one's shards."""
    manifest = read_manifest(folder)
    split = manifest.splits["train"]
    shards = split.shards[: -(-len(split.shards) // 10)]
    out.mkdir()
    for shard in shards:
        (out / shard.file).hardlink_to(folder / shard.file)
    num_images = sum(shard.num_records for shard in shards)
    num_captions = round(num_images * _CAPTIONS_PER_IMAGE)
    manifest.splits["train"] = Split(num_images, num_captions, shards)
    write_manifest(out, manifest)


def _write_random_embeddings(data, out):
    generator = np.random.default_rng(0)

    def rows_of(examples):
        for example in examples:
            shape = (len(example.captions), _EMBEDDING_DIM)
            yield generator.standard_normal(shape, np.float32)

    write_embeddings(data, out, rows_of, lambda: "random")


def _read_stream(name, data, num_images, num_batches):
    """Returns what the row of a stream says of its speed."""
    start = time.monotonic()
    if name == _ALL_ALIKE:
        captions = [["a photo"]] * (num_images - 10)
        captions += [[f"a photo of {number}"] for number in range(10)]
        images = np.zeros((num_images, 8, 8, 3), np.uint8)
        dataset = from_arrays(
            images, captions, batch_size=_BATCH_SIZE, start_step=0
        )
    else:
        options = dict(_STREAMS[name])
        if "text_embeddings" in options:
            options["text_embeddings"] = f"{data}-embeddings"
        dataset = make_dataset(
            data, batch_size=_BATCH_SIZE, start_step=0, **options
        )
    batches = iter(dataset)
    next(batches)
    first = time.monotonic() - start
    start, cpu = time.monotonic(), _cpu_seconds(resource.RUSAGE_SELF)
    for _ in range(num_batches):
        next(batches)
    cpu = 1000 * (_cpu_seconds(resource.RUSAGE_SELF) - cpu)
    num_images = num_batches * _BATCH_SIZE
    rate = num_images / (time.monotonic() - start)
    return f"{first:.1f}", f"{rate:,.0f}", f"{cpu / num_images:.2f}"


def _row(*cells):
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
