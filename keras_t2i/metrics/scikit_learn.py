"""scikit-learn, which only some metrics need."""

import importlib


def scikit_learn(module):
    """Returns a module of scikit-learn.

    Args:
        module: string, such as `"cluster"`.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        raise ImportError(
            "K-means and ROC curves need scikit-learn. Received: "
            f"{error}. Install it: pip install 'keras-t2i[metrics]'"
        ) from error
