"""`python -m keras_t2i`, which is the `keras-t2i` command."""

import sys

from keras_t2i.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
