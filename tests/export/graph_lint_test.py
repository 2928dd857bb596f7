"""Holds the saved graph to what TensorFlow Serving can run and send."""

import operator
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# What TensorFlow Serving of any supported version has of tensorflow-text.
TEXT_OPERATIONS = {"NormalizeUTF8", "CaseFoldUTF8"}
# Registered, but with no kernel outside of Python, or newer than 2.20.
REFUSED = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "DecodeJxl"}
# What the REST API can write; half precision is not among them.
SENDABLE = {tf.float32, tf.int32, tf.uint8, tf.int64, tf.bool, tf.string}


@pytest.fixture(scope="module")
def meta_graph(saved_model):
    content = (saved_model / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return meta_graph


@pytest.fixture(scope="module")
def functions(meta_graph):
    return operator.attrgetter("library.function")(meta_graph.graph_def)


@pytest.fixture(scope="module")
def nodes(meta_graph, functions):
    nodes = list(meta_graph.graph_def.node)
    for function in functions:
        nodes += function.node_def
    return nodes


def test_every_operation_is_one_of_the_server(nodes):
    core = {name for name in dir(tf.raw_ops) if not name.startswith("_")}
    used = {node.op for node in nodes}
    functions = {name for name in used if name.startswith("__inference")}
    assert used - functions <= (core | TEXT_OPERATIONS) - REFUSED
    # Nothing that comes from a state which requests would share.
    shared = ("Random", "Rng", "Multinomial", "Truncated", "Parameterized")
    shared += tuple(f"Stateful{kind}" for kind in ("Random", "Uniform"))
    shared += tuple(f"Stateful{kind}" for kind in ("Standard", "Truncated"))
    assert not {name for name in used if name.startswith(shared)}
    # They are there to be looked at.
    assert {"NormalizeUTF8", "EncodePng", "StatelessRandomNormalV2"} <= used


def test_no_signature_reads_or_writes_files(functions):
    """Only the saving and restoring of weights does, which no request calls."""
    touching = re.compile("File|Save|Restore|Checkpoint|Reader|Print|Dump")
    found = {
        (function.signature.name, node.op)
        for function in functions
        for node in function.node_def
        if touching.search(node.op)
    }
    assert {op for _, op in found} == {"SaveV2", "RestoreV2"} | {
        *["MergeV2Checkpoints", "ShardedFilename"]
    }
    for name, _ in found:
        assert re.match("__inference__traced_(save|restore)_", name)


def test_nothing_is_compiled(functions, nodes):
    assert len(functions) > 6
    for holder in (*functions, *nodes):
        assert not holder.attr["_XlaMustCompile"].b, holder


def test_no_strings_in_tensor_lists(nodes):
    lists = [node for node in nodes if node.op.startswith("TensorList")]
    assert lists
    for node in lists:
        assert node.attr["element_dtype"].type != tf.string.as_datatype_enum


def test_devices_are_those_of_any_server(nodes):
    devices = {node.device for node in nodes}
    assert devices <= {"", "/device:CPU:0", "/device:CPU:*"}


def test_weights_are_saved_once(saved_model, gan, style_encoder):
    served = gan.text_encoder, gan.ema_generator, style_encoder
    expected = sum(
        weight.numpy().nbytes for model in served for weight in model.weights
    )
    prefix = str(saved_model / "variables" / "variables")
    tensors = {
        name: tf.train.load_variable(prefix, name)
        for name, _ in tf.train.list_variables(prefix)
    }
    # What the checkpoint says about itself; little, but so are these networks.
    description = len(tensors.pop("_CHECKPOINTABLE_OBJECT_GRAPH"))
    assert sum(tensor.nbytes for tensor in tensors.values()) == expected
    (file,) = (saved_model / "variables").glob("*.data-*")
    assert file.stat().st_size <= 1.1 * expected + description


def test_signatures(meta_graph):
    text, seed, weight = tf.string, tf.int64, tf.float32
    between = {"text_from": text, "text_to": text, "text_weight": weight}
    between |= {"seed_from": seed, "seed_to": seed, "noise_weight": weight}
    image_bytes = ("image_bytes", tf.string, ())
    expected = {
        "serving_default": ({"text": text, "seed": seed}, image_bytes),
        "pixels": (
            {"text": text, "seed": seed},
            ("image", tf.uint8, (32, 32, 3)),
        ),
        "embed_text": ({"text": text}, ("embedding", tf.float32, (16,))),
        "from_embedding": (
            {"embedding": tf.float32, "seed": seed},
            image_bytes,
        ),
        "interpolate": (between, image_bytes),
        "transfer_style": (
            {"text": text, "style_image_bytes": text},
            image_bytes,
        ),
    }
    signatures = dict(meta_graph.signature_def)
    assert signatures.pop("__saved_model_init_op")
    assert set(signatures) == set(expected)
    for name, (inputs, output) in expected.items():
        signature = signatures[name]
        assert signature.method_name == "tensorflow/serving/predict"
        assert not signature.defaults
        found = {n: tf.as_dtype(i.dtype) for n, i in signature.inputs.items()}
        assert found == inputs
        ((output_name, info),) = signature.outputs.items()
        shape = tuple(dim.size for dim in info.tensor_shape.dim)
        assert (output_name, tf.as_dtype(info.dtype), shape[1:]) == output


def test_every_tensor_is_a_batch_that_can_be_sent(meta_graph):
    for name, signature in meta_graph.signature_def.items():
        if name == "__saved_model_init_op":
            continue
        tensors = {**signature.inputs, **signature.outputs}
        for tensor_name, info in tensors.items():
            # Dense, and the first dimension is that of rows.
            assert info.WhichOneof("encoding") == "name"
            shape = [dim.size for dim in info.tensor_shape.dim]
            assert shape[0] == -1 and -1 not in shape[1:]
            assert tf.as_dtype(info.dtype) in SENDABLE
            image = "image_bytes" in tensor_name
            assert image == tensor_name.endswith("_bytes")


def test_version_two_loader_agrees(saved_model, gan):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    answer = signatures["pixels"](
        text=tf.constant(["a rose"]), seed=tf.constant([5], tf.int64)
    )
    np.testing.assert_array_equal(
        answer["image"], gan.generate("a rose", seed=5)
    )
