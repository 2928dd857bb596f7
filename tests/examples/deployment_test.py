"""The files for Docker and Kubernetes: their form, and that they serve alike.

Nothing here is run: that takes a Docker daemon and a cluster.
"""

import importlib.resources
import json
import pathlib
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from http.server import HTTPServer

import jsonschema
import kubernetes_validate
import pytest
import yaml

from keras_t2i.cli import play
from keras_t2i.cli.main import main
from keras_t2i.export.model_folder import BATCHING_PARAMETERS_FILE
from keras_t2i.export.model_folder import IMAGE
from keras_t2i.export.model_folder import MODELS_CONFIG_FILE
from keras_t2i.export.model_folder import SERVER_FLAGS

_ROOT = pathlib.Path(__file__).parents[2]
_DOCKER = _ROOT / "examples" / "docker"
_KUBERNETES = _ROOT / "examples" / "kubernetes"
_KSERVE = _KUBERNETES / "kserve" / "inference_service.yaml"
# The first with what they use, and the newest that is known.
_VERSIONS = "1.30", kubernetes_validate.latest_version()
_PORTS = ["--port=8500", "--rest_api_port=8501"]
# Of those that `ModelServer` passes, those that name files.
_FILES = [
    f"--model_config_file=/models/flowers/{MODELS_CONFIG_FILE}",
    "--enable_batching",
    f"--batching_parameters_file=/models/flowers/{BATCHING_PARAMETERS_FILE}",
]
_PROCESSORS = "--tensorflow_session_parallelism=2"


def _read(path):
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def compose():
    return _read(_DOCKER / "compose.yaml")


@pytest.fixture(scope="module")
def compose_schema():
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas"
    text = (folder / "vendor" / "compose-spec.json").read_text("utf-8")
    return json.loads(text)


@pytest.fixture(scope="module")
def container():
    pod = _read(_KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return container


def test_compose_has_the_form_of_its_specification(compose, compose_schema):
    jsonschema.validate(compose, compose_schema)
    compose["services"]["serving"]["halthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="halthcheck"):
        jsonschema.validate(compose, compose_schema)
    del compose["services"]["serving"]["halthcheck"]


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(
    "path", sorted(_KUBERNETES.glob("*.yaml")), ids=lambda path: path.stem
)
def test_kubernetes_knows_every_field(path, version):
    resource = _read(path)
    kubernetes_validate.validate(resource, version, strict=True)
    resource["spec"]["replcas"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="replcas"):
        kubernetes_validate.validate(resource, version, strict=True)


def test_what_kserve_hands_on_has_the_form_of_a_container():
    # The rest is KServe's own, for which the package has no schema.
    service = _read(_KSERVE)
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["kind"] == "InferenceService"
    model = service["spec"]["predictor"]["model"]
    own = {
        name: model.pop(name)
        for name in (
            "modelFormat",
            "runtimeVersion",
            "protocolVersion",
            "storageUri",
        )
    }
    assert IMAGE == f"tensorflow/serving:{own['runtimeVersion']}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": service["metadata"],
        "spec": {"containers": [{"name": "kserve-container", **model}]},
    }
    for version in _VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)
    # KServe gives the timeout itself.
    flags = [flag for flag in SERVER_FLAGS if "timeout" not in flag]
    assert model["args"] == [
        "--enable_batching",
        f"--batching_parameters_file=/mnt/models/{BATCHING_PARAMETERS_FILE}",
        *flags,
        _PROCESSORS,
    ]


def test_all_start_the_server_as_serve_does(compose, container):
    flags = [*_PORTS, *_FILES, *SERVER_FLAGS]
    serving = compose["services"]["serving"]
    assert serving["image"] == IMAGE
    assert serving["command"] == [*flags, _PROCESSORS]
    assert container["args"] == [*flags, _PROCESSORS]
    dockerfile = (_DOCKER / "serving.Dockerfile").read_text("utf-8")
    assert f"\nFROM {IMAGE}\n" in dockerfile
    (command,) = re.findall(r"^CMD (\[.*\])", dockerfile, re.M | re.S)
    assert json.loads(command.replace("\\\n", "")) == flags
    for entry_point in (
        serving["entrypoint"],
        container["command"],
        json.loads(re.search(r"^ENTRYPOINT (.*)", dockerfile, re.M)[1]),
    ):
        assert entry_point == ["tensorflow_model_server"]


def test_the_page_is_started_as_its_command_line_takes_it(compose, monkeypatch):
    received = []
    monkeypatch.setattr(play, "_run", received.append)
    program, *options = json.loads(
        re.search(
            r"^ENTRYPOINT (.*)",
            (_DOCKER / "page.Dockerfile").read_text("utf-8"),
            re.M,
        )[1]
    )
    assert program == "keras-t2i"
    page = compose["services"]["page"]
    assert main([*options, *page["command"]]) == 0
    (arguments,) = received
    assert arguments.model == "http://serving:8501/v1/models/flowers"
    assert page["ports"] == [f"127.0.0.1:{arguments.port}:{arguments.port}"]


def test_the_files_that_the_server_reads_are_in_the_repository(compose):
    (volume,) = compose["services"]["serving"]["volumes"]
    models = (_DOCKER / volume["source"]).resolve()
    assert models == _ROOT / "saved_models"
    for flag in _FILES:
        _, is_path, path = flag.partition("=/models/")
        assert not is_path or (models / path).is_file()
    config = (models / "flowers" / MODELS_CONFIG_FILE).read_text("utf-8")
    assert 'base_path: "/models/flowers"' in config


def test_nothing_runs_as_root_or_without_limits(compose, container):
    for service in compose["services"].values():
        assert service["deploy"]["resources"]["limits"].keys() == {
            *("cpus", "memory", "pids")
        }
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")
    assert compose["services"]["serving"]["user"] == "65534:65534"
    for path in _DOCKER.glob("*.Dockerfile"):
        text = path.read_text("utf-8")
        assert re.findall(r"^USER (.*)", text, re.M) == ["65534:65534"]
        # A pinned version, and not `latest`.
        assert re.search(r"^FROM \S+:\d+\.\d+\.\d+", text, re.M)
    pod = _read(_KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"].keys() == {"requests", "limits"}


def test_the_parts_of_kubernetes_find_each_other(container):
    deployment, service, autoscaler = (
        _read(_KUBERNETES / f"{name}.yaml")
        for name in ("deployment", "service", "autoscaler")
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    names = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == names
    probe = container["readinessProbe"]["httpGet"]
    assert probe == {"path": "/v1/models/flowers", "port": "rest"}
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (
        deployment["kind"],
        deployment["metadata"]["name"],
    )


@pytest.mark.parametrize(("state", "status"), [("AVAILABLE", 0), ("END", 1)])
def test_the_health_check_reads_the_state(compose, state, status):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/v1/models/flowers"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'{{"state": "{state}"}}'.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program, *command = compose["services"]["serving"]["healthcheck"]["test"]
    assert program == "CMD"
    command[-1] = command[-1].replace("/8501", f"/{server.server_port}")
    result = subprocess.run(command, timeout=30)
    server.shutdown()
    server.server_close()
    assert result.returncode == status
