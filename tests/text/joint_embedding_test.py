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

COLORS = {"red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1)}


def _separable_batch():
    """One image a class, of its color, and a caption that names it."""
    images = np.zeros((len(COLORS), 32, 32, 3), "float32")
    images[:] = np.array(list(COLORS.values()))[:, None, None]
    captions = tf.constant([f"a {color} flower" for color in COLORS])
    return {"images": images, "char_ids": tokenize(captions).numpy()}


def _stream(batch):
    return tf.data.Dataset.from_tensors(batch)


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile(keras.optimizers.Adam(1e-2))
    history = joint_embedding.fit(
        _stream(_separable_batch()), epochs=60, verbose=0
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
    joint_embedding.standardize(batch["char_ids"])
    np.testing.assert_allclose(scores(), before, rtol=1e-4, atol=1e-5)
    _, texts = joint_embedding(batch)
    rms = np.sqrt(np.mean(np.square(texts)))
    assert rms == pytest.approx(1.0, abs=1e-5)


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
