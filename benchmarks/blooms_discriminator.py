"""Which attributes of blooms the discriminators of GANs have learned to match.

    python benchmarks/blooms_discriminator.py --data data/blooms runs/gan

For real images of unseen kinds: how often the image's own text gets a higher
logit than one that differs in a single attribute. Guessing is 50%. All texts
are scored in one batch with batch norm's own statistics, as in training; the
images have the noise of the training.
"""

import argparse
import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from blooms_gan import ATTRIBUTES
from blooms_gan import decoded

from keras_t2i import blooms
from keras_t2i.blooms.attributes import CENTER_COLORS
from keras_t2i.blooms.attributes import PETAL_COLORS
from keras_t2i.blooms.attributes import PETAL_COUNTS
from keras_t2i.blooms.attributes import PETAL_SHAPES
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import to_model_range
from keras_t2i.losses.adversarial import mean_scores
from keras_t2i.models.adversarial_training import PairScoring
from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import Stream
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.text import embed_texts
from keras_t2i.training.run_folder import RunFolder

NUM_IMAGES = 256
VALUES = {
    "petal_color": PETAL_COLORS,
    "center_color": CENTER_COLORS,
    "petal_shape": PETAL_SHAPES,
    "petal_count": PETAL_COUNTS,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared blooms")
    parser.add_argument("runs", nargs="+", help="run folders of `train`")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    examples = PreparedExamples(arguments.data, "test")
    chosen = generator.permutation(len(examples))[:NUM_IMAGES]
    rows = [examples.read(index) for index in chosen]
    images = np.stack([decoded(row) for row in rows])
    contents = [blooms.content_of_class(int(row.class_id)) for row in rows]
    texts = [
        [full_caption(content) for content in contents],
        *(
            [
                full_caption(other(content, name, generator))
                for content in contents
            ]
            for name in ATTRIBUTES
        ),
    ]
    print("| run | " + " | ".join(ATTRIBUTES).replace("_", " ") + " |")
    print("|---" * (len(ATTRIBUTES) + 1) + "|")
    for run in map(pathlib.Path, arguments.runs):
        # With its optimizers: the noise falls with their steps.
        gan = RunFolder(run).load_checkpoint(TextToImageGAN)
        shares = measured(gan, images, texts)
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {run.name} | {cells} |", flush=True)


def full_caption(content):
    """Returns a caption that names all four attributes."""
    captions = blooms.bloom_captions(content, np.random.default_rng(0))
    return next(
        caption
        for caption in captions
        if len(blooms.content_of_caption(caption)) == len(ATTRIBUTES)
    )


def other(content, name, generator):
    """Returns the content with another value of one attribute."""
    values = [
        value for value in VALUES[name] if value != getattr(content, name)
    ]
    value = values[generator.integers(len(values))]
    return dataclasses.replace(content, **{name: value})


def measured(gan, images, texts):
    """Returns for each attribute how often an image's own text wins."""
    images = to_model_range(images)
    # The noise that the discriminator was trained on in the end.
    noise = StepNoise(gan.seed, gan.generator_optimizer.iterations)
    noisy = ImageNoise(gan.image_noise, gan.image_noise_half_life)(
        images, noise=noise, stream=Stream.REAL_IMAGES, rows=len(images)
    )
    scoring = PairScoring(gan.discriminator, gan.scores_jointly)
    features = tf.nest.map_structure(
        lambda rows: tf.concat([rows] * len(texts), axis=0),
        scoring.features(scoring.views(noisy), True),
    )
    embeddings = [
        tf.constant(embed_texts(gan.text_encoder, rows)) for rows in texts
    ]
    logits = scoring.score(
        {"real": (features, tf.concat(embeddings, axis=0))}, True
    )
    scores = np.array(mean_scores(logits)["real"])[:, 0]
    own, *others = np.split(scores, len(texts))
    return [np.mean(own > logits) for logits in others]


if __name__ == "__main__":
    main()
