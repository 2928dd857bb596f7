"""What surrounds TensorFlow Serving, with a stand-in for the program itself."""

import pathlib
import re
import shutil
import socket
import sys
import time

import pytest

from keras_t2i.export import ModelServer
from keras_t2i.export import ServerError
from keras_t2i.export import model_server
from keras_t2i.export.loading_check import loading_error
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.export.model_folder import models_config
from keras_t2i.export.model_server import DockerProgram
from keras_t2i.export.model_server import LocalProgram
from keras_t2i.export.model_server import find_program
from keras_t2i.files import write_checksums
from tests.export import stand_in_program
from tests.programs import runs
from tests.programs import script

LISTENS_EVERYWHERE = "ignore:tensorflow_model_server listens on all addresses"


@pytest.fixture(scope="module")
def errors_by_content():
    return {}


@pytest.fixture(autouse=True)
def equal_versions_load_once(errors_by_content, monkeypatch):
    """Servers of equal files share the process that loads them."""

    def error_of(path):
        files = sorted(file for file in path.rglob("*") if file.is_file())
        content = tuple(
            (str(file.relative_to(path)), file.read_bytes()) for file in files
        )
        if content not in errors_by_content:
            errors_by_content[content] = loading_error(path)
        return errors_by_content[content]

    monkeypatch.setattr(model_server, "loading_error", error_of)


# === Which program ===


def test_the_named_program_comes_first(empty_path, monkeypatch):
    script(empty_path / "tensorflow_model_server", "")
    script(empty_path / "mine", "")
    monkeypatch.setenv("TF_SERVING_BINARY", str(empty_path / "mine"))
    assert find_program().path == str(empty_path / "mine")


def test_then_the_one_on_the_path(empty_path):
    script(empty_path / "docker", "")
    script(empty_path / "tensorflow_model_server", "")
    assert find_program().path == str(empty_path / "tensorflow_model_server")


def test_then_docker_where_it_runs(empty_path):
    script(empty_path / "docker", '[ "$1" = info ]')
    assert isinstance(find_program(), DockerProgram)


def test_docker_without_its_daemon_is_no_program(empty_path):
    script(empty_path / "docker", "exit 1")
    assert find_program() is None


def test_nothing_there(empty_path, model_folders):
    assert find_program() is None
    server = ModelServer(model_folders)
    assert server.command[0] == "docker"
    with pytest.raises(
        ServerError, match="Install Docker.*apt repository"
    ) as e:
        server.__enter__()
    assert "$TF_SERVING_BINARY" in str(e.value)
    assert not (model_folders / "models.config").exists()


def test_a_named_program_that_is_not_there(empty_path, monkeypatch):
    monkeypatch.setenv("TF_SERVING_BINARY", "/no/such/program")
    with pytest.raises(ValueError, match="Received: '/no/such/program'"):
        find_program()


# === Its command and files ===


def test_the_command_of_a_local_program(model_folders, stand_in):
    server = ModelServer(model_folders, port=9001)
    assert server.command == [
        str(stand_in),
        "--port=9000",
        "--rest_api_port=9001",
        f"--model_config_file={model_folders}/models.config",
        "--enable_batching",
        f"--batching_parameters_file={model_folders}/batching_parameters.txt",
        "--grpc_max_threads=192",
        "--rest_api_num_threads=192",
        "--rest_api_timeout_in_ms=60000",
        "--max_num_load_retries=0",
    ]
    config = server.files[model_folders / "models.config"]
    assert re.findall(r'name: "(.*)"', config) == ["birds", "flowers"]
    assert f'base_path: "{model_folders}/flowers"' in config
    batching = server.files[model_folders / "batching_parameters.txt"]
    assert batching == batching_parameters()
    assert server.addresses == {
        "birds": "http://127.0.0.1:9001/v1/models/birds",
        "flowers": "http://127.0.0.1:9001/v1/models/flowers",
    }


def test_the_command_of_docker_is_bound_to_this_machine(
    model_folders, empty_path
):
    script(empty_path / "docker", "")
    server = ModelServer(model_folders, port=9001)
    command = " ".join(server.command)
    assert command.startswith("docker run --rm --name keras-t2i-")
    published = re.findall(r"--publish (\S+)", command)
    assert published == ["127.0.0.1:9000:8500", "127.0.0.1:9001:8501"]
    assert (
        f"type=bind,source={model_folders},target=/models,readonly" in command
    )
    # The program itself, which ends at signals as the image's shell does not.
    assert re.search(
        r" --init --entrypoint tensorflow_model_server .* "
        r"tensorflow/serving:\d+\.\d+\.\d+ --port=8500 "
        r"--rest_api_port=8501 --model",
        command,
    )
    assert "--model_config_file=/models/models.config" in command
    config = server.files[model_folders / "models.config"]
    assert 'base_path: "/models/flowers"' in config
    # A container that an earlier one has left is in nobody's way.
    assert ModelServer(model_folders, port=9001).command != server.command


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "one model"])
def test_no_models(model_folders, tmp_path, kind):
    path = tmp_path / "elsewhere"
    hint = "which holds none"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.touch()
    elif kind == "one model":
        path, hint = (
            model_folders / "flowers",
            f"which is one; name '{model_folders}'",
        )
    with pytest.raises(ValueError, match="`keras-t2i export` has") as error:
        ModelServer(path)
    assert f"Received: {str(path)!r}, {hint}" in str(error.value)


@pytest.mark.parametrize("name", ["my flowers", "é", "-x"])
def test_names_that_can_not_be_served(model_folders, name):
    (model_folders / name / "1").mkdir(parents=True)
    (model_folders / name / "1" / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=f"served by.*Received: '{name}'"):
        ModelServer(model_folders)


_BAD_VERSIONS = {
    "folder": "holds no saved_model.pb",
    "file": "holds no saved_model.pb",
    "half a graph": "Read less bytes",
    "no graph": "Could not find meta graph",
    "another graph": "SHA-256 that SHA256SUMS says",
}


def _bad_version(path, kind):
    if kind == "file":
        path.touch()
        return
    path.mkdir()
    if kind != "folder":
        content = (
            stand_in_program.SAVED_MODEL[:-3] if kind == "half a graph" else b""
        )
        if kind == "another graph":
            (path / "saved_model.pb").write_bytes(b"whole")
            write_checksums(path, ["saved_model.pb"])
            content = stand_in_program.SAVED_MODEL
        (path / "saved_model.pb").write_bytes(content)


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
@pytest.mark.parametrize("kind", _BAD_VERSIONS)
def test_a_version_that_can_not_be_loaded(
    model_folders, stand_in, free_port, kind
):
    """The server would try to load it, and end, the other models with it."""
    # Lower ones are not looked at.
    (model_folders / "flowers" / "5").mkdir()
    _bad_version(model_folders / "birds" / "4", "folder")
    path = model_folders / "flowers" / "13"
    _bad_version(path, kind)
    with pytest.warns(UserWarning) as warned:
        with ModelServer(model_folders, free_port) as server:
            config = (model_folders / "models.config").read_text("utf-8")
            assert set(server.addresses) == {"birds", "flowers"}
    # The last one is of all programs of this kind.
    birds, flowers, _ = (str(one.message) for one in warned)
    assert birds.startswith(f"'{model_folders}/birds/4' cannot be loaded: ")
    assert birds.endswith("version 1 is served instead")
    assert flowers.startswith(f"{str(path)!r} cannot be loaded: ")
    assert _BAD_VERSIONS[kind] in flowers
    assert flowers.endswith("version 12 is served instead")
    assert config == models_config(
        {name: f"{model_folders}/{name}" for name in ("birds", "flowers")},
        {"birds": 1, "flowers": 12},
    )


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_a_model_without_a_version_that_can_be_loaded(
    model_folders, stand_in, free_port
):
    (model_folders / "birds" / "1" / "saved_model.pb").write_bytes(b"half")
    with pytest.warns(UserWarning, match="birds/1.*this model is not served"):
        with ModelServer(model_folders, free_port) as server:
            assert set(server.addresses) == {"flowers"}
    config = server.files[model_folders / "models.config"]
    assert "flowers" in config and "birds" not in config
    assert "policy" not in config
    for version in ("3", "12"):
        (model_folders / "flowers" / version / "saved_model.pb").unlink()
    with pytest.warns(UserWarning), pytest.raises(ValueError) as error:
        ModelServer(model_folders, free_port).__enter__()
    assert "At least one model must" in str(error.value)


def test_weights_that_are_damaged(saved_model, tmp_path):
    copy = shutil.copytree(saved_model, tmp_path / "1")
    assert loading_error(copy) is None
    weights = copy / "variables" / "variables.data-00000-of-00001"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "hecksum does not match" in loading_error(copy)
    weights.write_bytes(content[:100])
    assert loading_error(copy)


@pytest.mark.parametrize("port", [0, 1, 65536, 8501.0, "8501", True])
def test_ports_that_can_not_be(model_folders, port):
    with pytest.raises(ValueError, match=f"from 2.*Received: {port!r}"):
        ModelServer(model_folders, port)


@pytest.mark.parametrize("port", [2, 65535])
def test_the_outermost_ports(model_folders, stand_in, port):
    command = ModelServer(model_folders, port).command
    assert command[1:3] == [f"--port={port - 1}", f"--rest_api_port={port}"]


# === Starting, waiting, stopping: with the stand-in ===


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_with_a_stand_in_program_it_waits_and_stops(
    model_folders, stand_in, stand_in_note, free_port
):
    start = time.monotonic()
    with ModelServer(model_folders, free_port) as server:
        # The stand-in's models are not available before.
        assert time.monotonic() - start > 0.5
        assert stand_in_note()["argv"] == server.command[1:]
        assert runs(stand_in_note()["pid"])
        for path, text in server.files.items():
            assert pathlib.Path(path).read_text("utf-8") == text
    assert not runs(stand_in_note()["pid"])
    # The port is free again.
    with ModelServer(model_folders, free_port):
        pass


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_only_what_is_missing_or_outdated_is_written(
    model_folders, stand_in, free_port
):
    config = model_folders / "models.config"
    batching = model_folders / "batching_parameters.txt"
    tuned = "max_batch_size { value: 128 }\n"
    config.write_text("of other models")
    batching.write_text(tuned)
    with ModelServer(model_folders, free_port) as server:
        assert config.read_text("utf-8") == server.files[config]
        assert batching.read_text("utf-8") == server.files[batching] == tuned

    def written():
        stats = [path.stat() for path in (config, batching)]
        return [(stat.st_ino, stat.st_mtime_ns) for stat in stats]

    # A folder that can only be read would do.
    before = written()
    with ModelServer(model_folders, free_port):
        pass
    assert written() == before


def test_batches_that_the_warm_up_does_not_fit_into(model_folders, stand_in):
    batching = model_folders / "batching_parameters.txt"
    batching.write_text("# tuned\nmax_batch_size { value: 8 }\n")
    with pytest.raises(ValueError, match="of at least 64.*Received: 8") as e:
        ModelServer(model_folders)
    assert str(batching) in str(e.value)
    batching.write_text(
        "max_batch_size { value: 64 }\n"
        "enable_large_batch_splitting { value: true }\n"
        "max_execution_batch_size { value: 8 }\n"
    )
    ModelServer(model_folders)
    # What is written explains it, in a comment.
    batching.write_text(batching_parameters())
    ModelServer(model_folders)


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_with_a_stand_in_program_an_error_stops_it(
    model_folders, stand_in, stand_in_note, free_port
):
    with pytest.raises(KeyboardInterrupt):
        with ModelServer(model_folders, free_port):
            raise KeyboardInterrupt
    assert not runs(stand_in_note()["pid"])


def test_a_program_that_listens_everywhere_is_warned_of(
    model_folders, stand_in, free_port
):
    with pytest.warns(
        UserWarning, match=f"ports {free_port - 1} and {free_port}; keep"
    ):
        with ModelServer(model_folders, free_port):
            pass


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_a_stand_in_program_that_ends_at_once(
    model_folders, stand_in, free_port, monkeypatch
):
    monkeypatch.setenv("STAND_IN_BEHAVIOR", "ends at once")
    with pytest.raises(ServerError, match="ended with status 3"):
        ModelServer(model_folders, free_port).__enter__()


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
@pytest.mark.parametrize(
    "behavior", ["loads another version", "speaks no HTTP at first"]
)
def test_a_stand_in_program_that_must_be_waited_for(
    model_folders, stand_in, stand_in_note, free_port, monkeypatch, behavior
):
    monkeypatch.setenv("STAND_IN_BEHAVIOR", behavior)
    start = time.monotonic()
    with ModelServer(model_folders, free_port):
        assert time.monotonic() - start > 0.5
        assert runs(stand_in_note()["pid"])


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_a_stand_in_program_that_can_not_load_a_model(
    model_folders, stand_in, stand_in_note, free_port, monkeypatch
):
    monkeypatch.setenv("STAND_IN_BEHAVIOR", "cannot load")
    with pytest.raises(ServerError, match="cannot load version 1 of .*birds'"):
        ModelServer(model_folders, free_port).__enter__()
    assert not runs(stand_in_note()["pid"])


@pytest.mark.filterwarnings(LISTENS_EVERYWHERE)
def test_a_stand_in_program_that_ends_later(
    model_folders, stand_in, free_port, monkeypatch
):
    monkeypatch.setenv("STAND_IN_BEHAVIOR", "ends later")
    with ModelServer(model_folders, free_port) as server:
        with pytest.raises(ServerError, match="ended with status 4"):
            server.wait()


def test_no_container_outlives_a_docker_that_does_not_end(
    model_folders, empty_path, stand_in_note, free_port, tmp_path, monkeypatch
):
    """As one that is still getting the image, and has no container to kill."""
    monkeypatch.setattr(model_server, "_SECONDS_TO_STOP", 0.5)
    monkeypatch.setenv("STAND_IN_NOTE", str(tmp_path / "note.json"))
    program = f"{sys.executable} {stand_in_program.__file__}"
    config = f"--model_config_file={model_folders}/models.config"
    script(
        empty_path / "docker",
        'case "$1" in\n'
        f'kill) echo "$2" >> {tmp_path}/killed;;\n'
        f"run) exec {program} --rest_api_port={free_port} {config};;\n"
        "esac",
    )
    with ModelServer(model_folders, free_port) as server:
        assert runs(stand_in_note()["pid"])
    name = server.command[server.command.index("--name") + 1]
    # Again once `docker run` is gone, which may have made one meanwhile.
    assert (tmp_path / "killed").read_text().splitlines() == [name, name]
    assert not runs(stand_in_note()["pid"])


@pytest.mark.parametrize("below", [0, 1])
def test_a_port_that_is_taken(model_folders, stand_in, free_port, below):
    with socket.create_server(("127.0.0.1", free_port - below)):
        with pytest.raises(ValueError, match="be free.*another port") as e:
            ModelServer(model_folders, free_port).__enter__()
    assert f"Received: {free_port - below} (" in str(e.value)


def test_both_programs_have_the_same_methods():
    def methods(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    assert methods(LocalProgram) == methods(DockerProgram)
