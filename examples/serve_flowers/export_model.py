"""1 of 3: a trained run -> saved_models/flowers.

    python examples/serve_flowers/export_model.py runs/demo/gan

`keras-t2i demo` makes such a run in about seven minutes.
"""

import pathlib
import sys

# First: it sets TensorFlow up.
import keras_t2i  # isort: split

import keras

run = pathlib.Path(sys.argv[1])
gan = keras.saving.load_model(run / "model.keras", compile=False)
path = keras_t2i.export.export_saved_model(gan, "saved_models/flowers")
print(f"exported: {path}")
