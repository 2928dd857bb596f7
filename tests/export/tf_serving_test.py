"""With TensorFlow Serving itself, where it is to be had.

Each test is skipped where there is none, and says so; with
KERAS_T2I_REQUIRE_TF_SERVING=1 it fails instead.
"""

import base64
import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings

import numpy as np
import pytest

from keras_t2i.cli.main import main
from keras_t2i.export import Client
from keras_t2i.export import ModelServer
from keras_t2i.export import ServerError
from keras_t2i.export import export_saved_model
from keras_t2i.export.model_server import find_program
from tests.export.tiny_served import decode
from tests.export.tiny_served import encode
from tests.export.tiny_served import inputs_of_signatures
from tests.export.tiny_served import style_images
from tests.export.tiny_served import tiny_served_gan
from tests.programs import a_free_port
from tests.programs import with_this_python

pytestmark = pytest.mark.tf_serving

CAPTIONS = ["a red flower", "Straße 花", "a rose"]


@pytest.fixture(scope="module")
def server(gan, style_encoder, tmp_path_factory):
    """TensorFlow Serving over version 1 of `flowers`."""
    if find_program() is None:
        message = (
            "not run against TensorFlow Serving: no tensorflow_model_server "
            "and no running Docker here"
        )
        if os.environ.get("KERAS_T2I_REQUIRE_TF_SERVING") == "1":
            pytest.fail(message)
        pytest.skip(message)
    models = tmp_path_factory.mktemp("served")
    export_saved_model(gan, models / "flowers", style_encoder=style_encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = ModelServer(models, a_free_port()).__enter__()
    try:
        yield server
    finally:
        server.__exit__()


@pytest.fixture
def rest(server):
    return server.addresses["flowers"]


@pytest.fixture
def grpc_address(server, rest):
    port = int(rest.split(":")[2].split("/")[0])
    return f"grpc://127.0.0.1:{port - 1}/v1/models/flowers"


@pytest.fixture(params=["rest", "grpc"])
def client(request, rest, grpc_address):
    return Client(rest if request.param == "rest" else grpc_address)


def _post(rest, content):
    request = urllib.request.Request(
        rest + ":predict", json.dumps(content).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _assert_close(images, expected):
    """Equal but for one gray level: a server makes batches of other sizes."""
    difference = np.abs(images.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


# === REST ===


def test_status_and_metadata(rest):
    with urllib.request.urlopen(rest, timeout=60) as response:
        (status,) = json.load(response)["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")
    with urllib.request.urlopen(rest + "/metadata", timeout=60) as response:
        metadata = json.load(response)["metadata"]
    signatures = metadata["signature_def"]["signature_def"]
    assert set(inputs_of_signatures()) <= set(signatures)


def test_rows(rest, gan):
    answer = _post(
        rest,
        {
            "signature_name": "serving_default",
            "instances": [
                {"text": text, "seed": seed}
                for text, seed in zip(CAPTIONS, (3, 4, 5))
            ],
        },
    )
    files = [base64.b64decode(row["b64"]) for row in answer["predictions"]]
    _assert_close(decode(files), gan.generate(CAPTIONS, seed=3))


def test_columns(rest, gan):
    answer = _post(rest, {"inputs": {"text": CAPTIONS, "seed": [3, 4, 5]}})
    files = [base64.b64decode(row["b64"]) for row in answer["outputs"]]
    _assert_close(decode(files), gan.generate(CAPTIONS, seed=3))


def test_the_requests_of_the_readme(server, rest, tmp_path, gan):
    """Each shell block that asks, as a reader would run it."""
    readme = (server._models / "flowers" / "README.md").read_text("utf-8")
    blocks = [
        block.partition("```")[0]
        for block in readme.split("```sh\n")[1:]
        if block.startswith("curl")
    ]
    assert len(blocks) == 2
    for block in blocks:
        block = block.replace("http://localhost:8501/v1/models/flowers", rest)
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=with_this_python(),
            check=True,
        )
    files = [(tmp_path / f"image{n}.png").read_bytes() for n in ("", 0, 1)]
    text = "a red flower with a yellow center"
    expected = gan.generate([text, text, "a rose"], seed=[7, 7, 8])
    _assert_close(decode(files), expected)


# === The client ===


def test_generate(client, gan):
    _assert_close(client.generate(CAPTIONS), gan.generate(CAPTIONS))


def test_generate_many(client, gan):
    captions = CAPTIONS * 50
    _assert_close(client.generate(captions), gan.generate(captions))


def test_other_signatures(client, saved_model):
    local = Client(saved_model)
    _assert_close(
        client.interpolate(CAPTIONS, CAPTIONS[::-1], steps=4),
        local.interpolate(CAPTIONS, CAPTIONS[::-1], steps=4),
    )
    styles = list(style_images(2))
    _assert_close(
        client.transfer_style(styles, CAPTIONS),
        local.transfer_style(styles, CAPTIONS),
    )
    np.testing.assert_allclose(
        client.embed_text(CAPTIONS),
        local.embed_text(CAPTIONS),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_model_and_a_version_that_are_not_there(client, rest, grpc_address):
    for address in (rest, grpc_address):
        for wrong in (
            address.replace("flowers", "bees"),
            address + "/versions/9",
        ):
            with pytest.raises(ServerError, match="(?i)servable not found"):
                Client(wrong).generate("a rose")


def test_the_command_line(rest, gan, tmp_path):
    out = tmp_path / "a.png"
    argv = ["generate", "a rose", "--model", rest, "--out", str(out)]
    assert main(argv) == 0
    _assert_close(decode([out.read_bytes()]), gan.generate("a rose"))


# === Batching ===


def test_concurrent_clients_get_their_own_images(client, gan):
    captions = [f"flower number {number}" for number in range(48)]
    expected = gan.generate(captions, seed=0)

    def ask(number):
        return client.generate(captions[number], seed=number)[0]

    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        found = np.stack(list(executor.map(ask, range(48))))
    _assert_close(found, expected)


def test_bad_rows_beside_good_ones(rest, gan):
    """Merged with bad rows by the server, good ones stay what they are.

    A request without rows is not among them: nothing answers it.
    """
    bad = [
        {"text": [""], "seed": [-1]},
        {"text": ["x" * 1_000_000], "seed": [2**63 - 1]},
        {
            "text": [{"b64": base64.b64encode(b"\xff\xfe").decode()}],
            "seed": [0],
        },
        {"text": ["a", "b"], "seed": [1]},
    ]

    def ask(inputs):
        try:
            return _post(rest, {"inputs": inputs})["outputs"]
        except urllib.error.HTTPError:
            return None

    good = {"text": ["a rose"], "seed": [5]}
    asked = (bad + [good] * 4) * 3
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        answers = list(executor.map(ask, asked))
    expected = gan.generate("a rose", seed=5)
    for inputs, answer in zip(asked, answers):
        if inputs is bad[-1]:
            # Of different numbers of rows.
            assert answer is None
            continue
        image = decode([base64.b64decode(answer[0]["b64"])])
        assert image.shape == expected.shape
        if inputs is good:
            _assert_close(image, expected)


def test_style_images_that_are_none(rest):
    files = [b"no image", encode(style_images(1)[0])]
    inputs = {
        "text": ["a rose", "a rose"],
        "style_image_bytes": [
            {"b64": base64.b64encode(file).decode()} for file in files
        ],
    }
    content = {"signature_name": "transfer_style", "inputs": inputs}
    answer = _post(rest, content)["outputs"]
    images = decode([base64.b64decode(row["b64"]) for row in answer])
    assert not np.array_equal(*images)


# === Versions ===


def test_a_version_is_swapped_under_load_without_a_failed_request(
    server, rest, gan
):
    folder = server._models / "flowers"
    other = tiny_served_gan()
    kernel = other.ema_generator.get_layer("convolution_32").kernel
    kernel.assign(-kernel)

    def generate():
        # Not by a client, which would ask again where a request has failed.
        answer = _post(rest, {"inputs": {"text": ["a rose"], "seed": [1]}})
        return decode([base64.b64decode(answer["outputs"][0]["b64"])])

    answers, errors, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                answers.append(generate())
            except Exception as error:
                errors.append(error)

    old = generate()
    answers.append(old)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    path = export_saved_model(other, folder)
    new = other.generate("a rose", seed=1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if np.abs(answers[-1].astype(int) - new).max() <= 1:
            break
        time.sleep(0.1)
    time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    _assert_close(old, gan.generate("a rose", seed=1))
    _assert_close(answers[-1], new)
    # And back: the server answers from the highest version that is there.
    shutil.rmtree(path)
    while time.monotonic() < deadline + 60:
        # Version 2 may go before version 1 is back.
        with contextlib.suppress(urllib.error.HTTPError):
            if np.abs(generate().astype(int) - old).max() <= 1:
                return
        time.sleep(0.2)
    pytest.fail("version 1 has not come back")


# === keras-t2i serve ===


def test_serve(server, gan):
    port = a_free_port()
    argv = ["serve", "--models", str(server._models), "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, "-m", "keras_t2i.cli.main", *argv],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            address = line.removeprefix("serving: ").strip()
            assert address.endswith(f":{port}/v1/models/flowers")
            _assert_close(
                Client(address).generate(CAPTIONS), gan.generate(CAPTIONS)
            )
        finally:
            process.terminate()
