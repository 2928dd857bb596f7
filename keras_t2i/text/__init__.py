"""Text encoding: characters, the char-CNN-RNN, its training, its embeddings."""

from keras_t2i.text.application_encoder import application_encoder
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.text.embeddings import import_embeddings
from keras_t2i.text.feature_encoder import feature_encoder
from keras_t2i.text.image_encoder import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.text.stackgan_pickles import write_stackgan_pickles
from keras_t2i.text.tokenizer import normalize
from keras_t2i.text.tokenizer import tokenize
from keras_t2i.text.words import vocabulary_of
from keras_t2i.torch_files.text_encoders import load_reed_text_encoder

__all__ = [
    "CharCNNRNN",
    "JointEmbedding",
    "application_encoder",
    "embed_texts",
    "extract_embeddings",
    "feature_encoder",
    "image_encoder",
    "import_embeddings",
    "load_reed_text_encoder",
    "normalize",
    "tokenize",
    "vocabulary_of",
    "write_stackgan_pickles",
]
