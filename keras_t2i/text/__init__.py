"""Text encoding: the char-CNN-RNN, its training, its embeddings."""

from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.text.embeddings import import_embeddings
from keras_t2i.text.embeddings import write_stackgan_pickles
from keras_t2i.text.image_encoders import application_encoder
from keras_t2i.text.image_encoders import feature_encoder
from keras_t2i.text.image_encoders import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.tokenizers import normalize
from keras_t2i.tokenizers import tokenize
from keras_t2i.tokenizers import vocabulary_of

__all__ = [
    "CharCNNRNN",
    "JointEmbedding",
    "PrecomputedEmbeddings",
    "application_encoder",
    "embed_texts",
    "extract_embeddings",
    "feature_encoder",
    "image_encoder",
    "import_embeddings",
    "normalize",
    "tokenize",
    "vocabulary_of",
    "write_stackgan_pickles",
]
