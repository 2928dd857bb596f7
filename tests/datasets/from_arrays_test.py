import gc
import weakref

import numpy as np
import pytest

from keras_t2i.datasets.batches import from_arrays
from tests.datasets.prepared_sets import noise_image
from tests.datasets.prepared_sets import texts_of
from tests.tiny_models import tiny_gan

_IMAGES = np.stack([noise_image(number, 8, 8) for number in range(6)])
_CLASS_IDS = [0, 1, 0, 1, 2, 2]
_CAPTIONS = [
    [f"{number} {class_id} a", f"{number} {class_id} b"]
    for number, class_id in enumerate(_CLASS_IDS)
]


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def _fields(token_ids):
    words = [text.split() for text in texts_of(token_ids)]
    return [(int(n), int(c), letter) for n, c, letter in words]


def _assert_shows(image, number):
    pixels = np.round((image + 1) * 127.5).astype(np.uint8)
    expected = _IMAGES[number]
    assert np.array_equal(pixels, expected) or np.array_equal(
        pixels, expected[:, ::-1]
    )


def test_batches():
    dataset = from_arrays(_IMAGES, _CAPTIONS, _CLASS_IDS, 3, start_step=0)
    batches = _take(dataset, 40)
    letters = set()
    for batch in batches:
        assert {name: (v.dtype.name, v.shape) for name, v in batch.items()} == {
            "images": ("float32", (3, 8, 8, 3)),
            "token_ids": ("int32", (3, 201)),
            "mismatched_token_ids": ("int32", (3, 201)),
        }
        for image, own, other in zip(
            batch["images"],
            _fields(batch["token_ids"]),
            _fields(batch["mismatched_token_ids"]),
        ):
            _assert_shows(image, own[0])
            assert own[1] != other[1]
            letters |= {own[2], other[2]}
    assert letters == {"a", "b"}
    for i in range(0, 40, 2):
        epoch = _fields(batches[i]["token_ids"]) + _fields(
            batches[i + 1]["token_ids"]
        )
        assert sorted(number for number, _, _ in epoch) == list(range(6))


def test_without_classes_no_text_that_the_image_bears():
    captions = [["red"], ["red", "blue"], ["blue"], ["red"], ["green"], ["red"]]
    dataset = from_arrays(_IMAGES, captions, batch_size=6, start_step=0)
    for batch in _take(dataset, 50):
        own = texts_of(batch["token_ids"])
        others = texts_of(batch["mismatched_token_ids"])
        assert all(a != b for a, b in zip(own, others))


def test_one_epoch_by_default():
    dataset = from_arrays(_IMAGES, _CAPTIONS, _CLASS_IDS, batch_size=2)
    assert len(dataset) == 3
    orders = [
        tuple(n for b in dataset for n, _, _ in _fields(b["token_ids"].numpy()))
        for _ in range(4)
    ]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) == 4


@pytest.mark.parametrize("start_step", [1, 4, 5])
def test_a_stream_that_starts_later_is_the_same_stream(start_step):
    def stream(first):
        return from_arrays(
            _IMAGES, _CAPTIONS, _CLASS_IDS, 2, seed=7, start_step=first
        )

    whole = _take(stream(0), 8)
    for batch, later in zip(whole[start_step:], _take(stream(start_step), 3)):
        for name in batch:
            np.testing.assert_array_equal(batch[name], later[name])


def test_images_that_are_no_squares():
    images = np.stack([noise_image(number, 6, 9) for number in range(2)])
    dataset = from_arrays(images, [["0"], ["1"]], batch_size=2, start_step=0)
    assert dataset.element_spec["images"].shape == (2, 6, 6, 3)
    lefts = set()
    for batch in _take(dataset, 40):
        for image, text in zip(batch["images"], texts_of(batch["token_ids"])):
            pixels = np.round((image + 1) * 127.5).astype(np.uint8)
            (place,) = [
                (left, way)
                for left in range(4)
                for way in (1, -1)
                if np.array_equal(
                    images[int(text)][:, left : left + 6][:, ::way], pixels
                )
            ]
            lefts.add(place)
    assert len(lefts) == 8


def test_smaller_squares():
    dataset = from_arrays(_IMAGES, _CAPTIONS, _CLASS_IDS, 2, image_size=5)
    (batch,) = _take(dataset, 1)
    assert batch["images"].shape == (2, 5, 5, 3)


def test_any_text_and_more_than_the_encoder_reads():
    captions = [["ROSE" * 999], ["é 🌹"], ["\ud800a"], ["b"], ["c"], ["d"]]
    dataset = from_arrays(_IMAGES, captions, batch_size=6)
    (batch,) = _take(dataset, 1)
    assert sorted(texts_of(batch["token_ids"])) == sorted(
        ["rose" * 50 + "r", " ", "a", "b", "c", "d"]
    )


def test_lists_do_as_well_as_arrays():
    dataset = from_arrays(list(_IMAGES), _CAPTIONS)
    assert len(dataset) == 1


@pytest.mark.usefixtures("eagerly")
def test_gan_trains_on_them():
    images = np.stack([noise_image(number, 32, 32) for number in range(4)])
    gan = tiny_gan()
    gan.compile()
    dataset = from_arrays(images, _CAPTIONS[:4], _CLASS_IDS[:4], batch_size=2)
    history = gan.fit(dataset, epochs=2, validation_data=dataset, verbose=0)
    assert len(history.history["discriminator_loss"]) == 2
    assert np.isfinite(history.history["val_generator_loss"]).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"seed": -1},
        {"start_step": -1},
        {"image_size": 0},
        {"image_size": -1},
    ],
)
def test_bad_arguments(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError, match=f"`{name}` must .*Received: {value!r}"
    ):
        from_arrays(_IMAGES, _CAPTIONS, _CLASS_IDS, **arguments)


@pytest.mark.parametrize(
    ("images", "captions", "class_ids", "message"),
    [
        (_IMAGES / 255.0, _CAPTIONS, None, "must be uint8.*float64"),
        (_IMAGES[0], _CAPTIONS, None, r"uint8 of shape.*\(8, 8, 3\)"),
        ([*_IMAGES[:5], _IMAGES[5, 1:]], _CAPTIONS, None, "of several sizes"),
        (_IMAGES[:0], [], None, "at least one. Received: 0 images"),
        (_IMAGES, _CAPTIONS[:5], None, "6 images and 5 lists of captions"),
        (_IMAGES, ["a rose"] * 6, None, "a list.*Received: 'a rose'"),
        (_IMAGES, [*_CAPTIONS[:5], ["\n"]], None, "some text.*for image 5"),
        (_IMAGES, _CAPTIONS, [0, 1], r"Received: int64 of shape \(2,\)"),
        (_IMAGES, _CAPTIONS, [3] * 6, "one class only.*--preset gan"),
        (_IMAGES[:1], _CAPTIONS[:1], None, "two images. Received: 1 image"),
    ],
)
def test_arrays_that_do_not_fit(images, captions, class_ids, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(images, captions, class_ids)


def test_image_size_beyond_the_images():
    with pytest.raises(ValueError, match="at least 9 pixels.*8 x 8"):
        from_arrays(_IMAGES, _CAPTIONS, image_size=9)


def test_one_class_without_mismatched_texts():
    dataset = from_arrays(_IMAGES, _CAPTIONS, [3] * 6, mismatched=False)
    assert set(dataset.element_spec) == {"images", "token_ids"}


@pytest.mark.parametrize(
    ("captions", "class_ids", "message"),
    [
        ([[b"a"], [b"b"]], None, "list of at least one string"),
        ([[1], [2]], None, "list of at least one string"),
        ([None, ["b"]], None, "list of at least one string. Received: None"),
        ([["a"], ["b"]], ["rose", "tulip"], "one int per image.*<U5"),
        ([["a"], ["b"]], [0.2, 0.7], "one int per image.*float64"),
    ],
)
def test_values_of_another_kind(captions, class_ids, message):
    images = np.zeros((2, 8, 8, 3), "uint8")
    with pytest.raises(ValueError, match=message):
        from_arrays(images, captions, class_ids)


def test_numbers_of_numpy():
    images = np.zeros((2, 40, 40, 3), "uint8")
    size = np.int64(32)
    dataset = from_arrays(images, [["a"], ["b"]], batch_size=2, image_size=size)
    assert next(iter(dataset))["images"].shape == (2, 32, 32, 3)


def test_the_images_are_freed_with_the_data_set():
    images = np.copy(_IMAGES)
    freed = weakref.ref(images)
    dataset = from_arrays(images, _CAPTIONS, _CLASS_IDS, 3, start_step=0)
    batches = iter(dataset.map(lambda batch: batch["images"]).take(40))
    del images, dataset
    gc.collect()
    # What is still read keeps them.
    assert len([batch.shape for batch in batches]) == 40
    del batches
    gc.collect()
    assert freed() is None


def test_a_batch_size_of_a_small_type():
    batch = _take(
        from_arrays(
            _IMAGES, _CAPTIONS, _CLASS_IDS, np.uint8(3), start_step=400
        ),
        1,
    )[0]
    expected = _take(
        from_arrays(_IMAGES, _CAPTIONS, _CLASS_IDS, 3, start_step=400), 1
    )[0]
    np.testing.assert_array_equal(batch["token_ids"], expected["token_ids"])
