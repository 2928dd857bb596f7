"""Answers requests from a SavedModel through TensorFlow's C API alone.

    python c_api_session.py SAVED_MODEL REQUESTS.json ANSWERS.json

What TensorFlow Serving does to load and ask a model, without Python's
TensorFlow or Keras: `TF_LoadSessionFromSavedModel` is the loader that it links,
XLA is switched off as it does, and only the text operations are added. Nothing
is imported but NumPy, so that it also runs where no more is installed.

REQUESTS.json is a list of `{"signature": ..., "inputs": {name: tensor}}`, and
ANSWERS.json a list of `{name: tensor}`, or `{"error": message}`. A tensor is
`{"dtype": ..., "shape": [...], "data": ...}`, with one base64 text for the
bytes of numbers, and a list of one for each string.
"""

import base64
import ctypes
import importlib.util
import json
import math
import pathlib
import sys

import numpy as np

# Of tensorflow/core/framework/types.proto.
_DTYPES = {
    1: "float32",
    3: "int32",
    4: "uint8",
    7: "string",
    9: "int64",
    10: "bool",
}
_DTYPE_NUMBERS = {name: number for number, name in _DTYPES.items()}
_STRING_BYTES = 24


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


def _package(name):
    # Found, not imported.
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


class Session:
    """A session over a SavedModel, like that of TensorFlow Serving."""

    def __init__(self, saved_model, xla=False, text_operations=True):
        folder = _package("tensorflow")
        ctypes.CDLL(
            str(folder / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL
        )
        self._tf = ctypes.CDLL(
            str(folder / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL
        )
        self._set_result_types()
        if not xla:
            # tensorflow::DisableXlaCompilation(), which the stock server calls.
            self._tf._ZN10tensorflow21DisableXlaCompilationEv()
        self._status = ctypes.c_void_p(self._tf.TF_NewStatus())
        if text_operations:
            for path in sorted(_package("tensorflow_text").rglob("ops/_*.so")):
                self._tf.TF_LoadLibrary(str(path).encode(), self._status)
                self._check()
        self._graph = ctypes.c_void_p(self._tf.TF_NewGraph())
        meta_graph = ctypes.c_void_p(self._tf.TF_NewBuffer())
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = ctypes.c_void_p(
            self._tf.TF_LoadSessionFromSavedModel(
                ctypes.c_void_p(self._tf.TF_NewSessionOptions()),
                None,
                str(saved_model).encode(),
                tags,
                1,
                self._graph,
                meta_graph,
                self._status,
            )
        )
        self._check()
        buffer = ctypes.cast(meta_graph, ctypes.POINTER(_Buffer))[0]
        self.signatures = _signatures(
            ctypes.string_at(buffer.data, buffer.length)
        )

    def run(self, signature, inputs):
        """Returns the outputs, a dict of arrays; strings as object arrays."""
        expected, outputs, method = self.signatures[signature]
        if method != "tensorflow/serving/predict":
            raise ValueError(f"{signature} has the method {method}")
        if set(inputs) != set(expected):
            raise ValueError(f"{signature} takes {sorted(expected)}")
        fed = [self._output(expected[name]) for name in inputs]
        tensors = [self._tensor(value) for value in inputs.values()]
        fetched = [self._output(name) for name in outputs.values()]
        results = (ctypes.c_void_p * len(fetched))()
        self._tf.TF_SessionRun(
            self._session,
            None,
            (_Output * len(fed))(*fed),
            (ctypes.c_void_p * len(tensors))(*tensors),
            len(fed),
            (_Output * len(fetched))(*fetched),
            results,
            len(fetched),
            None,
            0,
            None,
            self._status,
        )
        for tensor in tensors:
            self._tf.TF_DeleteTensor(ctypes.c_void_p(tensor))
        self._check()
        answer = {}
        for name, tensor in zip(outputs, results):
            answer[name] = self._array(ctypes.c_void_p(tensor))
            self._tf.TF_DeleteTensor(ctypes.c_void_p(tensor))
        return answer

    def _set_result_types(self):
        pointers = (
            "TF_NewStatus",
            "TF_NewGraph",
            "TF_NewBuffer",
            "TF_NewSessionOptions",
            "TF_LoadLibrary",
            "TF_LoadSessionFromSavedModel",
            "TF_AllocateTensor",
            "TF_TensorData",
            "TF_GraphOperationByName",
            "TF_StringGetDataPointer",
        )
        for name in pointers:
            getattr(self._tf, name).restype = ctypes.c_void_p
        for name in ("TF_StringGetSize", "TF_TensorByteSize"):
            getattr(self._tf, name).restype = ctypes.c_size_t
        self._tf.TF_Dim.restype = ctypes.c_int64
        self._tf.TF_Message.restype = ctypes.c_char_p

    def _check(self):
        if self._tf.TF_GetCode(self._status):
            message = self._tf.TF_Message(self._status)
            raise RuntimeError(message.decode("utf-8", "replace"))

    def _output(self, name):
        operation, _, index = name.partition(":")
        found = self._tf.TF_GraphOperationByName(
            self._graph, operation.encode()
        )
        if not found:
            raise ValueError(f"the graph has no {operation}")
        return _Output(found, int(index))

    def _tensor(self, array):
        strings = array.dtype == object
        dtype = "string" if strings else array.dtype.name
        size = array.size * (_STRING_BYTES if strings else array.itemsize)
        tensor = self._tf.TF_AllocateTensor(
            _DTYPE_NUMBERS[dtype],
            (ctypes.c_int64 * array.ndim)(*array.shape),
            array.ndim,
            ctypes.c_size_t(size),
        )
        data = self._tf.TF_TensorData(ctypes.c_void_p(tensor))
        if not strings:
            ctypes.memmove(data, np.ascontiguousarray(array).tobytes(), size)
            return tensor
        for index, value in enumerate(array.flat):
            place = ctypes.c_void_p(data + index * _STRING_BYTES)
            self._tf.TF_StringInit(place)
            self._tf.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        return tensor

    def _array(self, tensor):
        shape = [
            self._tf.TF_Dim(tensor, axis)
            for axis in range(self._tf.TF_NumDims(tensor))
        ]
        dtype = _DTYPES[self._tf.TF_TensorType(tensor)]
        data = self._tf.TF_TensorData(tensor)
        if dtype != "string":
            content = ctypes.string_at(data, self._tf.TF_TensorByteSize(tensor))
            return np.frombuffer(content, dtype).reshape(shape)
        values = []
        for index in range(math.prod(shape)):
            place = ctypes.c_void_p(data + index * _STRING_BYTES)
            values.append(
                ctypes.string_at(
                    self._tf.TF_StringGetDataPointer(place),
                    self._tf.TF_StringGetSize(place),
                )
            )
        return np.array(values, object).reshape(shape)


def _fields(message):
    """Yields the numbers and values of a protobuf message's fields."""
    place = 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size = varint()
        yield number, message[place : place + size]
        place += size


def _map_entry(message):
    entry = dict(_fields(message))
    return entry.get(1, b"").decode(), entry.get(2, b"")


def _signatures(meta_graph):
    """Signature names to names of inputs' and outputs' tensors, and method."""
    signatures = {}
    for number, content in _fields(meta_graph):
        if number != 5:  # MetaGraphDef.signature_def
            continue
        name, signature = _map_entry(content)
        columns = {1: {}, 2: {}}  # SignatureDef.inputs and .outputs
        method = ""
        for part, value in _fields(signature):
            if part in columns:
                key, tensor_info = _map_entry(value)
                columns[part][key] = dict(_fields(tensor_info))[1].decode()
            elif part == 3:  # SignatureDef.method_name
                method = value.decode()
        signatures[name] = (columns[1], columns[2], method)
    return signatures


def to_json(array):
    """A tensor as it stands in the files of requests and answers."""
    if array.dtype == object:
        data = [base64.b64encode(value).decode() for value in array.flat]
        return {"dtype": "string", "shape": array.shape, "data": data}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": array.shape, "data": data}


def from_json(tensor):
    """The reverse of `to_json`."""
    if tensor["dtype"] == "string":
        values = np.empty(len(tensor["data"]), object)
        values[:] = [base64.b64decode(text) for text in tensor["data"]]
    else:
        content = base64.b64decode(tensor["data"])
        values = np.frombuffer(content, tensor["dtype"])
    return values.reshape(tensor["shape"])


def main(saved_model, requests, answers, *options):
    session = Session(
        saved_model,
        xla="--xla" in options,
        text_operations="--without-text-operations" not in options,
    )
    found = []
    for request in json.loads(pathlib.Path(requests).read_text("utf-8")):
        inputs = {
            name: from_json(tensor)
            for name, tensor in request["inputs"].items()
        }
        try:
            outputs = session.run(request["signature"], inputs)
            found.append({n: to_json(value) for n, value in outputs.items()})
        except (RuntimeError, ValueError) as error:
            found.append({"error": str(error)})
    imported = {"tensorflow", "keras", "tensorflow_text"} & set(sys.modules)
    if imported:
        raise RuntimeError(f"{imported} must not be imported here")
    pathlib.Path(answers).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
