"""What a trained text encoder understands, in numbers."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_t2i.blooms import captions_between
from keras_t2i.blooms import content_of_caption
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.evaluation.generated_images import seen_by_models
from keras_t2i.metrics.distances import unit_rows
from keras_t2i.metrics.embedding_measures import caption_recall
from keras_t2i.metrics.embedding_measures import class_means
from keras_t2i.metrics.embedding_measures import interpolation_premise
from keras_t2i.metrics.embedding_measures import linear_probe_accuracy
from keras_t2i.metrics.embedding_measures import retrieval_precision
from keras_t2i.metrics.embedding_measures import zero_shot_accuracy
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.training.precomputed import network_features
from keras_t2i.types import StrPath

_RECALL_AT = (1, 5, 10)
_PRECISION_AT = 50
# The linear probes are fitted on the captions of this many training images.
_NUM_PROBED = 1000
_NUM_PAIRS = 1000


def evaluate_text(
    model: JointEmbedding,
    data: StrPath,
    split: str,
    image_features: StrPath | None = None,
) -> dict[str, Any]:
    """Measures a text encoder together with its image encoder, for JSON.

    `image_features` is the path of features of the images, for an image encoder
    that takes them. `None` stands for those of the model's `image_network`,
    which are computed unless the data set has them. Raises `ValueError` if the
    data set is damaged or does not fit the model.

    Reference: Reed et al., 2016, https://arxiv.org/abs/1605.05395, section 5.
    """
    examples = PreparedExamples(data, split)
    if image_features is None and model.image_network is not None:
        image_features = network_features(
            model.image_network, data, model.image_encoder.input_shape[-1]
        )
    images = _image_embeddings(model, data, split, examples, image_features)
    texts, image_of_text = _captions(examples, range(len(examples)))
    embeddings = embed_texts(model.text_encoder, texts)
    captions = embeddings
    # Products of vectors of length 1 are cosines.
    is_cosine = model.similarity == "cosine"
    if is_cosine:
        images, captions = unit_rows(images), unit_rows(captions)
    results: dict[str, Any] = {
        "split": split,
        "num_images": len(examples),
        "num_captions": len(texts),
    }
    if examples.class_ids is not None:
        # As published, over captions and not over images.
        classes, class_texts = class_means(
            captions, examples.class_ids[image_of_text]
        )
        if is_cosine:
            class_texts = unit_rows(class_texts)
        of_images = (images, examples.class_ids, classes, class_texts)
        results["num_classes"] = len(classes)
        results["zero_shot_accuracy"] = float(zero_shot_accuracy(*of_images))
        results[f"precision_at_{_PRECISION_AT}"] = float(
            retrieval_precision(*of_images, k=_PRECISION_AT)
        )
    recall = caption_recall(images, captions, image_of_text, _RECALL_AT)
    for k, value in recall.items():
        results[f"recall_at_{k}"] = float(value)
    if read_manifest(data).name == "blooms":
        results.update(_on_blooms(model.text_encoder, data, texts, embeddings))
    return results


def _image_embeddings(
    model: JointEmbedding,
    data: StrPath,
    split: str,
    examples: PreparedExamples,
    image_features: StrPath | None,
) -> np.ndarray:
    takes_features = len(model.image_encoder.input_shape) == 2
    if takes_features and image_features is None:
        raise ValueError(
            "A text encoder that was trained on features of images needs "
            "--image-features. Received: none. Name features of this data set "
            "by the network that it was trained with."
        )
    if image_features is not None:
        if not takes_features:
            raise ValueError(
                "--image-features is for a text encoder that was trained on "
                "features of images. Received: one that was trained on images. "
                "Leave it out."
            )
        features = ImageFeatures(image_features, data, split)
        width = model.image_encoder.input_shape[-1]
        if features.num_features != width:
            raise ValueError(
                f"--image-features must hold {width} features of each image, "
                f"as in training. Received: {features.num_features}."
            )
        return model.image_encoder.predict(features.first_views(), verbose=0)
    image_size = model.image_encoder.input_shape[1]
    read = seen_by_models(examples, image_size)
    return np.concatenate(
        [
            model.image_encoder.predict_on_batch(to_model_range(batch))
            for _, batch in image_batches(read, len(examples))
        ]
    )


def _captions(
    examples: PreparedExamples, indices: Iterable[int]
) -> tuple[list[str], np.ndarray]:
    """Returns all captions of images, and the index of each caption's image."""
    texts: list[str] = []
    image_of_text: list[int] = []
    for index in indices:
        captions = examples.read(index).captions
        texts += captions
        image_of_text += [index] * len(captions)
    return texts, np.array(image_of_text)


def _on_blooms(
    text_encoder: CharCNNRNN,
    data: StrPath,
    test_texts: list[str],
    test_embeddings: np.ndarray,
) -> dict[str, Any]:
    examples = PreparedExamples(data, "train")
    texts, _ = _captions(examples, range(min(len(examples), _NUM_PROBED)))
    parts = (
        (embed_texts(text_encoder, texts), texts),
        (test_embeddings, test_texts),
    )
    probes = {}
    for name in ("petal_color", "center_color", "petal_count", "petal_shape"):
        arguments: list[Any] = []
        for embeddings, captions in parts:
            values = [content_of_caption(text).get(name) for text in captions]
            named = [value is not None for value in values]
            arguments.append(embeddings[named])
            arguments.append([value for value in values if value is not None])
        probes[name] = float(linear_probe_accuracy(*arguments))
    # Of unseen kinds, whichever split is measured.
    sentences = captions_between("test", _NUM_PAIRS)
    premise = interpolation_premise(
        *(embed_texts(text_encoder, part) for part in sentences)
    )
    return {"linear_probe": probes, "interpolation": premise}
