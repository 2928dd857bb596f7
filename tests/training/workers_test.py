"""One process, and where workers are; several_workers_test.py has several."""

import json

import pytest
import tensorflow as tf

from keras_t2i.errors import TrainingError
from keras_t2i.training import workers
from keras_t2i.training.workers import Workers
from keras_t2i.training.workers import start_workers

_WORKER = {"type": "worker", "index": 1}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "SLURMD_NODENAME"):
        # `setenv` first: what the code sets is then put back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_process_alone_agrees_with_itself():
    alone = start_workers("none")
    assert alone.is_chief
    assert (alone.number, alone.num_devices) == (1, 1)
    assert alone.gathered({"a": 1}) == [{"a": 1}]
    assert alone.of_chief(2.5) == 2.5
    assert alone.by_chief(max)(1, 3) == 3
    assert alone.chief_first(lambda: "done") == "done"
    alone.check_same({"batch_size": 8})
    with pytest.raises(ValueError, match="as it is"), alone.together():
        raise ValueError("as it is")


def test_the_values_of_two_devices_are_one_of_a_worker(two_replicas):
    # Two replicas stand for two workers of one device each.
    both = Workers(two_replicas, index=0, number=2)
    assert both.gathered({"name": "a\nβ"}) == [{"name": "a\nβ"}] * 2
    one = Workers(two_replicas, index=0, number=1)
    assert one.gathered(3) == [3]


def test_what_differs_is_named(monkeypatch):
    pair = Workers(tf.distribute.get_strategy(), number=2)
    of_two = [{"`batch_size`": 8, "keras": "3.15"}]
    of_two.append({"`batch_size`": 16, "keras": "3.15"})
    monkeypatch.setattr(pair, "gathered", lambda _: of_two)
    with pytest.raises(
        ValueError,
        match="the same `batch_size`. Received: 8 on worker 0, 16 on worker 1",
    ):
        pair.check_same(of_two[0])
    monkeypatch.setattr(pair, "gathered", lambda _: [None, "no data"])
    with (
        pytest.raises(TrainingError, match="Worker 1 has failed: no data"),
        pair.together(),
    ):
        pass


def test_the_end_of_another_worker_is_named(monkeypatch):
    pair = Workers(tf.distribute.get_strategy(), number=2)

    def lost(_):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(pair, "gathered", lost)
    with (
        pytest.raises(
            TrainingError, match="Another worker has ended.*Start all workers"
        ),
        pair.together(),
    ):
        pass


def test_a_file_that_a_worker_does_not_see(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_SECONDS_UNTIL_SEEN", 0)
    monkeypatch.setattr(workers.time, "sleep", lambda _: None)
    second = Workers(tf.distribute.get_strategy(), index=1, number=2)
    with pytest.raises(
        ValueError, match="one folder that all workers share.*worker 1 does not"
    ):
        second.wait_for_file(tmp_path / "run" / "config.json")
    second.wait_for_file(tmp_path)


# === Where the workers are ===


def _place(cluster, task=None):
    return {"cluster": cluster, "task": _WORKER if task is None else task}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (_place({"worker": ["a:1", "b:1"]}), (1, 2)),
        # As Kubeflow's operator has it.
        (
            {**_place({"worker": ["a:1", "b:1"]}), "environment": "cloud"},
            (1, 2),
        ),
        (_place({"chief": ["c:1"], "worker": ["a:1", "b:1"]}), (2, 3)),
        (
            _place(
                {"chief": ["c:1"], "worker": ["a:1"]},
                {"type": "chief", "index": 0},
            ),
            (0, 2),
        ),
    ],
)
def test_place_in_the_cluster(monkeypatch, config, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert workers._place_in_cluster() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        json.dumps(_place({})),
        json.dumps(_place({"worker": []})),
        json.dumps(_place({"worker": ["a:1"]})),
        json.dumps(_place({"worker": ["a:1", 7]})),
        json.dumps(_place({"worker": ["a:1", "b:1"], "ps": ["c:1"]})),
        json.dumps(_place({"worker": ["a:1", "b:1"]}, {"type": "worker"})),
        json.dumps(
            _place({"worker": ["a:1"]}, {"type": "evaluator", "index": 0})
        ),
        json.dumps(_place({"chief": ["a:1", "b:1"], "worker": ["c:1"]})),
    ],
)
def test_what_names_no_worker(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must name the add") as info:
        start_workers("multi_worker")
    assert str(info.value).endswith(f"Received: {text!r}.")


def test_no_cluster():
    with pytest.raises(ValueError, match="needs TF_CONFIG.*Received: neither"):
        start_workers("multi_worker")


def test_a_process_that_has_used_tensorflow(monkeypatch):
    tf.zeros(())
    cluster = json.dumps(_place({"worker": ["localhost:1", "localhost:2"]}))
    monkeypatch.setenv("TF_CONFIG", cluster)
    with pytest.raises(ValueError, match="before TensorFlow has done anything"):
        start_workers("multi_worker")


def _slurm(monkeypatch, task, node, nodes, tasks_per_node, number):
    values = {
        "SLURM_PROCID": task,
        "SLURMD_NODENAME": node,
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": tasks_per_node,
        "SLURM_STEP_NUM_TASKS": number,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_tasks_of_slurm_are_workers_also_without_gpus(monkeypatch):
    _slurm(monkeypatch, 3, "n02", "n[01-02]", "2(x2)", 4)
    assert workers._place_in_cluster() == (3, 4)
    config = json.loads(workers.os.environ["TF_CONFIG"])
    assert config["cluster"]["worker"] == [
        *("n01:8888", "n01:8889", "n02:8888", "n02:8889")
    ]
    assert config["task"] == _WORKER | {"index": 3}


def test_nodes_of_slurm_that_tensorflow_takes_for_others(monkeypatch):
    # By its name, n10 comes before n9.
    _slurm(monkeypatch, 0, "n9", "n[9-10]", "1(x2)", 2)
    with pytest.raises(ValueError, match="task 0 on n9.*expects n10"):
        start_workers("multi_worker")


def test_a_job_of_slurm_without_a_step(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    for name in ("NODELIST", "TASKS_PER_NODE", "NUM_TASKS"):
        monkeypatch.delenv(f"SLURM_STEP_{name}", raising=False)
    with pytest.raises(ValueError, match="tasks of one step: `srun.*Received"):
        start_workers("multi_worker")
