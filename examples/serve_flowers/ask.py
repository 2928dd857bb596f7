"""3 of 3: sentences -> pictures.

    python examples/serve_flowers/ask.py \\
        http://localhost:8501/v1/models/flowers "a red flower" "a blue one"

In place of the address, grpc://localhost:8500/v1/models/flowers asks by gRPC,
and saved_models/flowers without a server.
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
