import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.adversarial_training import PairScoring
from keras_t2i.models.adversarial_training import relative_diversity
from keras_t2i.models.noise import noise_from_seeds
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import VARIANTS
from tests.tiny_models import embeddings_batch
from tests.tiny_models import random_images
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_released_gan
from tests.tiny_models import token_ids_batch

NUM_ROWS = 6
# Repeated with a mode seeking loss.
REPEATED = [0, 4]
LEARNING_RATE = 0.5


def _sgd_gan(seed=3, make_gan=tiny_gan, **options):
    gan = make_gan(seed=seed, **options)
    gan.compile(
        generator_optimizer=keras.optimizers.SGD(LEARNING_RATE),
        discriminator_optimizer=keras.optimizers.SGD(LEARNING_RATE),
    )
    return gan


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _descend(tape, loss, variables):
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign_sub(LEARNING_RATE * gradient)


def _mean_softplus(logits):
    # -log(1 - probability): what refusing a pair costs; of -logits, accepting.
    return tf.reduce_mean(tf.nn.softplus(logits))


def _plain_step(gan, batch):
    """One step with three passes of the discriminator and two generators.

    Changes the weights of `gan` and returns both losses.
    """
    images = batch["images"]
    noise = None

    def embed(prefix):
        if "token_ids" in batch:
            return gan.text_encoder(batch[prefix + "token_ids"])
        return batch[prefix + "text_embeddings"]

    def generate(text):
        nonlocal noise
        if noise is None:
            noise = tf.concat(
                [
                    tf.random.stateless_normal(
                        [rows, NOISE_DIM], [gan.seed + stream, 0], alg="philox"
                    )
                    for rows, stream in (
                        (num_once, 0),
                        (len(text) - num_once, 3),
                    )
                ],
                axis=0,
            )
        return gan.generator(
            {"noise": noise, "text_embeddings": text}, training=True
        )

    def features_of(images):
        return gan.discriminator.trunk(images, training=True)

    def score(*pairs):
        """Scores pairs of features and texts, in one pass if need be."""
        if gan.scores_jointly:
            features, texts = (tf.concat(rows, 0) for rows in zip(*pairs))
            logits = gan.discriminator.head(
                {"features": features, "text_embeddings": texts}, training=True
            )
            return tf.split(logits, [len(text) for _, text in pairs])
        return [
            gan.discriminator.head(
                {"features": features, "text_embeddings": text}, training=True
            )
            for features, text in pairs
        ]

    with tf.GradientTape() as tape:
        text = embed("")
        all_texts = tf.stop_gradient(text)
        if gan.interpolate_texts:
            half = NUM_ROWS // 2
            beta = gan.interpolation_beta
            first, second = all_texts[:half], all_texts[half:]
            between = beta * first + (1 - beta) * second
            all_texts = tf.concat([all_texts, between], axis=0)
        num_once = len(all_texts)
        if gan.mode_seeking_weight:
            # Every fourth row is repeated.
            again = tf.gather(all_texts, REPEATED)
            all_texts = tf.concat([all_texts, again], axis=0)
        generated_images = generate(all_texts)[:NUM_ROWS]
        real_pairs = [(features_of(images), text)]
        if gan.matching_aware:
            real_pairs.append((features_of(images), embed("mismatched_")))
        real, *wrong, generated = score(
            *real_pairs, (features_of(generated_images), text)
        )
        weight = gan.mismatch_weight if gan.matching_aware else 0.0
        discriminator_loss = _mean_softplus(-real)
        discriminator_loss += (1 - weight) * _mean_softplus(generated)
        if gan.matching_aware:
            discriminator_loss += weight * _mean_softplus(*wrong)
    variables = gan.discriminator.trainable_variables
    if "token_ids" in batch:
        variables = variables + gan.text_encoder.trainable_variables
    _descend(tape, discriminator_loss, variables)

    with tf.GradientTape() as tape:
        generated_images = generate(all_texts)
        pairs = [(features_of(generated_images), all_texts)]
        if gan.scores_jointly:
            pairs = real_pairs + pairs
        logits = score(*pairs)[-1]
        own = tf.concat([logits[:NUM_ROWS], logits[num_once:]], axis=0)
        generator_loss = total_loss = _mean_softplus(-own)
        if gan.interpolate_texts:
            interpolated = _mean_softplus(-logits[NUM_ROWS:num_once])
            generator_loss += gan.interpolation_weight * interpolated
            total_loss = generator_loss
        if gan.mode_seeking_weight:
            distances = [
                tf.reduce_mean(
                    tf.abs(tf.gather(rows, REPEATED) - rows[num_once:])
                )
                for rows in (generated_images, noise)
            ]
            alike = 1.0 / (distances[0] / distances[1] + 1e-5)
            total_loss += gan.mode_seeking_weight * alike
    _descend(tape, total_loss, gan.generator.trainable_variables)
    losses = {
        "discriminator_loss": float(discriminator_loss),
        "generator_loss": float(generator_loss),
    }
    if gan.mode_seeking_weight:
        losses["mode_seeking_loss"] = float(alike)
    return losses


def _assert_same_step(gan, batch, make_gan=tiny_gan):
    reference = _sgd_gan(make_gan=make_gan, **_options(gan))
    reference.set_weights(gan.get_weights())
    before = {id(weight): np.array(weight) for weight in gan.weights}
    results = gan.train_step(batch)
    losses = _plain_step(reference, batch)
    for name, loss in losses.items():
        assert float(results[name]) == pytest.approx(loss, rel=1e-5, abs=1e-5)
    networks = ["generator", "discriminator"]
    if "token_ids" in batch:
        networks.append("text_encoder")
    for name in networks:
        network, other = getattr(gan, name), getattr(reference, name)
        largest_step = 0.0
        for weight, expected in zip(
            network.trainable_variables, other.trainable_variables
        ):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-5)
            step = np.abs(weight - before[id(weight)]).max()
            largest_step = max(step, largest_step)
        assert largest_step > 0.01
    # The head saw the same pairs in the same order.
    for weight, expected in zip(
        gan.discriminator.head.non_trainable_variables,
        reference.discriminator.head.non_trainable_variables,
    ):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


def _options(gan):
    names = (
        "matching_aware",
        "mismatch_weight",
        "interpolation_weight",
        "interpolation_beta",
        "mode_seeking_weight",
        "scores_jointly",
        "seed",
    )
    options = {name: getattr(gan, name) for name in names}
    return {**options, "interpolate": gan.interpolate_texts}


@pytest.mark.parametrize("scores_jointly", (False, True))
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_that_of_separate_passes(variant, scores_jointly):
    gan = _sgd_gan(**VARIANTS[variant], scores_jointly=scores_jointly)
    _assert_same_step(gan, _tensors(embeddings_batch(NUM_ROWS)))


def test_a_step_of_the_released_layers_is_that_of_separate_passes():
    gan = _sgd_gan(make_gan=tiny_released_gan)
    batch = _tensors(embeddings_batch(NUM_ROWS))
    _assert_same_step(gan, batch, make_gan=tiny_released_gan)


@pytest.mark.parametrize("scores_jointly", (False, True))
def test_real_pairs_share_statistics_with_mismatched_ones(scores_jointly):
    gan = _sgd_gan(scores_jointly=scores_jointly)
    images = tf.constant(random_images(NUM_ROWS))
    text = tf.constant(embeddings_batch(NUM_ROWS)["text_embeddings"])

    scoring = PairScoring(gan.discriminator, scores_jointly)

    def real_logits(mismatched_text):
        features = scoring.features(scoring.views(images), True)
        generated = scoring.features(scoring.views(-images), True)
        pairs = {
            "real": (features, text),
            "mismatched": (features, mismatched_text),
            "generated": (generated, text),
        }
        (logits,) = scoring.score(pairs, True)["real"]
        return logits

    change = real_logits(text) - real_logits(10.0 * text)
    if scores_jointly:
        assert np.abs(change).max() > 1e-3
    else:
        np.testing.assert_array_equal(change, 0.0)


def test_weights_and_beta_are_used():
    gan = _sgd_gan(
        mismatch_weight=0.3, interpolation_weight=0.6, interpolation_beta=0.2
    )
    _assert_same_step(gan, _tensors(embeddings_batch(NUM_ROWS)))


@pytest.mark.parametrize("interpolate", (False, True))
def test_mode_seeking_repeats_a_quarter_of_the_texts(interpolate):
    # Little weight: untrained images are all alike, and the steps large.
    gan = _sgd_gan(interpolate=interpolate, mode_seeking_weight=0.01)
    _assert_same_step(gan, _tensors(embeddings_batch(NUM_ROWS)))


def test_end_to_end_step_is_that_of_separate_passes():
    gan = _sgd_gan()
    # Embeddings of the size of trained ones, so that they matter.
    kernel = gan.text_encoder.get_layer("embedding").kernel
    kernel.assign(500 * kernel)
    _assert_same_step(gan, _tensors(token_ids_batch(NUM_ROWS)))


def test_accuracies_count_the_logits():
    gan = _sgd_gan()
    logits = {
        "real": [tf.constant([[1.0], [2.0], [-1.0], [0.5]])],
        "mismatched": [tf.constant([[1.0], [-2.0], [-1.0], [0.5]])],
        "generated": [tf.constant([[1.0], [2.0], [3.0], [-0.5]])],
    }
    images = tf.constant(random_images(4))
    gan._track(tf.constant(0.5), logits, images, images)
    results = {k: float(v) for k, v in gan.get_metrics_result().items()}
    # Real pairs must be accepted, the others refused.
    assert results["real_accuracy"] == 0.75
    assert results["mismatched_accuracy"] == 0.5
    assert results["generated_accuracy"] == 0.25
    assert results["discriminator_loss"] == 0.5


@pytest.mark.parametrize("variant", VARIANTS)
def test_metrics(variant):
    gan = tiny_gan(**VARIANTS[variant])
    names = {
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "generated_accuracy",
        "diversity",
    }
    if gan.matching_aware:
        names.add("mismatched_accuracy")
    assert {metric.name for metric in gan.metrics} == names


def test_diversity_compares_with_real_images():
    # Generated: 0 and 0.5, a variance of 1/16; real: 0 and 1, of 1/4.
    generated_images = tf.constant([0.0, 0.5])[:, None, None, None] * tf.ones(
        (2, 2, 2, 3)
    )
    images = tf.constant([0.0, 1.0])[:, None, None, None] * tf.ones(
        (2, 2, 2, 3)
    )
    assert float(relative_diversity(generated_images, images)) == pytest.approx(
        0.5
    )
    # Of equal images nothing can be said.
    assert (
        float(relative_diversity(generated_images, tf.ones((2, 2, 2, 3))))
        == 0.0
    )


def test_only_character_ids_train_the_text_encoder():
    gan = tiny_gan()
    gan.compile()

    def changed(network, step):
        before = network.get_weights()
        step()
        return [
            not np.array_equal(value, weight)
            for value, weight in zip(before, network.get_weights())
        ]

    embeddings = _tensors(embeddings_batch())
    token_ids = _tensors(token_ids_batch())
    encoder, discriminator = gan.text_encoder, gan.discriminator
    assert not any(changed(encoder, lambda: gan.train_step(embeddings)))
    assert all(changed(discriminator, lambda: gan.train_step(embeddings)))
    assert all(changed(encoder, lambda: gan.train_step(token_ids)))


def test_a_frozen_text_encoder_stays():
    gan = tiny_gan()
    gan.text_encoder.trainable = False
    gan.compile()
    before = gan.text_encoder.get_weights()
    gan.train_step(_tensors(token_ids_batch()))
    for value, weight in zip(before, gan.text_encoder.get_weights()):
        np.testing.assert_array_equal(value, weight)


def test_ema_generator_by_hand():
    gan = tiny_gan()
    gan.compile()
    averages = [np.array(weight) for weight in gan.generator.weights]
    for weight, value in zip(gan.ema_generator.weights, averages):
        np.testing.assert_array_equal(weight, value)
    batch = _tensors(embeddings_batch())
    # Steps 1 and 2: (1 + step) / (10 + step), as that is below 0.999.
    for decay in (2 / 11, 3 / 12):
        gan.train_step(batch)
        for index, weight in enumerate(gan.generator.weights):
            kept = decay if weight.trainable else 0.0
            averages[index] = kept * averages[index] + (1 - kept) * weight
    differs = False
    for average, ema, weight in zip(
        averages, gan.ema_generator.weights, gan.generator.weights
    ):
        assert ema.dtype == "float32"
        np.testing.assert_allclose(ema, average, rtol=1e-5, atol=1e-7)
        if not weight.trainable:
            np.testing.assert_array_equal(ema, weight)
        differs |= not np.array_equal(ema, weight)
    assert differs


def test_ema_decay_is_the_limit():
    gan = tiny_gan(ema_decay=0.1)
    gan.compile()
    weight = gan.generator.get_layer("convolution_4").kernel
    start = np.array(weight)
    gan.train_step(_tensors(embeddings_batch()))
    ema = gan.ema_generator.get_layer("convolution_4").kernel
    np.testing.assert_allclose(ema, 0.1 * start + 0.9 * weight, rtol=1e-5)


def test_ema_generator_is_not_trained():
    gan = tiny_gan()
    assert gan.ema_generator.trainable_variables == []
    assert gan.ema_generator.weights[0] is not gan.generator.weights[0]


def test_one_row_can_not_be_interpolated():
    gan = tiny_gan()
    gan.compile()
    step = tf.function(gan.train_step, autograph=False)
    with pytest.raises(ValueError, match="at least 2 rows.*Received: 1 row"):
        step(_tensors(embeddings_batch(1)))


def test_a_short_last_batch_of_one_row_is_the_same_without_a_graph():
    def history(run_eagerly):
        keras.utils.set_random_seed(0)
        gan = _sgd_gan()
        gan.run_eagerly = run_eagerly
        batches = embeddings_batch(5)
        gan.fit(batches, batch_size=4, shuffle=False, verbose=0)
        return gan.get_metrics_result()

    expected = history(False)
    for name, value in history(True).items():
        assert float(value) == pytest.approx(float(expected[name]), abs=1e-4)


def test_a_batch_must_hold_both_texts():
    gan = tiny_gan()
    gan.compile()
    batch = _tensors(embeddings_batch())
    del batch["mismatched_text_embeddings"]
    with pytest.raises(
        ValueError, match=r"`mismatched_token_ids`.*Received: \['images', 'text"
    ):
        gan.train_step(batch)
    tiny = tiny_gan(matching_aware=False)
    tiny.compile()
    tiny.train_step(batch)


def test_test_step_by_hand():
    gan = tiny_gan(matching_aware=True, interpolate=False)
    gan.compile()
    gan.train_step(_tensors(embeddings_batch()))
    gan.reset_metrics()
    weights = [np.array(weight) for weight in gan.weights]
    batch = _tensors(embeddings_batch(seed=1))
    results = {k: float(v) for k, v in gan.test_step(batch).items()}

    # The noise of the seeds 0, 1, ...; averaged weights and statistics.
    generated_images = gan.ema_generator(
        {
            "noise": noise_from_seeds(tf.range(4), NOISE_DIM),
            "text_embeddings": batch["text_embeddings"],
        }
    )

    def score(images, text):
        return gan.discriminator({"images": images, "text_embeddings": text})

    text, wrong = batch["text_embeddings"], batch["mismatched_text_embeddings"]
    generated = score(generated_images, text)
    loss = _mean_softplus(-score(batch["images"], text))
    loss += 0.5 * _mean_softplus(score(batch["images"], wrong))
    loss += 0.5 * _mean_softplus(generated)
    assert results["discriminator_loss"] == pytest.approx(float(loss), abs=1e-5)
    assert results["generator_loss"] == pytest.approx(
        float(_mean_softplus(-generated)), abs=1e-5
    )
    for weight, value in zip(gan.weights, weights):
        np.testing.assert_array_equal(weight, value)
