"""Several discriminators that act as one."""

import copy

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class DiscriminatorEnsemble(keras.Model):
    """Judges images and texts by several discriminators.

    A GAN's loss is the sum of those of its members, whose own logits are
    averaged within each.

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

    def __init__(self, members, **kwargs):
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

    def call(self, inputs, training=False):
        logits = [member(inputs, training=training) for member in self.members]
        return ops.concatenate(logits, axis=-1)

    def get_config(self):
        return {
            "name": self.name,
            "members": [
                keras.saving.serialize_keras_object(member)
                for member in self.members
            ],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras empties the config of a Functional model while reading it.
        config = copy.deepcopy(config)
        config["members"] = [
            keras.saving.deserialize_keras_object(member)
            for member in config["members"]
        ]
        return cls(**config)


def members_of(discriminator):
    """Returns the members of an ensemble, or the one discriminator."""
    return getattr(discriminator, "members", [discriminator])
