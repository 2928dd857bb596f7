"""3 of 3: captions -> images.

    python examples/serve_flowers/ask.py \\
        http://localhost:8501/v1/models/flowers "a red flower" "a blue one"

The address grpc://localhost:8500/v1/models/flowers uses gRPC instead. The
folder saved_models/flowers needs no server.
"""

import pathlib
import sys

import keras_t2i

model, *captions = sys.argv[1:]
client = keras_t2i.export.Client(model)
files = client.generate(captions, seed=7, as_png=True)
for number, (caption, file) in enumerate(zip(captions, files)):
    path = pathlib.Path(f"flower{number}.png")
    path.write_bytes(file)
    print(f"{path}: {caption}")
