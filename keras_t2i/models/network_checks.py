"""Checks of what a `TextToImageGAN` is made from."""


def check_shares(**shares):
    """Raises `ValueError` where one of these arguments is not in [0, 1]."""
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"`{name}` must be in [0, 1]. Received: {value!r}")


def check_networks(generator, discriminator, text_encoder):
    """Raises `ValueError` where networks do not fit each other."""
    if generator.image_size != discriminator.image_size:
        raise ValueError(
            "`generator` and `discriminator` must have one `image_size`. "
            f"Received: {generator.image_size} and {discriminator.image_size}"
        )
    embedding_dim = text_encoder.output_shape[-1]
    for name, network in (
        ("generator", generator),
        ("discriminator", discriminator),
    ):
        if network.text_embedding_dim != embedding_dim:
            raise ValueError(
                f"`{name}` must take the embeddings of `text_encoder`, of size "
                f"{embedding_dim}. Received: text_embedding_dim="
                f"{network.text_embedding_dim}"
            )
