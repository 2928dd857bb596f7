"""How fast images are measured, beside the judging network alone.

    python benchmarks/evaluation_speed.py --data data/oxford64

`evaluate` reads, resizes and judges images, and measures their grain. The rival
has the same images ready for the network and only calls it. Both take turns
with the same images of the split `test`. The peak of the memory is shown after
the first turn and after the last one: it should not grow.
"""

import argparse
import resource
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.  # noqa: F401

# isort: split
from keras_t2i.applications.feature_extraction import resized
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import to_model_range
from keras_t2i.evaluation import load_judge
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.evaluation.generated_images import seen_by_models
from keras_t2i.metrics import grain


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    read = seen_by_models(
        PreparedExamples(arguments.data, "test"), arguments.image_size
    )
    judge = load_judge()
    batches = [
        to_model_range(resized(images, judge.image_size))
        for _, images in image_batches(read, arguments.num_images)
    ]

    def evaluate():
        for _, images in image_batches(read, arguments.num_images):
            judge.features(images)
            grain(images)

    def judge_alone():
        for images in batches:
            judge.network.predict_on_batch(images)

    seconds = [], []
    for round in range(arguments.rounds + 1):
        for run, times in zip((evaluate, judge_alone), seconds):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        if round in (0, arguments.rounds):
            print(f"after turn {round}: {_peak_gib():.2f} GiB")
    medians = [statistics.median(times[1:]) for times in seconds]
    for name, median in zip(("evaluate", "judge alone"), medians):
        print(f"{name:12} {arguments.num_images / median:6.1f} images/s")
    print(f"ratio: {medians[1] / medians[0]:.2f}")


def _peak_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
