import inspect
import pathlib
import re

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from keras_t2i.export import Client
from keras_t2i.export.model_folder import MAX_BATCH_SIZE
from keras_t2i.export.model_folder import SERVER_FLAGS
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.export.model_folder import models_config
from keras_t2i.export.model_folder import next_version
from keras_t2i.export.model_folder import version_entries
from keras_t2i.export.model_folder import versions


def test_the_next_version_is_after_all_that_is_there(tmp_path):
    assert next_version(tmp_path / "none") == next_version(tmp_path) == 1
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").touch()
    assert next_version(tmp_path) == 3
    # No whole version, as one that is being copied, and no folder.
    (tmp_path / "9").mkdir()
    assert next_version(tmp_path) == 10
    (tmp_path / "11").touch()
    assert version_entries(tmp_path)[-1] == tmp_path / "11"
    assert next_version(tmp_path) == 12
    assert versions(tmp_path) == [2]


def test_what_has_no_number_for_a_name_is_no_version(tmp_path):
    for name in (".tmp-3-0a", "v3", "3.5", "-3", "٣", "assets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert versions(tmp_path) == []
    assert version_entries(tmp_path) == []
    assert next_version(tmp_path) == 1


def test_models_config_is_what_the_server_parses():
    base_paths = {"a": "/models/a", "b": 'C:\\x "y"/é\n'}
    parsed = text_format.Parse(
        models_config(base_paths), model_server_config_pb2.ModelServerConfig()
    )
    configs = parsed.model_config_list.config
    assert {c.name: c.base_path for c in configs} == base_paths
    assert {c.model_platform for c in configs} == {"tensorflow"}
    assert not any(c.HasField("model_version_policy") for c in configs)


def test_models_config_with_a_version_that_is_pinned():
    parsed = text_format.Parse(
        models_config({"a": "/a", "b": "/b"}, {"b": 7}),
        model_server_config_pb2.ModelServerConfig(),
    )
    a, b = parsed.model_config_list.config
    assert not a.HasField("model_version_policy")
    assert list(b.model_version_policy.specific.versions) == [7]


def test_batching_parameters():
    lines = batching_parameters().splitlines()
    assert "max_batch_size { value: 64 }" in lines
    # A server would pad with the first row of a request that may have none.
    assert not any(line.startswith("allowed_batch_sizes") for line in lines)


def test_a_server_works_as_long_as_a_client_waits():
    seconds = inspect.signature(Client).parameters["timeout"].default
    assert seconds == 60.0
    assert "--rest_api_timeout_in_ms=60000" in SERVER_FLAGS


def test_a_server_has_threads_for_the_batches_that_it_computes_and_one_more():
    """As many requests of one row each as fill them."""
    num_batches = re.search(
        r"num_batch_threads \{ value: (\d+) }", batching_parameters()
    )
    num_threads = MAX_BATCH_SIZE * (int(num_batches[1]) + 1)
    for flag in ("grpc_max_threads", "rest_api_num_threads"):
        assert f"--{flag}={num_threads}" in SERVER_FLAGS


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
