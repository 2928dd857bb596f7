import keras
import numpy as np
import pytest

from keras_t2i import metrics
from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import Judge
from keras_t2i.evaluation import ModelImages
from keras_t2i.evaluation import QuickEvaluation
from keras_t2i.evaluation import evaluate_images
from keras_t2i.recipes.recipe import MEASURES
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import STORED
from tests.evaluation.tiny_sets import central_squares
from tests.evaluation.tiny_sets import judging_network
from tests.evaluation.tiny_sets import write_set
from tests.tiny_models import tiny_gan
from tests.tiny_models import vivid_gan


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "data"
    return EvaluationCaptions(write_set(folder, num_test=60), "test")


@pytest.fixture(scope="module")
def judge():
    return Judge(judging_network())


@pytest.fixture(scope="module")
def evaluation(captions, judge):
    return QuickEvaluation(captions, judge, 32)


def test_the_figures_of_evaluate_images(captions, judge, evaluation):
    gan = vivid_gan()
    results = evaluate_images(
        ModelImages(gan, captions), captions, judge
    ).results
    measured = evaluation.measure(gan)
    assert list(measured) == [
        *("kernel_distance", "frechet_distance"),
        *("precision", "recall", "density", "coverage"),
    ]
    assert measured == {name: results[name] for name in measured}
    # Again, and of another model.
    assert evaluation.measure(gan) == measured
    kernel = gan.ema_generator.get_layer("convolution_32").kernel
    kernel.assign(-kernel)
    assert evaluation.measure(gan) != measured


def test_figures_of_features_computed_here(captions, judge, evaluation):
    gan = vivid_gan()

    def features(images):
        maps = judge.network(images / np.float32(127.5) - 1)
        return np.mean(maps, axis=(1, 2))

    real = features(
        central_squares([noise_image(i, **STORED) for i in range(60)])
    )
    np.testing.assert_allclose(evaluation.real_features, real, rtol=1e-5)
    generated = features(gan.generate(captions.captions, seed=np.arange(60)))
    precision, recall = metrics.precision_recall(real, generated)
    density, coverage = metrics.density_coverage(real, generated)
    expected = {
        "kernel_distance": metrics.kernel_distance(real, generated)[0],
        "frechet_distance": metrics.frechet_distance(real, generated),
        **{"precision": precision, "recall": recall},
        **{"density": density, "coverage": coverage},
    }
    assert evaluation.measure(gan) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", MEASURES)
def test_which_end_is_the_better_one(captions, evaluation, name):
    """Real images, and images that are all alike."""

    class Real:
        def generate(self, captions, seed):
            return central_squares([noise_image(i, **STORED) for i in seed])

    class Alike:
        def generate(self, captions, seed):
            return np.full((len(captions), 32, 32, 3), 90, "uint8")

    good = evaluation.measure(Real())[name]
    bad = evaluation.measure(Alike())[name]
    assert good < bad if MEASURES[name] == "min" else good > bad


def test_features_of_real_images_are_computed_once(tmp_path, judge):
    captions = EvaluationCaptions(write_set(tmp_path, num_test=60), "test")
    first = QuickEvaluation(captions, judge, 32)
    shards = {
        path: path.stat().st_mtime_ns for path in first.features_path.iterdir()
    }
    again = QuickEvaluation(captions, judge, 32)
    assert again.features_path == first.features_path
    assert shards == {path: path.stat().st_mtime_ns for path in shards}
    np.testing.assert_array_equal(again.real_features, first.real_features)
    assert first.features_of("trainval").shape == (40, 8)
    # What a model of another size sees of them is another thing.
    assert QuickEvaluation(captions, judge, 16).features_path not in {
        first.features_path
    }


@pytest.mark.filterwarnings("error")
def test_few_images_are_not_told_of_again_and_again(captions):
    network = judging_network(name="many_features")
    network.add(keras.layers.Flatten())
    evaluation = QuickEvaluation(captions, Judge(network), 32)
    assert evaluation.measure(vivid_gan())["frechet_distance"] > 0


def test_what_cannot_be_measured(captions, judge, evaluation):
    few = EvaluationCaptions(captions.path, "val")
    with pytest.raises(ValueError, match="50 real images. Received: 20"):
        QuickEvaluation(few, judge, 32)
    with pytest.raises(ValueError, match="images of 64 pixels.*: 32 pixels"):
        QuickEvaluation(captions, judge, 64).measure(vivid_gan())
    gan = tiny_gan()
    gan.discriminator.network = "tiny_judge"
    with pytest.raises(ValueError, match="Received: 'tiny_judge', and a mod"):
        evaluation.measure(gan)
