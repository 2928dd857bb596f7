import pytest
import tensorflow as tf

from keras_t2i.datasets.long_captions import is_long_caption
from keras_t2i.text.tokenizer import has_more_characters


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 201, "a" * 202, "é" * 201, "e\u0301" * 201, "ß" * 101),
        *("花" * 202, "\ufb01" * 101, "🌹" * 201, "a\0" * 101, "x" * 200 + "İ"),
    ],
)
def test_long_captions_are_those_that_encoders_cut(text):
    cut = bool(has_more_characters(tf.constant([text])))
    assert is_long_caption(text) == cut
