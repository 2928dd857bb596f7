import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import metrics
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.evaluation import CaptionMatch
from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import FolderImages
from keras_t2i.evaluation import Judge
from keras_t2i.evaluation import ModelImages
from keras_t2i.evaluation import evaluate_images
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import NUM_CLASSES
from tests.evaluation.tiny_sets import NUM_TEST
from tests.evaluation.tiny_sets import STORED
from tests.evaluation.tiny_sets import central_squares
from tests.evaluation.tiny_sets import judging_network
from tests.evaluation.tiny_sets import write_blooms
from tests.evaluation.tiny_sets import write_images
from tests.evaluation.tiny_sets import write_set
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import vivid_gan

MEASURES = [
    *("frechet_distance", "kernel_distance", "kernel_distance_std"),
    *("precision", "recall", "density", "coverage", "r_precision"),
    *("diversity", "nearest_training_ratio", "grain"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("evaluated") / "data")


@pytest.fixture(scope="module")
def judge():
    return Judge(judging_network())


@pytest.fixture(scope="module")
def captions(data):
    return EvaluationCaptions(data, "test")


def _features(network, images):
    return np.mean(network(images / np.float32(127.5) - 1), axis=(1, 2))


def _distances(real, generated):
    kernel, deviation = metrics.kernel_distance(real, generated)
    precision, recall = metrics.precision_recall(real, generated)
    density, coverage = metrics.density_coverage(real, generated)
    return {
        "frechet_distance": metrics.frechet_distance(real, generated),
        "kernel_distance": kernel,
        "kernel_distance_std": deviation,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }


def test_figures_are_those_of_direct_calls(data, captions, judge):
    gan, network = vivid_gan(), judge.network
    joint_embedding = tiny_joint_embedding()
    evaluation = evaluate_images(
        ModelImages(gan, captions, images_per_caption=2),
        captions,
        judge,
        CaptionMatch(joint_embedding, judge),
    )

    real_images = central_squares(
        [noise_image(i, **STORED) for i in range(NUM_TEST)]
    )
    texts = captions.captions
    images = gan.generate(
        np.repeat(texts, 2).tolist(),
        seed=np.arange(2 * NUM_TEST).reshape(2, -1).T.ravel(),
    )
    real, generated = (
        _features(network, real_images),
        _features(network, images),
    )
    numbers = [*range(1000, 1020), *range(2000, 2020)]
    training_images = central_squares(
        [noise_image(number, **STORED) for number in numbers]
    )
    training = _features(network, training_images)
    class_ids = np.arange(NUM_TEST) % NUM_CLASSES

    def r_precision(images, indices):
        return metrics.r_precision(
            joint_embedding.image_encoder(images / np.float32(127.5) - 1),
            joint_embedding.text_encoder(
                joint_embedding.text_encoder.tokenize(texts)
            ),
            class_ids,
            caption_of_image=indices,
        )

    each, twice = np.arange(NUM_TEST), np.arange(NUM_TEST).repeat(2)
    half, other_half = np.array_split(
        real[np.random.default_rng(0).permutation(NUM_TEST)], 2
    )
    expected = {
        **_distances(real, generated),
        "r_precision": r_precision(images, twice),
        "diversity": metrics.diversity_within_captions(generated, twice),
        "nearest_training_ratio": metrics.nearest_training_ratio(
            generated, real, training
        ),
        "grain": metrics.grain(images),
    }
    expected_of_real = {
        **_distances(half, other_half),
        "r_precision": r_precision(real_images, each),
        "diversity": metrics.diversity_within_captions(real, class_ids),
        "nearest_training_ratio": metrics.nearest_training_ratio(
            half, other_half, training
        ),
        "grain": metrics.grain(real_images.astype("uint8")),
    }
    results = evaluation.results
    assert [*results][: len(MEASURES)] == MEASURES
    assert [*results["real"]] == MEASURES
    for name in MEASURES:
        assert results[name] == pytest.approx(expected[name], rel=1e-3), name
        assert results["real"][name] == pytest.approx(
            expected_of_real[name], rel=1e-3, abs=1e-6
        ), name
    assert results["num_images"] == 2 * NUM_TEST
    assert results["num_real_images"] == NUM_TEST
    assert (results["image_size"], results["network_image_size"]) == (32, 32)
    assert (results["data"], results["split"]) == ("tiny", "test")
    assert (results["network"], len(results["network_sha256"])) == (
        "tiny_judge",
        64,
    )
    assert "images generated from each: 2;" in results["protocol"]
    assert {"keras_t2i", "keras", "pillow"} < set(results["versions"])

    found, distances = metrics.nearest_training_images(generated, training)
    nearest = np.argsort(distances)[:10]
    np.testing.assert_array_equal(
        evaluation.nearest_images[:, 1], training_images[found[nearest]]
    )
    difference = evaluation.nearest_images[:, 0] - images[nearest].astype(int)
    assert np.abs(difference).max() <= 1
    assert evaluation.nearest_captions == [texts[i // 2] for i in nearest]


def test_real_images_are_as_good_as_real_ones(data, captions, judge, tmp_path):
    squares = central_squares(
        [noise_image(number, **STORED) for number in range(NUM_TEST)]
    )
    write_images(tmp_path, captions.ids, squares)
    results = evaluate_images(
        FolderImages(tmp_path, captions.ids),
        captions,
        judge,
        CaptionMatch(tiny_joint_embedding(), judge),
    ).results
    assert results["frechet_distance"] == pytest.approx(0, abs=1e-9)
    assert results["kernel_distance"] < 0
    assert results["precision"] == results["recall"] == 1
    assert results["coverage"] == 1
    assert results["nearest_training_ratio"] == 1
    assert results["r_precision"] == results["real"]["r_precision"]
    assert results["grain"] == results["real"]["grain"]
    # One image a caption.
    assert results["diversity"] is None
    assert results["real"]["diversity"] > 0


def test_copies_of_training_images_are_found(captions, judge, tmp_path):
    numbers = [*range(1000, 1020), *range(2000, 2020)] * 2
    copies = central_squares(
        [noise_image(number, **STORED) for number in numbers]
    )
    write_images(tmp_path, captions.ids[:80], copies)
    evaluation = evaluate_images(
        FolderImages(tmp_path, captions.ids), captions, judge
    )
    assert evaluation.results["nearest_training_ratio"] == pytest.approx(
        0, abs=1e-5
    )
    assert evaluation.results["real"]["nearest_training_ratio"] > 0.5
    assert evaluation.results["r_precision"] is None
    assert evaluation.results["text_encoder_sha256"] is None
    pairs = evaluation.nearest_images
    assert pairs.shape == (10, 2, 32, 32, 3)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])


def test_features_of_the_data_are_computed_once(data, captions, tmp_path):
    write_images(
        tmp_path,
        captions.ids,
        [noise_image(number, 32, 32) for number in range(NUM_TEST)],
    )
    images = FolderImages(tmp_path, captions.ids)
    shown = []

    class Recording:
        def __init__(self, description, unit):
            self.description = description

        def __enter__(self):
            return lambda done, total: shown.append(self.description)

        def __exit__(self, *error):
            return None

    judge = Judge(judging_network(name="another_judge"))
    before = set(data.iterdir())
    first = evaluate_images(images, captions, judge, None, Recording)
    assert shown.count("Computing features of the data") == NUM_TEST + 40
    (kept,) = set(data.iterdir()) - before
    assert kept.name.startswith("features-another_judge-")
    shown.clear()
    again = evaluate_images(images, captions, judge, None, Recording)
    assert set(shown) == {
        "Measuring generated images",
        "Measuring real images",
    }
    assert again.results == first.results


def test_images_of_another_size_than_the_data(captions, judge, tmp_path):
    write_images(
        tmp_path,
        captions.ids,
        [noise_image(number, 50, 50) for number in range(NUM_TEST)],
    )
    images = FolderImages(tmp_path, captions.ids)
    with pytest.warns(UserWarning, match="of 32 pixels are enlarged to 50"):
        results = evaluate_images(images, captions, judge).results
    assert results["image_size"] == 50
    # Patterns of four pixels do not fit into 50.
    assert results["grain"] is None and results["real"]["grain"] is None


def test_attributes_of_blooms(tmp_path, judge):
    folder = write_blooms(tmp_path / "data")
    with pytest.warns(UserWarning, match="no classes"):
        captions = EvaluationCaptions(folder, "test")
        write_images(
            tmp_path / "images",
            captions.ids,
            # All of the first kind.
            [_pixels(captions.examples, 0)] * len(captions),
        )
        results = evaluate_images(
            FolderImages(tmp_path / "images", captions.ids), captions, judge
        ).results
    real = np.stack([_pixels(captions.examples, i) for i in range(50)])
    expected = metrics.bloom_attribute_accuracy(real, captions.captions)
    assert set(expected) == {"petal_color", "center_color"}
    for name, value in expected.items():
        assert results["real"][name] == pytest.approx(value)
    assert results["real"]["petal_color"] > results["petal_color"] > 0
    assert results["petal_shape"] is results["petal_count"] is None
    assert results["r_precision"] is results["real"]["diversity"] is None


def _pixels(examples, index):
    return tf.io.decode_png(examples.read(index).image).numpy()


def test_what_is_not_measured_of_training_splits(tmp_path, judge):
    data = write_set(tmp_path / "data", num_test=50, num_training=60)
    captions = EvaluationCaptions(data, "val")
    write_images(
        tmp_path / "images",
        captions.ids,
        [noise_image(number, 32, 32) for number in range(60)],
    )
    images = FolderImages(tmp_path / "images", captions.ids)
    with pytest.warns(UserWarning, match="the images of 'val' are trained on"):
        evaluation = evaluate_images(images, captions, judge)
    assert evaluation.results["nearest_training_ratio"] is None
    assert evaluation.results["real"]["nearest_training_ratio"] is None
    assert evaluation.nearest_images is None
    assert evaluation.nearest_captions == []


def test_few_images(tmp_path, captions, judge):
    write_images(
        tmp_path,
        captions.ids[:49],
        [noise_image(number, 32, 32) for number in range(49)],
    )
    images = FolderImages(tmp_path, captions.ids)
    with pytest.raises(ValueError, match="50 generated images. Received: 49"):
        evaluate_images(images, captions, judge)
    few = EvaluationCaptions(captions.path, "val")
    assert len(PreparedExamples(captions.path, "val")) == 20
    with pytest.raises(ValueError, match="50 real images. Received: 20"):
        evaluate_images(ModelImages(vivid_gan(), few, 3), few, judge)


def test_few_captions_of_other_classes(tmp_path, judge):
    captions = EvaluationCaptions(write_set(tmp_path / "few", 60), "test")
    # More images of them are no more captions.
    images = ModelImages(vivid_gan(), captions, 4)
    match = CaptionMatch(tiny_joint_embedding(), judge)
    with pytest.raises(ValueError, match="with 99 of other classes. Rec.*: 55"):
        evaluate_images(images, captions, judge, match)


def test_fewer_images_than_features(tmp_path, captions):
    write_images(
        tmp_path,
        captions.ids[:60],
        [noise_image(number, 32, 32) for number in range(60)],
    )
    images = FolderImages(tmp_path, captions.ids)
    network = judging_network(name="many_features")
    network.add(keras.layers.Flatten())
    with pytest.warns(UserWarning) as warned:
        results = evaluate_images(images, captions, Judge(network)).results
    (warning,) = warned
    assert "Frechet distance of 60 images with 128 fea" in str(warning.message)
    assert results["frechet_distance"] > 0


def test_a_model_is_not_judged_by_what_trained_it(captions, judge):
    gan = vivid_gan()
    own = CaptionMatch(tiny_joint_embedding(), judge)
    own.text_encoder.set_weights(gan.text_encoder.get_weights())
    images = ModelImages(gan, captions)
    with pytest.raises(ValueError, match="than the model's own, .* its weig"):
        evaluate_images(images, captions, judge, own)
    images = ModelImages(gan, captions, trained_with=["tiny_judge"])
    with pytest.raises(ValueError, match="Received: 'tiny_judge', and a mod"):
        evaluate_images(images, captions, judge)
