"""The tests of keras_t2i."""

# Before TensorFlow, as the command imports it: it turns oneDNN on, and results
# of this process are compared with those of commands.
import keras_t2i  # noqa: F401
