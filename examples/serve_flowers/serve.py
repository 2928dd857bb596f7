"""2 of 3: TensorFlow Serving over saved_models/, until Ctrl-C.

    python examples/serve_flowers/serve.py [PORT]

It needs Docker, or TensorFlow Serving's own program: see docs/serving.md.
"""

import signal
import sys

import keras_t2i

# A SIGTERM ends the server too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
port = int(sys.argv[1]) if len(sys.argv) > 1 else 8501
with keras_t2i.export.ModelServer("saved_models", port) as server:
    print(f"serving: {server.addresses['flowers']}", flush=True)
    server.wait()
