import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import JointEmbedding
from keras_t2i.losses import SoftmaxJointEmbedding
from keras_t2i.losses import StructuredJointEmbedding
from keras_t2i.text import image_encoder
from keras_t2i.text import tokenize
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import token_ids_batch

COLORS = {"red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1)}


def _separable_batch():
    """One image a class, of its color, and a caption that names it."""
    images = np.zeros((len(COLORS), 32, 32, 3), "float32")
    images[:] = np.array(list(COLORS.values()))[:, None, None]
    captions = tf.constant([f"a {color} flower" for color in COLORS])
    return {"images": images, "token_ids": tokenize(captions).numpy()}


def _stream(batch):
    return tf.data.Dataset.from_tensors(batch)


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile(keras.optimizers.Adam(1e-2))
    # Enough on one thread, too, which rounds sums in another way.
    history = joint_embedding.fit(
        _stream(_separable_batch()), epochs=80, verbose=0
    )
    return joint_embedding, history.history


def test_it_learns_what_belongs_together(trained):
    _, history = trained
    # 3 * 2 pairs, twice the margin of 1 each, over 9, when all scores are 0.
    assert history["loss"][0] == pytest.approx(12 / 9, rel=0.2)
    assert history["loss"][-1] < 0.1
    assert history["image_to_text_accuracy"][-1] == 1.0
    assert history["text_to_image_accuracy"][-1] == 1.0


def test_reported_loss_is_that_of_the_embeddings(trained):
    joint_embedding, _ = trained
    batch = _separable_batch()
    results = joint_embedding.evaluate(
        _stream(batch), verbose=0, return_dict=True
    )
    images, texts = (np.array(part) for part in joint_embedding(batch))
    loss = StructuredJointEmbedding()(np.eye(len(COLORS)), images @ texts.T)
    assert results["loss"] == pytest.approx(float(loss), abs=1e-6)


def test_accuracies_by_hand():
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile()
    # s = [[1, 2], [0, 3]]: image 0 likes text 1 best and image 1 its own; text
    # 0 likes image 0 best, its own, and text 1 image 1, its own.
    images = tf.constant([[1.0, 2.0], [0.0, 3.0]])
    loss = joint_embedding.compute_loss(y_pred=(images, tf.eye(2)))
    # (1 + 2 - 1) + 0 for images, 0 + (1 + 2 - 3 = 0) for texts, over 4.
    assert float(loss) == pytest.approx(0.5)
    results = joint_embedding.get_metrics_result()
    assert results["image_to_text_accuracy"] == 0.5
    assert results["text_to_image_accuracy"] == 1.0


def test_rows_of_one_class_fit_each_other():
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile(loss=SoftmaxJointEmbedding(temperature=0.5))
    images = tf.constant([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0], [0.0, 4.0, 0.0]])
    x = {"class_ids": tf.constant([7, 7, 5])}
    loss = joint_embedding.compute_loss(x=x, y_pred=(images, tf.eye(3)))
    matches = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    expected = SoftmaxJointEmbedding(temperature=0.5)(matches, images)
    assert float(loss) == pytest.approx(float(expected))
    results = joint_embedding.get_metrics_result()
    results = {name: float(value) for name, value in results.items()}
    # Images 0 and 1 like text 1 best, of their class; image 2 does so too,
    # which is not. Texts 0 and 2 like image 0 best, text 1 image 2.
    assert results["image_to_text_accuracy"] == pytest.approx(2 / 3)
    assert results["text_to_image_accuracy"] == pytest.approx(1 / 3)


def test_standardize(trained):
    trained_model, _ = trained
    joint_embedding = JointEmbedding.from_config(trained_model.get_config())
    joint_embedding.set_weights(trained_model.get_weights())
    batch = _separable_batch()

    def scores():
        images, texts = joint_embedding(batch)
        return np.array(images) @ np.array(texts).T

    before = scores()
    joint_embedding.standardize(batch["token_ids"])
    np.testing.assert_allclose(scores(), before, rtol=1e-4, atol=1e-5)
    _, texts = joint_embedding(batch)
    rms = np.sqrt(np.mean(np.square(texts)))
    assert rms == pytest.approx(1.0, abs=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_loaded_model_goes_on_where_it_was(tmp_path):
    stream = _stream(_separable_batch())
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile(
        keras.optimizers.Adam(3e-3), StructuredJointEmbedding(margin=0.5)
    )
    joint_embedding.fit(stream, epochs=2, verbose=0)
    joint_embedding.save(tmp_path / "joint.keras")
    copy = keras.saving.load_model(tmp_path / "joint.keras")
    assert copy.loss.margin == 0.5
    assert float(copy.optimizer.learning_rate) == pytest.approx(3e-3)
    assert int(copy.optimizer.iterations) == 2
    expected = joint_embedding.fit(stream, epochs=2, verbose=0).history
    assert copy.fit(stream, epochs=2, verbose=0).history == expected


@pytest.mark.usefixtures("eagerly")
def test_a_frozen_text_encoder_is_not_trained_after_loading(tmp_path):
    model = tiny_joint_embedding()
    model.text_encoder.trainable = False
    model.compile(keras.optimizers.SGD(0.1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    encoders = loaded.text_encoder, loaded.image_encoder
    before = [encoder.get_weights() for encoder in encoders]
    batch = token_ids_batch()
    images_and_texts = {name: batch[name] for name in ("images", "token_ids")}
    loaded.fit(images_and_texts, verbose=0)
    text_moved, images_moved = (
        any(map(np.any, map(np.subtract, encoder.get_weights(), old)))
        for encoder, old in zip(encoders, before)
    )
    assert images_moved and not text_moved


def test_compile_config_round_trip():
    joint_embedding = tiny_joint_embedding()
    assert joint_embedding.get_compile_config() is None
    joint_embedding.compile("sgd", run_eagerly=True)
    config = joint_embedding.get_compile_config()
    copy = tiny_joint_embedding()
    copy.compile_from_config(config)
    assert copy.get_compile_config() == config
    assert isinstance(copy.optimizer, keras.optimizers.SGD)
    assert copy.run_eagerly


def test_config_round_trip():
    joint_embedding = tiny_joint_embedding()
    config = joint_embedding.get_config()
    copy = JointEmbedding.from_config(config)
    assert copy.get_config() == config
    assert copy.count_params() == joint_embedding.count_params()


def test_embeddings_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="one size. Received: 16 and 12"):
        JointEmbedding(
            tiny_text_encoder(), image_encoder(32, embedding_dim=12, width=4)
        )


def _tiny(**options):
    return JointEmbedding(
        tiny_text_encoder(),
        image_encoder(32, embedding_dim=16, width=4),
        **options,
    )


def test_cosines_by_hand():
    joint_embedding = _tiny(similarity="cosine")
    joint_embedding.compile(loss=SoftmaxJointEmbedding())
    joint_embedding.log_temperature.assign(np.log(0.5))
    images = tf.constant([[3.0, 0.0], [0.0, 0.2]])
    texts = tf.constant([[8.0, 6.0], [0.0, 5.0]])
    loss = joint_embedding.compute_loss(y_pred=(images, texts))
    # Images by texts.
    cosines = np.array([[0.8, 0.0], [0.6, 1.0]])
    expected = SoftmaxJointEmbedding(0.5)(np.eye(2), cosines)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    # Less than this it does not get.
    joint_embedding.log_temperature.assign(-100.0)
    loss = joint_embedding.compute_loss(y_pred=(images, texts))
    expected = SoftmaxJointEmbedding(0.01)(np.eye(2), cosines)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_the_temperature_is_learned_and_saved(tmp_path):
    joint_embedding = _tiny(similarity="cosine")
    joint_embedding.compile(
        keras.optimizers.Adam(1e-2), SoftmaxJointEmbedding()
    )
    assert float(joint_embedding.log_temperature) == pytest.approx(np.log(0.07))
    stream = _stream(_separable_batch())
    joint_embedding.fit(stream, epochs=3, verbose=0)
    learned = float(joint_embedding.log_temperature)
    assert 0.01 < abs(learned - np.log(0.07)) < 0.05
    joint_embedding.save(tmp_path / "a.keras")
    copy = keras.saving.load_model(tmp_path / "a.keras")
    assert float(copy.log_temperature) == learned
    assert copy.similarity == "cosine"
    expected = joint_embedding.fit(stream, epochs=2, verbose=0).history
    assert copy.fit(stream, epochs=2, verbose=0).history == expected


def test_standardize_leaves_cosines():
    joint_embedding = _tiny(similarity="cosine")
    joint_embedding.compile(loss=SoftmaxJointEmbedding())
    batch = _separable_batch()
    loss = joint_embedding.compute_loss(y_pred=joint_embedding(batch))
    joint_embedding.standardize(batch["token_ids"])
    after = joint_embedding.compute_loss(y_pred=joint_embedding(batch))
    assert float(after) == pytest.approx(float(loss), rel=1e-4)


def test_a_class_head_by_hand():
    joint_embedding = _tiny(num_classes=3, class_head_weight=0.5)
    joint_embedding.compile(loss=SoftmaxJointEmbedding())
    # The logits are the first three numbers of an embedding, plus a bias.
    joint_embedding.class_head.set_weights(
        [np.eye(16, 3), np.array([0.0, 0.0, 1.0])]
    )
    images = np.zeros((2, 16), "float32")
    texts = np.zeros((2, 16), "float32")
    images[0, 0], images[1, 1], texts[0, 2] = 2.0, 1.0, 3.0
    x = {"class_ids": tf.constant([0, 2])}
    loss = joint_embedding.compute_loss(
        x=x, y_pred=(tf.constant(images), tf.constant(texts))
    )

    def cross_entropy(logits, class_id):
        return np.log(np.sum(np.exp(logits))) - logits[class_id]

    of_images = (cross_entropy([2, 0, 1], 0) + cross_entropy([0, 1, 1], 2)) / 2
    of_texts = (cross_entropy([0, 0, 4], 0) + cross_entropy([0, 0, 1], 2)) / 2
    # All compatibilities are 0: the logarithm of two choices.
    expected = np.log(2) + 0.5 * (of_images + of_texts) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_class_head_is_that_of_all_devices(two_replicas):
    with two_replicas.scope():
        joint_embedding = _tiny(num_classes=3, class_head_weight=0.5)

    def loss():
        x = {"class_ids": tf.constant([0, 2])}
        embeddings = tf.ones((2, 16))
        return joint_embedding._class_loss(x, (embeddings, embeddings))

    shares = two_replicas.run(tf.function(loss))
    shares = two_replicas.experimental_local_results(shares)
    # Gradients are added up.
    assert float(sum(shares)) == pytest.approx(float(loss()), rel=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_class_head_is_trained_and_saved(tmp_path):
    joint_embedding = _tiny(num_classes=4, class_head_weight=1.0)
    joint_embedding.compile(
        keras.optimizers.Adam(1e-2), SoftmaxJointEmbedding()
    )
    batch = {**_separable_batch(), "class_ids": np.array([3, 0, 1])}
    before = np.array(joint_embedding.class_head.kernel)
    history = joint_embedding.fit(_stream(batch), epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.all(before != joint_embedding.class_head.kernel)
    joint_embedding.save(tmp_path / "a.keras")
    copy = keras.saving.load_model(tmp_path / "a.keras")
    for weight, other in zip(copy.weights, joint_embedding.weights):
        np.testing.assert_array_equal(weight, other)
    expected = joint_embedding.fit(_stream(batch), verbose=0).history
    assert copy.fit(_stream(batch), verbose=0).history == expected


def test_the_defaults_add_no_weights():
    joint_embedding = _tiny()
    assert len(joint_embedding.weights) == len(
        joint_embedding.text_encoder.weights
        + joint_embedding.image_encoder.weights
    )


def test_a_config_of_before_has_the_defaults():
    config = _tiny().get_config()
    old = {
        name: config[name] for name in ("name", "text_encoder", "image_encoder")
    }
    assert JointEmbedding.from_config(old).get_config() == config


def test_the_network_is_part_of_the_config():
    config = _tiny(image_network="efficientnet_lite0").get_config()
    copy = JointEmbedding.from_config(config)
    assert copy.image_network == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"similarity": "l2"}, "'dot', 'cosine'.*Received: 'l2'"),
        ({"num_classes": 3}, "num_classes=3, class_head_weight=0.0"),
        ({"class_head_weight": 1.0}, "num_classes=None, class_head_weight=1.0"),
        (
            {"num_classes": 3, "class_head_weight": -1.0},
            "`class_head_weight` must be a number of at least 0. Rec.*: -1.0",
        ),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        _tiny(**options)


def test_a_class_head_needs_classes():
    joint_embedding = _tiny(num_classes=3, class_head_weight=1.0)
    joint_embedding.compile()
    embeddings = tf.eye(16)[:2]
    with pytest.raises(ValueError, match="Received: a batch without"):
        joint_embedding.compute_loss(x={}, y_pred=(embeddings, embeddings))
