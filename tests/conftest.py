import keras
import pytest
import tensorflow as tf


def pytest_addoption(parser):
    parser.addoption(
        "--run-large", action="store_true", help="also run the slow tests"
    )


def pytest_configure():
    # A strategy with two replicas needs two devices, and they can be set only
    # before TensorFlow is first used.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-large"):
        return
    skip = pytest.mark.skip(reason="slow: needs --run-large")
    for item in items:
        if "large" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def repeatable_and_float32():
    """Gives each test the same random numbers, and leaves no policy behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def two_replicas():
    """The session's one strategy: two in a process can block each other."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
