"""How fast blooms are rendered, and how often the reader reads them right.

python benchmarks/blooms.py --image-size 64 --num-images 2000
"""

import argparse
import dataclasses
import time

from keras_t2i import blooms


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    start = time.perf_counter()
    rendered = [
        blooms.bloom_at(
            "test", index, seed=arguments.seed, image_size=arguments.image_size
        )
        for index in range(arguments.num_images)
    ]
    rendering = time.perf_counter() - start
    start = time.perf_counter()
    readings = [blooms.read_bloom(bloom.image) for bloom in rendered]
    reading = time.perf_counter() - start

    print(f"rendered: {len(rendered) / rendering:.0f} images/s on one core")
    print(f"read: {len(rendered) / reading:.0f} images/s on one core")
    right = dict.fromkeys(("background",), 0)
    for bloom, read in zip(rendered, readings):
        right["background"] += bloom.style.background == read.background
        truth = dataclasses.asdict(bloom.content)
        for name, value in dataclasses.asdict(read.content).items():
            right[name] = right.get(name, 0) + (truth[name] == value)
    for name, count in right.items():
        print(f"{name.replace('_', ' ')}: {count / len(rendered):.2%} right")


if __name__ == "__main__":
    main()
