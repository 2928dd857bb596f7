"""Scores of images with texts, by one discriminator or several."""

import tensorflow as tf
from keras import ops
from keras import tree

from keras_t2i.models.discriminator_ensemble import members_of


class PairScoring:
    """Scores pairs of images and texts, whatever the discriminator is.

    Images become *views*, which are what the trunk of each member reads, and
    then *features*. The text joins in the members' heads, so features are
    scored with several texts after one pass of the trunk.

    Args:
        discriminator: a discriminator, or a `DiscriminatorEnsemble`.
        jointly: bool. Whether all pairs pass a head in one batch, so that its
            batch norm treats them alike.
    """

    def __init__(self, discriminator, jointly):
        self._members = members_of(discriminator)
        self._jointly = jointly

    def views(self, images):
        """Returns for each member what its trunk reads of images."""
        return [member.views(images) for member in self._members]

    def features(self, views, training):
        """Returns for each member the features that its trunk finds."""
        return [
            member.trunk(view, training=training)
            for member, view in zip(self._members, views)
        ]

    def regularization(self, real_views, text, step):
        """Returns what the members add to the discriminator's loss."""
        return sum(
            member.regularization(view, text, step)
            for member, view in zip(self._members, real_views)
        )

    def score(self, pairs, training):
        """Scores pairs.

        Args:
            pairs: dict of names to pairs of features and texts.
            training: bool.

        Returns:
            dict of these names to lists of logits, one tensor per member.
        """
        if not self._jointly:
            return {
                name: self._logits(*pair, training)
                for name, pair in pairs.items()
            }
        features, texts = zip(*pairs.values())
        joined = tree.map_structure(
            lambda *rows: ops.concatenate(rows), *features
        )
        logits = self._logits(joined, ops.concatenate(texts), training)
        # tf.split, as Keras' own takes no sizes that a graph finds out.
        sizes = [ops.shape(text)[0] for text in texts]
        members = [tf.split(rows, sizes) for rows in logits]
        return {name: list(rows) for name, rows in zip(pairs, zip(*members))}

    def score_among(self, name, features, text, pairs, training):
        """Scores the images of one pair again, beside the other pairs.

        The other pairs keep the features that they have. Batch norm must not
        see generated images alone, where it has just seen them among others.

        Args:
            name: string. That of the pair in `pairs` to be replaced.
            features: features of its images.
            text: tensor. Texts of these images.
            pairs: dict, as in `score`.
            training: bool.

        Returns:
            list of logits, one tensor per member.
        """
        replaced = {name: (features, text)}
        if self._jointly:
            replaced = {**pairs, **replaced}
        return self.score(replaced, training)[name]

    def _logits(self, features, text, training):
        return [
            member.head(
                {"features": rows, "text_embeddings": text}, training=training
            )
            for member, rows in zip(self._members, features)
        ]
