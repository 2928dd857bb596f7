"""The files for training on SLURM and Kubernetes: their form, nothing more.

Nothing here is run: that takes a cluster of either.
"""

import argparse
import copy
import os
import pathlib
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from keras_t2i.cli import train
from tests.programs import script

_ROOT = pathlib.Path(__file__).parents[2]
_SLURM = _ROOT / "examples" / "slurm" / "train.sh"
_TFJOB = _ROOT / "examples" / "kubernetes" / "training" / "tfjob.yaml"
# The first that examples/kubernetes needs, and the newest that is known.
_VERSIONS = "1.30", kubernetes_validate.latest_version()
# Of `sbatch`, those that the example has, and the form of their values.
_SBATCH = {
    "job-name": r"[\w-]+",
    "nodes": r"\d+",
    "ntasks-per-node": "1",
    "cpus-per-task": r"\d+",
    "gpus-per-task": r"\d+",
    "mem": r"\d+G",
    "time": r"\d\d:\d\d:\d\d",
    "signal": r"TERM@\d+",
    "requeue": None,
    "open-mode": "append",
}


@pytest.fixture
def started(tmp_path):
    """Runs a script by a shell; returns the arguments of the program it runs.

    The program is a stand-in. The script's folder is empty at first.
    """
    folder, programs = tmp_path / "work", tmp_path / "bin"
    folder.mkdir()
    for name in ("srun", "keras-t2i"):
        script(programs / name, 'printf "%s\\n" "${0##*/}" "$@"')

    def run(*argv):
        path = f"{programs}:{os.environ['PATH']}"
        result = subprocess.run(
            argv,
            cwd=folder,
            env={"PATH": path},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return result.stdout.splitlines()

    def twice(*argv):
        first = run(*argv)
        run_folder = folder / "runs" / "gan"
        run_folder.mkdir(parents=True)
        assert run(*argv) == first
        # The chief writes it before all else.
        (run_folder / "config.json").touch()
        return first, run(*argv)

    return twice


def _assert_starts_and_resumes(first, again):
    first, again = _parsed(first), _parsed(again)
    assert first.strategy == "multi_worker"
    assert first.data and first.text_encoder and not first.resume
    assert again.resume
    assert first.out == again.out == "runs/gan"


def _parsed(words):
    assert words[:2] == ["keras-t2i", "train"]
    parser = argparse.ArgumentParser()
    train.add_train(parser.add_subparsers())
    return parser.parse_args(words[1:])


def test_slurm(started):
    text = _SLURM.read_text("utf-8")
    lines = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", text, re.M)
    assert len(lines) == text.count("#SBATCH") == len(_SBATCH)
    for name, value in lines:
        form = _SBATCH[name]
        assert value == "" if form is None else re.fullmatch(form, value)
    # All options come before the first command.
    assert text.rindex("#SBATCH") < text.index("\ndata=")
    commands = started("bash", _SLURM)
    for words in commands:
        assert words[:2] == ["srun", "--kill-on-bad-exit=1"]
    _assert_starts_and_resumes(*(words[2:] for words in commands))


@pytest.fixture
def tfjob():
    return yaml.safe_load(_TFJOB.read_text("utf-8"))


def test_tfjob(tfjob, started):
    # No schema of Kubeflow's own part is at hand. These are its fields.
    assert tfjob["apiVersion"] == "kubeflow.org/v1"
    assert tfjob["kind"] == "TFJob"
    assert set(tfjob["spec"]) == {"runPolicy", "tfReplicaSpecs"}
    assert tfjob["spec"]["runPolicy"] == {
        "cleanPodPolicy": "None",
        "backoffLimit": 20,
    }
    ((kind, workers),) = tfjob["spec"]["tfReplicaSpecs"].items()
    assert kind == "Worker"
    assert set(workers) == {"replicas", "restartPolicy", "template"}
    assert (workers["replicas"], workers["restartPolicy"]) == (2, "OnFailure")
    (container,) = workers["template"]["spec"]["containers"]
    # The names that the operator looks for.
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]
    commands = started(*container["command"], *container["args"])
    _assert_starts_and_resumes(*commands)


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_pods_of_the_tfjob(tfjob, version):
    template = tfjob["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    template["metadata"]["name"] = "worker-0"
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    kubernetes_validate.validate(pod, version, strict=True)
    wrong = copy.deepcopy(pod)
    wrong["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeM"):
        kubernetes_validate.validate(wrong, version, strict=True)
