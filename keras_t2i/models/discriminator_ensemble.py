"""Several discriminators that act as one, and scoring by one or several."""

import copy
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras import tree

from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class DiscriminatorEnsemble(keras.Model):
    """Judges images and texts by several discriminators.

    A GAN's loss is the sum of those of its members, each of which averages its
    own logits.

    Args:
        members: list of discriminators of one `image_size` and
            `text_embedding_dim`, such as `PixelDiscriminator` and
            `FeatureDiscriminator`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of all members, side by side.

    Example:

    >>> shared = {"image_size": 32, "width": 4, "text_embedding_dim": 16}
    >>> discriminator = keras_t2i.DiscriminatorEnsemble(
    ...     [
    ...         keras_t2i.PixelDiscriminator(**shared),
    ...         keras_t2i.FeatureDiscriminator(**shared),
    ...     ]
    ... )
    >>> pairs = {"images": np.zeros((2, 32, 32, 3))}
    >>> pairs["text_embeddings"] = np.zeros((2, 16))
    >>> discriminator(pairs).shape
    TensorShape([2, 5])

    Raises:
        ValueError: there are no members, or they do not fit each other.
    """

    def __init__(self, members: Sequence[keras.Model], **kwargs: Any) -> None:
        # float32: each member rounds its own inputs, and no logit is rounded.
        super().__init__(**{"dtype": "float32", **kwargs})
        shapes = {
            (member.image_size, member.text_embedding_dim) for member in members
        }
        if len(shapes) != 1:
            raise ValueError(
                "`members` must be discriminators of one `image_size` and one "
                f"`text_embedding_dim`. Received: {sorted(shapes)}"
            )
        self.members = list(members)
        ((self.image_size, self.text_embedding_dim),) = shapes
        self.built = True

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False
    ) -> Tensor:
        logits = [member(inputs, training=training) for member in self.members]
        return ops.concatenate(logits, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "members": [
                keras.saving.serialize_keras_object(member)
                for member in self.members
            ],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "DiscriminatorEnsemble":
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        config["members"] = [
            keras.saving.deserialize_keras_object(member)
            for member in config["members"]
        ]
        return cls(**config)


def members_of(discriminator: keras.Model) -> list[keras.Model]:
    """Returns the members of an ensemble, or the one discriminator."""
    return getattr(discriminator, "members", [discriminator])


# What trunks read or find: for each member a tensor or a list of them.
Maps = list[Any]
# For each pair's name: features of images, and texts.
Pairs = Mapping[str, tuple[Maps, Tensor]]


class PairScoring:
    """Scores pairs of images and texts by a discriminator or an ensemble.

    Images become *views*, which are what the trunk of each member reads, and
    then *features*. The text joins in the members' heads, so features are
    scored with several texts after one pass of the trunk. If `jointly`, all
    pairs pass a head in one batch, so that its batch norm treats them alike.
    """

    def __init__(self, discriminator: keras.Model, jointly: bool) -> None:
        self._members = members_of(discriminator)
        self._jointly = jointly

    def views(self, images: Tensor) -> Maps:
        """Returns for each member what its trunk reads of images."""
        return [member.views(images) for member in self._members]

    def features(self, views: Maps, training: bool) -> Maps:
        """Returns for each member the features that its trunk finds."""
        return [
            member.trunk(view, training=training)
            for member, view in zip(self._members, views)
        ]

    def regularization(
        self, real_views: Maps, text: Tensor, step: Tensor
    ) -> Tensor:
        """Returns what the members add to the discriminator's loss."""
        return sum(
            member.regularization(view, text, step)
            for member, view in zip(self._members, real_views)
        )

    def score(self, pairs: Pairs, training: bool) -> dict[str, list[Tensor]]:
        """Returns the logits of each pair, one tensor per member."""
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
        # tf.split, as that of Keras needs sizes that are known in a graph.
        sizes = [ops.shape(text)[0] for text in texts]
        members = [tf.split(rows, sizes) for rows in logits]
        return {name: list(rows) for name, rows in zip(pairs, zip(*members))}

    def score_among(
        self,
        name: str,
        features: Maps,
        text: Tensor,
        pairs: Pairs,
        training: bool,
    ) -> list[Tensor]:
        """Scores features and a text in place of the pair of a name.

        The other pairs keep the features that they have. Batch norm must not
        see generated images alone, after it has seen them among others.
        """
        replaced = {name: (features, text)}
        if self._jointly:
            replaced = {**pairs, **replaced}
        return self.score(replaced, training)[name]

    def _logits(
        self, features: Maps, text: Tensor, training: bool
    ) -> list[Tensor]:
        return [
            member.head(
                {"features": rows, "text_embeddings": text}, training=training
            )
            for member, rows in zip(self._members, features)
        ]
