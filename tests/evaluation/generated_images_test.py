import numpy as np
import pytest
from PIL import Image

from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import FolderImages
from keras_t2i.evaluation import ModelImages
from keras_t2i.models.discriminator import DiscriminatorEnsemble
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import write_images
from tests.evaluation.tiny_sets import write_set
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import vivid_gan

IDS = ["b", "roses/1", "image_00007", "a"]


@pytest.fixture
def captions(tmp_path):
    return EvaluationCaptions(write_set(tmp_path, num_test=5), "test")


def test_captions_are_chosen_once_and_for_all(captions):
    again = EvaluationCaptions(captions.path, "test")
    assert again.captions == captions.captions
    assert captions.ids == [f"image-{number:03d}" for number in range(5)]
    chosen = np.random.default_rng(0)
    assert captions.captions == [
        (f"image number {i}", f"the {i}. one")[chosen.integers(2)]
        for i in range(5)
    ]
    assert len(captions) == 5


def test_captions_and_seeds(captions):
    gan = vivid_gan()
    images = ModelImages(gan, captions, images_per_caption=2)
    assert images.indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert images.image_size == 32
    texts = captions.captions
    np.testing.assert_array_equal(
        images.read(np.array([0, 1, 7])),
        gan.generate([texts[0], texts[0], texts[3]], seed=[0, 5, 8]),
    )
    assert images.text_encoder is gan.text_encoder


def test_what_a_model_was_trained_with(captions):
    gan = tiny_gan()
    assert ModelImages(gan, captions).trained_with == frozenset()
    gan = type(gan)(
        gan.generator,
        DiscriminatorEnsemble([tiny_discriminator()] * 2),
        gan.text_encoder,
    )
    gan.discriminator.members[0].network = "MobileNetV2"
    images = ModelImages(gan, captions, trained_with=["efficientnet_lite0"])
    assert images.trained_with == {"MobileNetV2", "efficientnet_lite0"}


def test_models_that_cannot_be_measured(captions):
    gan = tiny_gan()
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        ModelImages(gan, captions, 0)
    weights = gan.ema_generator.get_weights()
    weights[0][0] = np.nan
    gan.ema_generator.set_weights(weights)
    with pytest.raises(ValueError, match="NaN or infinity in its generator"):
        ModelImages(gan, captions)


def test_files_are_found_by_ids(tmp_path):
    pixels = [noise_image(number, 32, 32) for number in range(7)]
    names = ["a", "b_1", "b_0", "b", "roses/1_10", "roses/1_9", "image_00007"]
    write_images(tmp_path, names, pixels)
    images = FolderImages(tmp_path, IDS)
    # By the place of the id, then by the number.
    assert images.indices.tolist() == [0, 0, 0, 1, 1, 2, 3]
    np.testing.assert_array_equal(
        images.read(np.arange(7)),
        np.stack(pixels)[[3, 2, 1, 5, 4, 6, 0]],
    )
    np.testing.assert_array_equal(images.read(np.array([5]))[0], pixels[6])
    assert images.image_size == 32
    assert (images.foreign, images.unreadable, images.num_missing) == (
        [],
        [],
        0,
    )
    assert images.trained_with == frozenset()


def test_ids_of_files_with_and_without_their_suffix(tmp_path):
    ids = ["roses/1.jpg", "roses/2.jpg", "roses/3.jpg", "roses/3.png"]
    names = ["roses/1", "roses/2.jpg", "roses/3", "roses/3.png"]
    write_images(tmp_path, names, [noise_image(0, 32, 32)] * 4)
    images = FolderImages(tmp_path, ids)
    assert images.indices.tolist() == [0, 1, 3]
    # It may be of either image that is named so.
    assert images.foreign == ["roses/3.png"]


def test_what_is_left_out(tmp_path):
    write_images(
        tmp_path, ["b", "a_0", "c", "roses/2"], [noise_image(0, 32, 32)] * 4
    )
    Image.fromarray(noise_image(0, 32, 32)).save(tmp_path / "b.jpg")
    (tmp_path / "notes.txt").write_text("b")
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "image_00007.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    images = FolderImages(tmp_path, IDS)
    assert images.indices.tolist() == [0, 3]
    assert images.foreign == ["b.png", "c.png", "notes.txt", "roses/2.png"]
    (unreadable,) = images.unreadable
    assert unreadable.startswith("image_00007.png (")
    assert images.num_missing == 2


def test_an_image_that_is_cut_off(tmp_path):
    write_images(tmp_path, IDS, [noise_image(0, 64, 64)] * 4)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    images = FolderImages(tmp_path, IDS)
    assert images.indices.tolist() == [0, 1, 2]
    assert images.unreadable[0].startswith("a.png (cannot be read as an im")


def test_images_of_other_sizes_are_resized(tmp_path):
    flat = [np.full((side, side, 3), 10 * side, "uint8") for side in (8, 8, 20)]
    write_images(tmp_path, ["a", "b", "roses/1"], flat)
    wide = np.zeros((16, 24, 3), "uint8")
    wide[:, 4:20] = 200
    write_images(tmp_path, ["image_00007"], [wide])
    images = FolderImages(tmp_path, IDS)
    assert images.image_size == 8
    means = images.read(np.arange(4)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, [80, 200, 200, 80], atol=5)


def test_folders_without_images(tmp_path):
    with pytest.raises(ValueError, match="'.*images', which is not a f"):
        FolderImages(tmp_path / "images", IDS)
    with pytest.raises(ValueError, match="ids.* 'b.png'. Received: no images"):
        FolderImages(tmp_path, IDS)
    write_images(tmp_path, ["x", "y"], [noise_image(0, 32, 32)] * 2)
    with pytest.raises(ValueError, match="Received: 'x.png', 'y.png'. Name"):
        FolderImages(tmp_path, IDS)


def test_half_of_the_images_are_damaged(tmp_path):
    write_images(tmp_path, ["a", "b"], [noise_image(0, 32, 32)] * 2)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match="1 of 2 that cannot, such as a.png"):
        FolderImages(tmp_path, IDS)
