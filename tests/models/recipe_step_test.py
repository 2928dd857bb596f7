"""A training step of the newer recipe, beside the same in plain passes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import TextToImageGAN
from tests.tiny_models import IMAGE_SIZE
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_feature_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_modulated_generator
from tests.tiny_models import tiny_pixel_discriminator
from tests.tiny_models import tiny_plus_gan
from tests.tiny_models import tiny_text_encoder

NUM_ROWS = 8
LEARNING_RATE = 0.1
SEED = 3


def _with(generator, discriminator, **options):
    def make():
        return TextToImageGAN(
            generator(),
            discriminator(),
            tiny_text_encoder(),
            seed=SEED,
            **options,
        )

    return make


def _switched(**options):
    return lambda: tiny_gan(seed=SEED, **options)


GANS = {
    "recipe": lambda: tiny_plus_gan(seed=SEED),
    "relativistic, weight": _switched(
        relativistic=True, mismatch_weight=0.2, interpolation_weight=0.3
    ),
    "relativistic, not matching": _switched(
        relativistic=True, matching_aware=False
    ),
    "augmented": _switched(translation=0.125, cutout=0.3125),
    "in place": _switched(interpolate_in_place=True, interpolation_beta=0.3),
    "pixels": _with(tiny_generator, tiny_pixel_discriminator),
    "features": _with(tiny_generator, tiny_feature_discriminator),
    "modulated": _with(tiny_modulated_generator, tiny_discriminator),
}


def _compiled(make):
    gan = make()
    gan.compile(
        keras.optimizers.SGD(LEARNING_RATE),
        keras.optimizers.SGD(LEARNING_RATE),
    )
    return gan


def _batch(**options):
    return {
        name: tf.constant(value)
        for name, value in embeddings_batch(NUM_ROWS, **options).items()
    }


def _members(gan):
    return getattr(gan.discriminator, "members", [gan.discriminator])


def _augmented(gan, images, stream):
    """Each image shifted by slicing, and multiplied by a mask."""
    if not (gan.translation or gan.cutout):
        return images
    uniform = tf.random.stateless_uniform(
        [len(images), 4], [SEED + 6 + stream, 0], alg="philox"
    ).numpy()
    most = round(gan.translation * IMAGE_SIZE)
    side = round(gan.cutout * IMAGE_SIZE)
    rows = []
    for image, (*shift, top, left) in zip(tf.unstack(images), uniform):
        down, right = (int(u * (2 * most + 1)) - most for u in shift)
        image = tf.pad(image, [[most, most], [most, most], [0, 0]])
        image = image[most - down :, most - right :]
        image = image[:IMAGE_SIZE, :IMAGE_SIZE]
        mask = np.ones((IMAGE_SIZE, IMAGE_SIZE, 1), "float32")
        top, left = (int(u * IMAGE_SIZE) - side // 2 for u in (top, left))
        mask[
            max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)
        ] = 0.0
        rows.append(image * mask)
    return tf.stack(rows)


def _noise(num_rows, stream):
    return tf.random.stateless_normal(
        [num_rows, NOISE_DIM], [SEED + stream, 0], alg="philox"
    )


def _layouts(images):
    """Means over the squares of a grid of 16, less their own, of variance 1."""
    side = IMAGE_SIZE // 16
    squares = tf.reshape(images, (-1, 16, side, 16, side, 3))
    means = tf.reduce_mean(squares, axis=(2, 4))
    center, variance = tf.nn.moments(means, axes=(1, 2), keepdims=True)
    return (means - center) / tf.sqrt(variance + 1e-4)


def _softplus(logits):
    return tf.reduce_mean(tf.nn.softplus(logits))


def _descend(tape, loss, variables):
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign_sub(LEARNING_RATE * gradient)


def _plain_step(gan, batch):
    """Changes the weights of `gan` and returns both losses, and logits."""
    images, text = batch["images"], batch["text_embeddings"]
    beta = gan.interpolation_beta
    all_texts = text
    if gan.interpolate_in_place:
        # The first two rows of eight, with the fifth and the sixth.
        between = beta * text[:2] + (1 - beta) * text[4:6]
        all_texts = tf.concat([between, text[2:]], axis=0)
    elif gan.interpolate_texts:
        between = beta * text[:4] + (1 - beta) * text[4:]
        all_texts = tf.concat([text, between], axis=0)
    num_once = len(all_texts)
    noise = _noise(num_once, 0)
    if gan.mode_seeking_weight:
        # Two of the eight texts of the batch a second time.
        again = tf.stack([all_texts[0], all_texts[4]])
        all_texts = tf.concat([all_texts, again], axis=0)
        noise = tf.concat([noise, _noise(2, 3)], axis=0)

    def generate():
        return gan.generator(
            {"noise": noise, "text_embeddings": all_texts}, training=True
        )

    def seen(generated_images):
        rows = [_augmented(gan, generated_images[:num_once], 2)]
        if gan.mode_seeking_weight:
            rows.append(_augmented(gan, generated_images[num_once:], 5))
        return tf.concat(rows, axis=0)

    def features_of(member, images):
        if hasattr(member, "frozen"):
            images = member.frozen(images)
        return member.trunk(images, training=True)

    def head(member, features, text):
        inputs = {"features": features, "text_embeddings": text}
        return member.head(inputs, training=True)

    def score(member, *pairs):
        if not gan.scores_jointly:
            return [head(member, *pair) for pair in pairs]
        features, texts = zip(*pairs)
        features = tf.nest.map_structure(
            lambda *rows: tf.concat(rows, 0), *features
        )
        logits = head(member, features, tf.concat(texts, 0))
        return tf.split(logits, [len(text) for text in texts])

    with tf.GradientTape() as tape:
        real_images = _augmented(gan, images, 1)
        generated_images = seen(generate())[:NUM_ROWS]
        discriminator_loss = 0.0
        real_pairs, logits = [], []
        for member in _members(gan):
            features = features_of(member, real_images)
            pairs = [(features, text)]
            if gan.matching_aware:
                pairs.append((features, batch["mismatched_text_embeddings"]))
            real_pairs.append(pairs)
            own = features_of(member, generated_images), all_texts[:NUM_ROWS]
            real, *wrong, generated = score(member, *pairs, own)
            logits.append((real, wrong, generated))
            weight = gan.mismatch_weight if gan.matching_aware else 0.0
            if gan.relativistic:
                discriminator_loss += _softplus(generated - real)
                for rows in wrong:
                    discriminator_loss += 2 * weight * _softplus(rows - real)
            else:
                discriminator_loss += _softplus(-real)
                discriminator_loss += (1 - weight) * _softplus(generated)
                for rows in wrong:
                    discriminator_loss += weight * _softplus(rows)
        for member in _members(gan):
            if hasattr(member, "penalty_weight"):
                with tf.GradientTape() as inner:
                    inner.watch(real_images)
                    rows = head(member, features_of(member, real_images), text)
                gradient = inner.gradient(rows, real_images)
                square = tf.reduce_sum(gradient**2) / NUM_ROWS
                # 16 / 2 times a weight of 1.
                discriminator_loss += 8.0 * square
    _descend(tape, discriminator_loss, gan.discriminator.trainable_variables)

    with tf.GradientTape() as tape:
        generated_images = generate()
        generator_loss = 0.0
        for member, pairs, (real, _, _) in zip(
            _members(gan), real_pairs, logits
        ):
            pairs = [*pairs] if gan.scores_jointly else []
            pairs.append(
                (features_of(member, seen(generated_images)), all_texts)
            )
            generated = score(member, *pairs)[-1]
            own, between = generated[:NUM_ROWS], generated[NUM_ROWS:num_once]
            if gan.mode_seeking_weight:
                own = tf.concat([own, generated[num_once:]], axis=0)
                real = tf.concat([real, real[:1], real[4:5]], axis=0)
            if gan.relativistic:
                generator_loss += _softplus(real - own)
                if len(between):
                    generator_loss += gan.interpolation_weight * _softplus(
                        real[: len(between)] - between
                    )
            else:
                generator_loss += _softplus(-own)
                if len(between):
                    generator_loss += _softplus(-between)
        total_loss = generator_loss
        if gan.mode_seeking_weight:
            layouts = _layouts(generated_images)
            distances = [
                tf.reduce_mean(
                    tf.abs(tf.stack([rows[0], rows[4]]) - rows[num_once:])
                )
                for rows in (layouts, noise)
            ]
            alike = 1.0 / (distances[0] / distances[1] + 1e-5)
            total_loss += gan.mode_seeking_weight * alike
    _descend(tape, total_loss, gan.generator.trainable_variables)
    return float(discriminator_loss), float(generator_loss), logits


def _accuracies(gan, logits):
    """Counted by hand, from the sum of the members' means."""
    real, wrong, generated = (
        sum(np.array(member).mean(axis=1) for member in rows)
        for rows in (
            [real for real, _, _ in logits],
            [wrong[0] for _, wrong, _ in logits],
            [generated for _, _, generated in logits],
        )
    )
    if gan.relativistic:
        below = wrong < real, generated < real
        return np.mean(below[0] & below[1]), below[0].mean(), below[1].mean()
    return np.mean(real > 0), np.mean(wrong <= 0), np.mean(generated <= 0)


@pytest.mark.parametrize("name", GANS)
def test_a_step_is_that_of_separate_passes(name):
    gan, reference = _compiled(GANS[name]), _compiled(GANS[name])
    reference.set_weights(gan.get_weights())
    before = {id(weight): np.array(weight) for weight in gan.weights}
    results = {k: float(v) for k, v in gan.train_step(_batch()).items()}
    discriminator_loss, generator_loss, logits = _plain_step(
        reference, _batch()
    )
    assert results["discriminator_loss"] == pytest.approx(
        discriminator_loss, rel=1e-4
    )
    assert results["generator_loss"] == pytest.approx(generator_loss, rel=1e-4)
    if gan.matching_aware:
        names = ("real", "mismatched", "generated")
        for kind, expected in zip(names, _accuracies(gan, logits)):
            assert results[f"{kind}_accuracy"] == pytest.approx(expected)
    for network, other in (
        (gan.generator, reference.generator),
        *zip(_members(gan), _members(reference)),
    ):
        largest_step = 0.0
        for weight, expected in zip(
            network.trainable_variables, other.trainable_variables
        ):
            step = np.abs(weight - before[id(weight)]).max()
            largest_step = max(step, largest_step)
            np.testing.assert_allclose(
                weight, expected, rtol=1e-4, atol=1e-5, err_msg=weight.path
            )
        assert largest_step > 1e-4
    # Singular vectors too: the trunks saw the same images in the same order.
    for weight, expected in zip(
        gan.discriminator.non_trainable_variables,
        reference.discriminator.non_trainable_variables,
    ):
        if "singular" in weight.path:
            np.testing.assert_allclose(weight, expected, rtol=1e-4)


def test_relativistic_accuracies_by_hand():
    gan = tiny_gan(relativistic=True)
    # The real pair must be above both others; of two logits the mean counts.
    logits = {
        "real": [tf.constant([[1.0], [2.0], [-1.0], [0.5]]), _column(0.0)],
        "mismatched": [
            tf.constant([[0.0], [3.0], [-2.0], [0.5]]),
            tf.constant([[1.0, -1.0]] * 4),
        ],
        "generated": [tf.constant([[0.0], [0.0], [0.0], [0.0]]), _column(0.0)],
    }
    images = tf.constant(embeddings_batch(4)["images"])
    gan._track(tf.constant(0.5), logits, images, images)
    results = {k: float(v) for k, v in gan.get_metrics_result().items()}
    # Mismatched below real: yes, no, yes, no (equal). Generated: yes, yes, no,
    # yes. Both: the first alone.
    assert results["mismatched_accuracy"] == 0.5
    assert results["generated_accuracy"] == 0.75
    assert results["real_accuracy"] == 0.25


def _column(value):
    return tf.fill((4, 1), value)


def test_repeated_texts_are_those_they_are_compared_with():
    gan = tiny_gan(interpolate_in_place=True, mode_seeking_weight=1.0)
    gan.compile()
    seen = []
    call = gan.generator.call
    gan.generator.call = lambda inputs, **options: (
        seen.append(inputs["text_embeddings"]) or call(inputs, **options)
    )
    gan.train_step(_batch())
    (texts,) = seen
    # Rows 0 and 4, of which the first is interpolated.
    np.testing.assert_array_equal(texts[NUM_ROWS:], texts[:NUM_ROWS:4])


def test_later_steps_are_without_penalty_until_the_next():
    gan = _compiled(
        _with(
            tiny_generator, lambda: tiny_pixel_discriminator(penalty_interval=2)
        )
    )
    views = [tf.constant(embeddings_batch(4)["images"])]
    text = tf.constant(embeddings_batch(4)["text_embeddings"])
    penalties = []
    for step in range(3):
        penalties.append(
            float(gan._scoring.regularization(views, text, tf.constant(step)))
        )
    assert penalties[0] == penalties[2] > 0.0
    assert penalties[1] == 0.0
