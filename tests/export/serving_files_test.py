import inspect
import pathlib

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from keras_t2i.export import Client
from keras_t2i.export.serving_files import REST_TIMEOUT_FLAG
from keras_t2i.export.serving_files import batching_parameters
from keras_t2i.export.serving_files import models_config


def test_models_config_is_what_the_server_parses():
    base_paths = {"a": "/models/a", "b": 'C:\\x "y"/é\n'}
    parsed = text_format.Parse(
        models_config(base_paths), model_server_config_pb2.ModelServerConfig()
    )
    configs = parsed.model_config_list.config
    assert {c.name: c.base_path for c in configs} == base_paths
    assert {c.model_platform for c in configs} == {"tensorflow"}


def test_batching_parameters():
    lines = batching_parameters().splitlines()
    assert "max_batch_size { value: 64 }" in lines
    # A server would pad with the first row of a request that may have none.
    assert not any(line.startswith("allowed_batch_sizes") for line in lines)


def test_a_server_works_as_long_as_a_client_waits():
    seconds = inspect.signature(Client).parameters["timeout"].default
    assert seconds == 60.0
    assert REST_TIMEOUT_FLAG == "--rest_api_timeout_in_ms=60000"


def test_the_configuration_in_the_documentation_is_what_the_server_parses():
    docs = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"
    start = "```\nmodel_config_list {"
    text = docs.read_text("utf-8").partition(start)[2].partition("```")[0]
    parsed = text_format.Parse(
        "model_config_list {" + text,
        model_server_config_pb2.ModelServerConfig(),
    )
    (config,) = parsed.model_config_list.config
    versions = config.model_version_policy.specific.versions
    assert set(config.version_labels.values()) == set(versions) == {1, 2}
