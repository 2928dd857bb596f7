"""What all discriminators of images with texts have in common."""

import keras

from keras_t2i.configured_model import ConfiguredModel


class TextDiscriminator(ConfiguredModel):
    """A discriminator of two parts: the text joins in the second one only.

    A subclass makes `trunk`, from what `views` returns to features, and `head`,
    from features and a text to logits, and calls `super().__init__` with them.
    One pass of the trunk then serves several texts.
    """

    def __init__(
        self,
        trunk,
        head,
        image_size,
        text_embedding_dim,
        views=lambda images: images,
        **kwargs,
    ):
        # === Functional Model ===
        images = keras.Input((image_size, image_size, 3), name="images")
        text_embeddings = keras.Input(
            (text_embedding_dim,), name="text_embeddings"
        )
        features = trunk(views(images))
        logits = head(
            {"features": features, "text_embeddings": text_embeddings}
        )
        super().__init__(
            inputs={"images": images, "text_embeddings": text_embeddings},
            outputs=logits,
            **kwargs,
        )
        self.trunk = trunk
        self.head = head

    def views(self, images):
        """Returns what the trunk reads of images: the images."""
        return images

    def regularization(self, views, text_embeddings, step):
        """Returns what is added to the loss: nothing."""
        return 0.0
