"""How often images are closest to the texts of their class."""

import numpy as np


def zero_shot_accuracy(image_embeddings, image_classes, classes, class_texts):
    """Measures how often an image is most compatible with its own class.

    The class of an image is that whose text embedding has the largest dot
    product with the image's. Zero-shot if the classes were never trained on.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        image_classes: int array of shape `(num_images,)`, of ids in `classes`.
        classes: int array of shape `(num_classes,)`.
        class_texts: array of shape `(num_classes, embedding_dim)`. The mean
            over the embeddings of all captions of all images of each class.

    Returns:
        Share of the images, in [0, 1].

    Example:

    >>> images = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    >>> accuracy = keras_t2i.metrics.zero_shot_accuracy(
    ...     images, [4, 9, 9], classes=[4, 9], class_texts=np.eye(2)
    ... )
    >>> round(float(accuracy), 3)
    0.667

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 5.
    """
    scores = np.asarray(image_embeddings) @ np.asarray(class_texts).T
    found = np.asarray(classes)[scores.argmax(axis=1)]
    return np.mean(found == np.asarray(image_classes))
