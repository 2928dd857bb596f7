import gc
import io
import itertools
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_t2i.datasets.batches import make_captions_dataset
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.fit_checks import checked_batches
from keras_t2i.text.embeddings import extract_embeddings
from tests.captions_of_all_kinds import CAPTIONS_OF_ALL_KINDS
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import noise_image
from tests.datasets.prepared_sets import texts_of
from tests.datasets.prepared_sets import write_prepared_set
from tests.tiny_models import randomize
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_text_encoder

_CLASSES = ("rose", "tulip", "lily", "aster")
_NUM_TRAIN = 12


def _class(number):
    return number % 4


def _captioned(number):
    """Image `number` with three captions, which name it and its class."""
    captions = tuple(f"{number} {_class(number)} {word}" for word in "abc")
    return example(number, _class(number), captions)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve images to train on, of 10 x 12 pixels for squares of 8."""
    folder = tmp_path_factory.mktemp("data")
    splits = {
        "train": [[_captioned(n) for n in range(n, n + 6)] for n in (0, 6)],
        "val": [[_captioned(n) for n in range(12, 15)]],
        "test": [[_captioned(n) for n in range(15, 20)]],
    }
    write_prepared_set(folder, splits, _CLASSES)
    return folder


@pytest.fixture(scope="module")
def embeddings(data, tmp_path_factory):
    encoder = tiny_text_encoder()
    randomize(encoder)
    folder = tmp_path_factory.mktemp("embeddings")
    extract_embeddings(encoder, data, folder)
    return folder


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def _assert_equal(batches, others):
    assert len(batches) == len(others) > 0
    for batch, other in zip(batches, others):
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])


def _fields(token_ids):
    """Image numbers, classes and letters that texts name."""
    words = [text.split() for text in texts_of(token_ids)]
    return [(int(n), int(c), letter) for n, c, letter in words]


def _numbers(batch):
    return [number for number, _, _ in _fields(batch["token_ids"])]


def _pixels(image):
    return np.round((image + 1) * 127.5).astype(np.uint8)


# === What a batch holds ===


def test_token_ids(data):
    (batch,) = _take(make_dataset(data, batch_size=5), 1)
    assert {name: (v.dtype.name, v.shape) for name, v in batch.items()} == {
        "images": ("float32", (5, 8, 8, 3)),
        "token_ids": ("int32", (5, 201)),
        "mismatched_token_ids": ("int32", (5, 201)),
    }


def test_text_embeddings(data, embeddings):
    dataset = make_dataset(data, batch_size=5, text_embeddings=embeddings)
    (batch,) = _take(dataset, 1)
    assert {name: (v.dtype.name, v.shape) for name, v in batch.items()} == {
        "images": ("float32", (5, 8, 8, 3)),
        "text_embeddings": ("float32", (5, 16)),
        "mismatched_text_embeddings": ("float32", (5, 16)),
    }


@pytest.mark.parametrize("in_words", [True, False])
def test_shapes_are_known_beforehand(data, embeddings, in_words):
    dataset = make_dataset(
        data, batch_size=5, text_embeddings=None if in_words else embeddings
    )
    text_shape = (5, 201) if in_words else (5, 16)
    shapes = {k: tuple(v.shape) for k, v in dataset.element_spec.items()}
    assert shapes.pop("images") == (5, 8, 8, 3)
    assert list(shapes.values()) == [text_shape, text_shape]


@pytest.mark.parametrize(
    "make",
    [
        make_dataset,
        make_pairs_dataset,
        make_captions_dataset,
        lambda data: make_dataset(data, start_step=0),
    ],
)
def test_a_stream_that_ends_does_not_wait_for_a_tuner(data, make):
    assert make(data).options().autotune.enabled is False


def test_without_mismatched_texts(data, embeddings):
    dataset = make_dataset(data, mismatched=False)
    assert set(dataset.element_spec) == {"images", "token_ids"}
    dataset = make_dataset(data, text_embeddings=embeddings, mismatched=False)
    assert set(dataset.element_spec) == {"images", "text_embeddings"}


def test_images_and_texts_belong_together(data):
    for batch in _take(make_dataset(data, batch_size=6, start_step=0), 20):
        for image, (number, class_id, _) in zip(
            batch["images"], _fields(batch["token_ids"])
        ):
            assert class_id == _class(number)
            assert _placement(_pixels(image), number) is not None


def test_embeddings_are_those_of_the_texts(data, embeddings):
    # The same seed draws the same images and captions in either form.
    in_words = make_dataset(data, batch_size=6, start_step=0, mismatched=False)
    embedded = make_dataset(
        data,
        batch_size=6,
        start_step=0,
        text_embeddings=embeddings,
        mismatched=False,
    )
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "train"))
    for words, batch in zip(_take(in_words, 6), _take(embedded, 6)):
        np.testing.assert_array_equal(words["images"], batch["images"])
        for number, row in zip(_numbers(words), batch["text_embeddings"]):
            assert row.tolist() in extracted.read(number).tolist()


def test_all_captions_occur(data):
    batches = _take(make_dataset(data, batch_size=12, start_step=0), 40)
    for name in ("token_ids", "mismatched_token_ids"):
        drawn = [f for batch in batches for f in _fields(batch[name])]
        counts = {field: drawn.count(field) for field in set(drawn)}
        assert len(counts) == 36
        # 13.3 expected; the standard deviation is 3.6.
        assert 2 <= min(counts.values()) and max(counts.values()) <= 27


def test_mismatched_texts_are_of_other_classes(data, embeddings):
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "train"))
    class_of = {
        tuple(row): _class(number)
        for number in range(_NUM_TRAIN)
        for row in extracted.read(number).tolist()
    }
    assert len(class_of) == 36
    in_words = make_dataset(data, batch_size=12, start_step=0)
    for batch in _take(in_words, 50):
        for own, other in zip(
            _fields(batch["token_ids"]), _fields(batch["mismatched_token_ids"])
        ):
            assert own[1] != other[1]
    embedded = make_dataset(
        data, batch_size=12, start_step=0, text_embeddings=embeddings
    )
    for batch in _take(embedded, 50):
        for own, other in zip(
            batch["text_embeddings"].tolist(),
            batch["mismatched_text_embeddings"].tolist(),
        ):
            assert class_of[tuple(own)] != class_of[tuple(other)]


def test_mismatched_texts_without_classes(tmp_path):
    captions = [("a", "b"), ("b", "c"), ("d",), ("c",)]
    shard = [example(n, captions=texts) for n, texts in enumerate(captions)]
    write_prepared_set(tmp_path, {"train": [shard]})
    allowed = {"a": "cd", "b": "d", "c": "ad", "d": "abc"}
    # Image 0 may meet image 3, and image 1 nobody but image 2.
    dataset = make_dataset(tmp_path, batch_size=4, start_step=0)
    seen = {letter: set() for letter in allowed}
    for batch in _take(dataset, 100):
        for own, other in zip(
            texts_of(batch["token_ids"]),
            texts_of(batch["mismatched_token_ids"]),
        ):
            seen[own].add(other)
    assert seen["a"] == {"c", "d"}
    assert seen["b"] == {"c", "d"}
    assert seen["c"] == {"a", "b", "d"}
    assert seen["d"] == {"a", "b", "c"}


# === Seed and step ===


@pytest.mark.parametrize("with_embeddings", [False, True])
def test_a_stream_that_starts_later_is_the_same_stream(
    data, embeddings, with_embeddings
):
    options = {
        "text_embeddings": embeddings if with_embeddings else None,
        "batch_size": 4,
    }
    whole = _take(make_dataset(data, start_step=0, **options), 17)
    # Three steps an epoch: what follows crosses a boundary each time.
    for step in (1, 2, 3, 5, 8, 13):
        later = make_dataset(data, start_step=step, **options)
        _assert_equal(_take(later, 4), whole[step : step + 4])


def test_a_stream_that_starts_far_away(data):
    start = 10**12 + 1
    first, second = _take(make_dataset(data, batch_size=4, start_step=start), 2)
    (again,) = _take(make_dataset(data, batch_size=4, start_step=start + 1), 1)
    _assert_equal([again], [second])


def test_seed(data):
    def stream(seed):
        dataset = make_dataset(data, batch_size=4, start_step=0, seed=seed)
        return _take(dataset, 6)

    _assert_equal(stream(3), stream(3))
    assert not np.array_equal(stream(3)[0]["images"], stream(4)[0]["images"])


def test_each_epoch_holds_each_image_once(data):
    batches = _take(make_dataset(data, batch_size=4, start_step=0), 60)
    epochs = [
        tuple(
            number for batch in batches[i : i + 3] for number in _numbers(batch)
        )
        for i in range(0, 30, 3)
    ]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len(set(epochs)) == 10


def test_trainval_holds_both_splits(data):
    batches = _take(make_dataset(data, "trainval", 5, start_step=0), 3)
    numbers = [number for batch in batches for number in _numbers(batch)]
    assert sorted(numbers) == list(range(15))


def test_one_epoch_at_a_time(data):
    dataset = make_dataset(data, batch_size=5)
    assert dataset.cardinality().numpy() == len(dataset) == 2
    epochs = [list(dataset.as_numpy_iterator()) for _ in range(3)]
    orders = []
    for batches in epochs:
        assert len(batches) == 2
        orders.append(tuple(n for batch in batches for n in _numbers(batch)))
        assert len(set(orders[-1])) == 10
    assert len(set(orders)) == 3
    # The same again from a new data set, and what an endless stream gives.
    again = make_dataset(data, batch_size=5)
    endless = make_dataset(data, batch_size=5, start_step=0)
    _assert_equal(_take(again, 2) + _take(again, 2), epochs[0] + epochs[1])
    _assert_equal(_take(endless, 6), list(itertools.chain(*epochs)))


def test_fewer_images_than_a_batch_repeat(data):
    dataset = make_dataset(data, "val", batch_size=8)
    assert len(dataset) == 1
    (batch,) = _take(dataset, 1)
    counts = np.bincount(_numbers(batch), minlength=15)[12:]
    assert sorted(counts.tolist()) == [2, 3, 3]


# === Crops ===


def _placement(pixels, number):
    """Where in image `number` the pixels were cut, and whether flipped."""
    whole = noise_image(number)
    side = len(pixels)
    for top in range(whole.shape[0] - side + 1):
        for left in range(whole.shape[1] - side + 1):
            crop = whole[top : top + side, left : left + side]
            for flipped in (False, True):
                if np.array_equal(crop[:, ::-1] if flipped else crop, pixels):
                    return top, left, flipped
    return None


def test_training_crops_are_anywhere_and_flipped_half_the_time(data):
    batches = _take(make_dataset(data, batch_size=12, start_step=0), 60)
    placements = [
        _placement(_pixels(image), number)
        for batch in batches
        for image, number in zip(batch["images"], _numbers(batch))
    ]
    counts = {place: placements.count(place) for place in set(placements)}
    # Three places down, five across, two ways round; 24 each are expected,
    # and the standard deviation is below 5.
    assert set(counts) == set(
        itertools.product(range(3), range(5), (False, True))
    )
    assert 8 <= min(counts.values()) and max(counts.values()) <= 44
    flips = sum(flipped for _, _, flipped in placements)
    assert 300 <= flips <= 420  # Of 720.


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_splits_are_cropped_at_the_center(data, split):
    for batch in _take(make_dataset(data, split, 3, start_step=0), 8):
        for image, number in zip(batch["images"], _numbers(batch)):
            center = Image.fromarray(noise_image(number)).crop((2, 1, 10, 9))
            np.testing.assert_array_equal(_pixels(image), np.asarray(center))


def test_range_of_images(tmp_path):
    data = tmp_path / "data"
    write_prepared_set(data, {"test": [[example(0), example(1)]]})
    (batch,) = _take(make_dataset(data, "test", 2), 1)
    numbers = [int(text[0]) for text in texts_of(batch["token_ids"])]
    expected = [noise_image(n)[1:9, 2:10] / 127.5 - 1 for n in numbers]
    np.testing.assert_allclose(batch["images"], expected, atol=1e-6)


def test_jpeg_images(tmp_path):
    encoded = io.BytesIO()
    smooth = Image.fromarray(noise_image(0, 3, 3)).resize((10, 10))
    smooth.save(encoded, "JPEG", quality=95)
    shard = [CaptionedImage(name, encoded.getvalue(), (name,)) for name in "ab"]
    write_prepared_set(tmp_path, {"test": [shard]}, image_size=10)
    (batch,) = _take(make_dataset(tmp_path, "test", 2), 1)
    decoded = np.asarray(Image.open(encoded), np.int64)
    # Two decoders round differently.
    assert np.abs(_pixels(batch["images"][0]) - decoded).max() <= 8


@pytest.mark.parametrize("size", [2, 3, 16])
def test_resized_images_are_antialiased(data, size):
    dataset = make_dataset(data, "test", 5, image_size=size)
    (batch,) = _take(dataset, 1)
    assert batch["images"].shape == (5, size, size, 3)
    for image, number in zip(batch["images"], _numbers(batch)):
        center = Image.fromarray(noise_image(number)).crop((2, 1, 10, 9))
        # Pillow's filter covers all pixels that make one of the result.
        resized = center.resize((size, size), Image.Resampling.BILINEAR)
        difference = _pixels(image).astype(int) - np.asarray(resized, int)
        assert np.abs(difference).max() <= 1


# === Several captions of an image ===


def test_mean_of_several_captions(data, embeddings):
    dataset = make_dataset(
        data,
        batch_size=12,
        text_embeddings=embeddings,
        captions_per_image=2,
        start_step=0,
    )
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "train"))
    known = []
    for number in range(_NUM_TRAIN):
        a, b, c = extracted.read(number)
        known += [(a + b) / 2, (a + c) / 2, (b + c) / 2]
    known = np.stack(known)
    seen = set()
    for batch in _take(dataset, 20):
        for own, other in zip(
            batch["text_embeddings"], batch["mismatched_text_embeddings"]
        ):
            places = []
            for row in (own, other):
                (place,) = np.flatnonzero(
                    np.abs(known - row).max(axis=1) < 1e-6 * np.abs(row).max()
                )
                places.append(int(place))
            # Three pairs an image, in order.
            assert _class(places[0] // 3) != _class(places[1] // 3)
            seen.add(places[0])
    assert seen == set(range(36))


@pytest.mark.parametrize("captions_per_image", [3, 7])
def test_mean_of_all_captions(data, embeddings, captions_per_image):
    dataset = make_dataset(
        data,
        "test",
        batch_size=5,
        text_embeddings=embeddings,
        captions_per_image=captions_per_image,
    )
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "test"))
    expected = [extracted.read(index).mean(axis=0) for index in range(5)]
    (batch,) = _take(dataset, 1)
    np.testing.assert_allclose(
        sorted(batch["text_embeddings"].tolist()),
        sorted(np.array(expected).tolist()),
        atol=1e-6,
    )


def test_numbers_of_captions_take_turns(data, embeddings):
    dataset = make_dataset(
        data,
        # Odd: where a batch begins the turns go on.
        batch_size=5,
        text_embeddings=embeddings,
        captions_per_image=(1, 4),
        start_step=0,
    )
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "train"))
    rows = [extracted.read(number) for number in range(_NUM_TRAIN)]
    # Every image has three captions, all of which four take.
    known = {1: np.concatenate(rows), 4: np.stack([r.mean(0) for r in rows])}
    row = 0
    for batch in _take(dataset, 4):
        for own, other in zip(
            batch["text_embeddings"], batch["mismatched_text_embeddings"]
        ):
            number = (1, 4)[row % 2]
            images = []
            for text in (own, other):
                distances = np.abs(known[number] - text).max(axis=1)
                assert distances.min() < 1e-6 * np.abs(text).max()
                images.append(distances.argmin() // (3 if number == 1 else 1))
            assert _class(images[0]) != _class(images[1])
            row += 1


@pytest.mark.parametrize("turns", [(1,), [1]])
def test_one_number_may_be_a_sequence(data, turns):
    texts = [
        next(iter(make_dataset(data, captions_per_image=number, start_step=0)))
        for number in (turns, 1)
    ]
    np.testing.assert_array_equal(texts[0]["token_ids"], texts[1]["token_ids"])


@pytest.mark.parametrize(
    ("turns", "match"),
    [
        ((), r"a sequence of at least one. Received: \(\)"),
        ((0, 4), "at least 1. Received: 0"),
        ((1, 2.5), "at least 1. Received: 2.5"),
    ],
)
def test_turns_without_captions(data, embeddings, turns, match):
    with pytest.raises(ValueError, match=f"`captions_per_image` .*{match}"):
        make_dataset(data, text_embeddings=embeddings, captions_per_image=turns)


def test_mean_needs_embeddings(data):
    with pytest.raises(
        ValueError,
        match="`captions_per_image` must be 1 without `text_embeddings`.*"
        "Received: 4",
    ):
        make_dataset(data, captions_per_image=4)


# === Mismatching texts that are nearly right ===


def test_the_nearest_candidate_gives_the_mismatching_text(data, tmp_path):
    keras.utils.set_random_seed(0)
    embeddings = tmp_path / "embeddings"
    # As initialized: moved weights would point all texts into one direction.
    extract_embeddings(tiny_text_encoder(), data, embeddings)
    dataset = make_dataset(
        data,
        batch_size=12,
        text_embeddings=embeddings,
        captions_per_image=3,
        start_step=0,
        mismatch_candidates=200,
    )
    extracted = ExtractedEmbeddings(embeddings, PreparedExamples(data, "train"))
    means = np.stack(
        [extracted.read(number).mean(axis=0) for number in range(_NUM_TRAIN)]
    )
    directions = means / np.linalg.norm(means, axis=1, keepdims=True)
    classes = np.array([_class(number) for number in range(_NUM_TRAIN)])
    (batch,) = _take(dataset, 1)
    for own, other in zip(
        batch["text_embeddings"], batch["mismatched_text_embeddings"]
    ):
        number, place = (
            int(np.abs(means - row).max(axis=1).argmin())
            for row in (own, other)
        )
        likeness = directions @ directions[number]
        likeness[classes == classes[number]] = -2.0
        first, second = np.sort(likeness)[:-3:-1]
        assert first - second > 1e-5
        assert place == likeness.argmax()


def test_candidates_need_embeddings(data):
    with pytest.raises(
        ValueError,
        match="`mismatch_candidates` must be 1 without `text_embeddings`.*"
        "Received: 8",
    ):
        make_dataset(data, mismatch_candidates=8)


# === Errors ===


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"batch_size": -3},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"seed": -1},
        {"seed": 0.5},
        {"start_step": -1},
        {"captions_per_image": 0},
        {"mismatch_candidates": 0},
        {"image_size": 0},
        {"image_size": -8},
        {"split": "tst"},
    ],
)
def test_bad_arguments(data, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError, match=f"`{name}` must .*Received: {value!r}"
    ):
        make_dataset(data, **arguments)


def test_one_class(tmp_path):
    shard = [example(number, class_id=1) for number in range(4)]
    write_prepared_set(tmp_path, {"train": [shard]}, _CLASSES)
    with pytest.raises(ValueError, match="one class only.*--preset gan"):
        make_dataset(tmp_path)


@pytest.mark.usefixtures("eagerly")
def test_plain_gan_trains_on_one_class(tmp_path):
    shard = [
        example(number, class_id=1, height=32, width=38) for number in range(4)
    ]
    write_prepared_set(tmp_path, {"train": [shard]}, _CLASSES, image_size=32)
    gan = tiny_gan(matching_aware=False, interpolate=False)
    gan.compile()
    before = gan.generator.get_weights()
    dataset = make_dataset(tmp_path, batch_size=2, mismatched=False)
    history = gan.fit(dataset, verbose=0)
    assert np.isfinite(history.history["generator_loss"]).all()
    after = gan.generator.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(before, after))


def test_other_embeddings(data, tmp_path):
    write_prepared_set(tmp_path / "other", {"train": [[_captioned(40)]]})
    out = tmp_path / "embeddings"
    extract_embeddings(tiny_text_encoder(), tmp_path / "other", out)
    with pytest.raises(ValueError, match="Extract them again"):
        make_dataset(data, text_embeddings=out)


def test_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="keras-t2i prepare.*which has none"):
        make_dataset(tmp_path)


@pytest.mark.parametrize("vocabulary", [None, ("a", "שלום", "xn")])
def test_captions_of_all_kinds_are_read_as_everywhere(tmp_path, vocabulary):
    captions = CAPTIONS_OF_ALL_KINDS
    images = [example(n, captions=(text,)) for n, text in enumerate(captions)]
    write_prepared_set(tmp_path, {"train": [images]})
    encoder = tiny_text_encoder(vocabulary=vocabulary)
    dataset = make_pairs_dataset(
        tmp_path, batch_size=len(captions), tokenize=encoder.tokenize
    )
    (batch,) = _take(dataset, 1)
    # In the order of the stream, which class ids tell without classes.
    expected = encoder.tokenize(tf.constant(captions)).numpy()
    np.testing.assert_array_equal(
        batch["token_ids"], expected[batch["class_ids"]]
    )
    assert expected.any(axis=1).sum() > 3


# === Pairs for the joint embedding ===


def test_pairs_are_of_distinct_classes(data):
    dataset = make_pairs_dataset(data, batch_size=3, start_step=0)
    assert set(dataset.element_spec) == {"images", "token_ids", "class_ids"}
    for batch in _take(dataset, 40):
        fields = _fields(batch["token_ids"])
        assert len({class_id for _, class_id, _ in fields}) == 3
        assert [class_id for _, class_id, _ in fields] == list(
            batch["class_ids"]
        )
        for image, (number, _, _) in zip(batch["images"], fields):
            assert _placement(_pixels(image), number) is not None


def test_pairs_are_as_many_as_classes(data):
    dataset = make_pairs_dataset(data, "trainval", batch_size=40)
    assert dataset.element_spec["images"].shape == (4, 8, 8, 3)
    assert len(dataset) == 15 // 4


def test_pairs_without_classes(tmp_path):
    shard = [example(number) for number in range(6)]
    write_prepared_set(tmp_path, {"train": [shard]})
    dataset = make_pairs_dataset(tmp_path, batch_size=3)
    texts = [texts_of(batch["token_ids"]) for batch in _take(dataset, 2)]
    assert len(set(sum(texts, []))) == 6

    # Each image counts as a class.
    for batch in _take(dataset, 2):
        assert len(set(batch["class_ids"])) == 3


def test_no_image_is_paired_twice_in_a_batch(tmp_path):
    shard = [example(number) for number in range(6)]
    write_prepared_set(tmp_path, {"train": [shard]})
    dataset = make_pairs_dataset(tmp_path, batch_size=40, start_step=0)
    for batch in _take(dataset, 3):
        assert sorted(batch["class_ids"]) == [*range(6)]


@pytest.mark.parametrize(
    "make", [make_dataset, make_pairs_dataset, make_captions_dataset]
)
def test_files_are_closed_with_the_data_set(data, make):
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        dataset = make(data, batch_size=2, start_step=0)
        assert len(_take(dataset, 2)) == 2
        del dataset
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= opened


def test_pairs_with_several_images_of_a_class(data):
    dataset = make_pairs_dataset(data, batch_size=6, images_per_class=2)
    assert len(dataset) == 2
    for batch in _take(dataset, 2):
        fields = _fields(batch["token_ids"])
        assert len({number for number, _, _ in fields}) == 6
        assert len({class_id for _, class_id, _ in fields}) == 3


def test_pairs_with_features(data, tmp_path):
    # Of two views; each view of each image is its own number.
    path = tmp_path / "features.npz"
    numbers = {f"image-{n:03d}": [[n, 0.0], [n, 1.0]] for n in range(15)}
    np.savez(path, **numbers)
    dataset = make_pairs_dataset(
        data, "trainval", 3, image_features=path, start_step=0
    )
    assert dataset.element_spec["images"].shape == (3, 2)
    views = set()
    for batch in _take(dataset, 20):
        assert list(batch["images"][:, 0]) == _numbers(batch)
        views |= set(batch["images"][:, 1])
    assert views == {0.0, 1.0}


def test_pairs_of_words(data):
    encoder = tiny_text_encoder(vocabulary=("a", "b", "c"))
    (batch,) = _take(
        make_pairs_dataset(data, batch_size=3, tokenize=encoder.tokenize), 1
    )
    # Number and class are unknown, and one of three letters follows.
    assert not batch["token_ids"][:, :2].any()
    assert set(batch["token_ids"][:, 2]) <= {1, 2, 3}
    dataset = make_dataset(data, batch_size=2, tokenize=encoder.tokenize)
    (batch,) = _take(dataset, 1)
    for name in ("token_ids", "mismatched_token_ids"):
        assert set(batch[name][:, 2]) <= {1, 2, 3}


def test_pairs_start_at_any_step(data):
    whole = _take(make_pairs_dataset(data, batch_size=3, start_step=0), 9)
    later = make_pairs_dataset(data, batch_size=3, start_step=5)
    _assert_equal(_take(later, 4), whole[5:])


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"images_per_class": 0},
        {"seed": -1},
        {"start_step": -1},
        {"image_size": 0},
        {"split": "tst"},
    ],
)
def test_bad_arguments_of_pairs(data, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError, match=f"`{name}` must .*Received: {value!r}"
    ):
        make_pairs_dataset(data, **arguments)


# === Captions alone ===


def test_captions_alone(data):
    batches = _take(make_captions_dataset(data, batch_size=4, start_step=0), 60)
    for batch in batches:
        assert {n: (v.dtype.name, v.shape) for n, v in batch.items()} == {
            "token_ids": ("int32", (4, 201))
        }
    # Three steps an epoch, with a caption of each image in them.
    for first in range(0, 60, 3):
        numbers = [
            number
            for batch in batches[first : first + 3]
            for number in _numbers(batch)
        ]
        assert sorted(numbers) == list(range(_NUM_TRAIN))
    # Each image with each of its captions, by and by.
    fields = {f for batch in batches for f in _fields(batch["token_ids"])}
    assert len(fields) == 3 * _NUM_TRAIN


def test_captions_start_at_any_step(data):
    batches = _take(make_captions_dataset(data, batch_size=5, start_step=0), 7)
    later = make_captions_dataset(data, batch_size=5, start_step=4)
    _assert_equal(_take(later, 3), batches[4:])
    other = make_captions_dataset(data, batch_size=5, seed=1, start_step=0)
    assert _numbers(_take(other, 1)[0]) != _numbers(batches[0])


def test_captions_of_one_epoch(data):
    dataset = make_captions_dataset(data, "trainval", batch_size=5)
    assert len(list(dataset)) == int(dataset.cardinality()) == 3
    assert dataset.element_spec["token_ids"].shape == (5, 201)


def test_captions_of_an_encoder_that_reads_words(data):
    encoder = tiny_text_encoder(vocabulary=("a", "b", "c"))
    assert make_captions_dataset(data, batch_size=5).vocabulary == ()
    dataset = make_captions_dataset(
        data, batch_size=5, tokenize=encoder.tokenize
    )
    assert dataset.vocabulary == ("a", "b", "c")
    # `fit` tells them apart.
    with pytest.raises(ValueError, match="Received: a data set of a vocab"):
        checked_batches(dataset, text_encoder=tiny_text_encoder())


@pytest.mark.parametrize(
    "arguments",
    [{"batch_size": 0}, {"seed": -1}, {"start_step": -1}, {"split": "tst"}],
)
def test_bad_arguments_of_captions(data, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError, match=f"`{name}` must .*Received: {value!r}"
    ):
        make_captions_dataset(data, **arguments)
