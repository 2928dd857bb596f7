"""The texts of a batch, as embeddings."""


def embeddings_of_batch(text_encoder, batch, prefix=""):
    """Returns the embeddings that a batch holds, or those of its token ids.

    Args:
        text_encoder: `keras.Model` from `token_ids` to embeddings.
        batch: dict of tensors.
        prefix: string. Of the names in the batch. Defaults to `""`.

    Returns:
        Tensor of shape `(batch, text_embedding_dim)`.

    Raises:
        ValueError: the batch holds neither.
    """
    if prefix + "text_embeddings" in batch:
        return batch[prefix + "text_embeddings"]
    if prefix + "token_ids" in batch:
        return text_encoder(batch[prefix + "token_ids"], training=False)
    raise ValueError(
        f"A batch must hold `{prefix}text_embeddings` or `{prefix}token_ids`, "
        f"as those of `make_dataset` do. Received: {sorted(batch)}"
    )
