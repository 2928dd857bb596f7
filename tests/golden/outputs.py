"""What a model answers to fixed inputs, whichever kind of model it is."""

import keras
import numpy as np

import keras_t2i
from tests.tiny_models import embeddings_batch

CAPTIONS = ["a red flower", "Ein gelbes Blütenblatt, 5 petals"]


def outputs_of(model):
    """Returns dict of names to arrays."""
    batch = embeddings_batch(2, seed=1)
    generator = np.random.default_rng(2)
    noise = generator.normal(size=(2, 8)).astype("float32")
    texts = batch["text_embeddings"]
    if isinstance(model, keras_t2i.TextToImageGAN):
        return {
            "images": model.generate(CAPTIONS, seed=3),
            "scores": _arrays(model.discriminator(_pairs(batch))),
        }
    if isinstance(model, keras_t2i.JointEmbedding):
        return {
            "texts": keras_t2i.text.embed_texts(model.text_encoder, CAPTIONS),
            "images": _arrays(model.image_encoder(batch["images"])),
        }
    if isinstance(model, keras_t2i.CharCNNRNN):
        return {"texts": keras_t2i.text.embed_texts(model, CAPTIONS)}
    if isinstance(model, (keras_t2i.Generator, keras_t2i.ModulatedGenerator)):
        return {
            "images": _arrays(model({"noise": noise, "text_embeddings": texts}))
        }
    if isinstance(model, (keras_t2i.StyleEncoder, keras_t2i.StyleInversion)):
        return {"noise": _arrays(model(batch["images"]))}
    return {"scores": _arrays(model(_pairs(batch)))}


def _pairs(batch):
    return {name: batch[name] for name in ("images", "text_embeddings")}


def _arrays(outputs):
    parts = [
        keras.ops.convert_to_numpy(part).ravel()
        for part in keras.tree.flatten(outputs)
    ]
    return np.concatenate(parts)
