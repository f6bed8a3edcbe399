"""ONNX files from anybody: damaged ones give a clear error, and none takes much memory or time."""

import os
import re
import time
import tracemalloc
import warnings
from pathlib import Path

import jax
import numpy as np
import onnx
import pytest
import skl2onnx
from network_family import network
from onnx import TensorProto, helper
from onnx_mutations import agree, mutate, mutated_bytes
from onnx_runs import by_reference
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
from jaxmlp.interchange import from_onnx
from jaxmlp.interchange.onnx import bytes_of

# What is trained for two epochs has not converged.
pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:Stochastic")]
# Of float32 and float64, with gates, norms, skips and statistics among them.
NUMBERS = [n for n in range(120) if network(n).config.param_dtype in ("float32", "float64")]
NUMBERS = [n for n in NUMBERS if network(n).config.compute_dtype is None][:16]
KERAS = Path(__file__).parents[1] / "data" / "keras_jax.onnx"
# Seconds; an ordinary one takes a hundredth of it.
SLOWEST = 5


def seeds():
    for number in NUMBERS:
        data = bytes_of(network(number).config, network(number).params, 13 + number % 13)
        yield data
        model = onnx.ModelProto.FromString(data)
        del model.metadata_props[:]
        yield model.SerializeToString()
    members = jax.tree.map(lambda a: np.stack([a, 2 * a]), network(NUMBERS[1]).params)
    yield bytes_of(network(NUMBERS[1]).config, members, 18)
    yield KERAS.read_bytes()
    x = np.random.default_rng(0).normal(size=(20, 3))
    estimator = MLPClassifier(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(x, (x[:, 0] > 0).astype(int))
    # Of Cast, Sub, Div, Concat, ArgMax, Reshape, and of what has no place in a network.
    yield skl2onnx.to_onnx(pipeline, x[:1], options={"zipmap": False}).SerializeToString()


def outcome(path):
    """What is read, or nothing; any error but a `ValueError` that names the file fails."""
    begin = time.monotonic()
    found, message = None, str(path)
    try:
        found = from_onnx(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert time.monotonic() - begin < SLOWEST
    return found


def is_right(found, data):
    """Whether a network computes what the graph computes, if anybody can tell what that is."""
    config, params = found
    if not all(np.all(np.abs(array) < 100) for array in jax.tree.leaves(params)):
        return True  # what comes out is rounding
    model = onnx.ModelProto.FromString(data)
    elements = model.graph.input[0].type.tensor_type.elem_type
    x = np.random.default_rng(0).normal(size=(3, config.in_features))
    x = x.astype(helper.tensor_dtype_to_np_dtype(elements))
    try:
        # Its warnings, as errors, would tell that nobody can tell.
        with warnings.catch_warnings(action="ignore"):
            outputs = by_reference(data, x)
    except Exception:
        return True
    if params.output.kernel.ndim == 3:
        each = jax.vmap(lambda member: jaxmlp.apply(member, x, config=config))(params)
        return agree(each.mean(axis=0), outputs["mean"])
    got = jaxmlp.apply(params, x, config=config)
    # Of a classifier of two classes, the second one's probability is read.
    wanted = [each for each in outputs.values() if each.dtype.kind == "f" and each.ndim == 2]
    return any(agree(got, each) or agree(got, each[:, 1:]) for each in wanted)


def check_mutations(folder, numbers):
    files, path = list(seeds()), folder / "n.onnx"
    read = 0
    for number in numbers:
        rng = np.random.default_rng([16, number])
        data = files[number % len(files)]
        if number // len(files) % 2:
            data = mutated_bytes(data, rng)
        else:
            model = mutate(onnx.ModelProto.FromString(data), rng)
            data = model.SerializeToString()
        path.write_bytes(data)
        found = outcome(path)
        if found is not None:
            read += 1
            assert is_right(found, data), number
    return read


def test_damaged_files_give_an_error_or_the_right_network(tmp_path):
    assert 0 < check_mutations(tmp_path, range(136)) < 100


@pytest.mark.slow
def test_ten_thousand_damaged_files_give_an_error_or_the_right_network(tmp_path):
    check_mutations(tmp_path, range(136, 10_136))


def a_model(*, nodes=(), tensors=(), inputs=("x",)):
    graph = helper.make_graph(
        [*nodes, helper.make_node("MatMul", ["x", "k"], ["y"])], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2]) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 2])],
        [onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "k"), *tensors],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def read(path, model):
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return from_onnx(path)


def tensor(**fields):
    return TensorProto(**{"name": "t", "data_type": TensorProto.FLOAT, "dims": [2]} | fields)


def external():
    one = tensor(data_location=TensorProto.EXTERNAL)
    one.external_data.add(key="location", value="/etc/passwd")
    return one


def node(*arguments, **attributes):
    return helper.make_node(*arguments, **attributes)


def sparse_model():
    model = a_model()
    indices = onnx.numpy_helper.from_array(np.array([0]), "i")
    values = onnx.numpy_helper.from_array(np.float32([1]), "s")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    return model


HOSTILE = {
    "numbers in another file": (
        a_model(tensors=[external()]), "tensor 't' must be in the file itself; it names another"
    ),
    "sizes without numbers": (
        a_model(tensors=[tensor(dims=[1 << 40, 1 << 40])]),
        r"'t' of float32\[\d+, \d+\] must have \d+ numbers in float_data; got 0 in \[\]",
    ),
    "fewer numbers than sizes tell": (
        a_model(tensors=[tensor(raw_data=b"1234")]), "must have 8 bytes in raw_data; got 4"
    ),
    "numbers in two places": (
        a_model(tensors=[tensor(raw_data=b"1234", float_data=[1])]), r"in float_data; got 5 in"
    ),
    "a negative size": (
        a_model(tensors=[tensor(dims=[-1, -2])]), r"must have at most 8 axes of at least 0; got \["
    ),
    "a type that nobody knows": (
        a_model(tensors=[tensor(data_type=99)]), "'t' must be of one of the types float16, .*=99"
    ),
    "a segment": (
        a_model(tensors=[tensor(segment=TensorProto.Segment(begin=0, end=1))]), "must be whole"
    ),
    "a sparse tensor": (sparse_model(), "initializer 's' must be dense; got a sparse tensor"),
    "a circle": (
        a_model(nodes=[node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])]),
        r"node 'a' \(Relu\) reads 'b', which nothing before it makes: nodes must be sorted, and in "
        "no circle",
    ),
    "two of a name": (
        a_model(nodes=[node("Relu", ["x"], ["k"])]), "'k' must name one thing in the graph; two"
    ),
    "two inputs": (a_model(inputs=("x", "u")), "must have one input, its rows; got 'x', 'u'. Join"),
    "two inputs of a name": (a_model(inputs=("x", "x")), "inputs must have one name each"),
    "an operator of nobody's": (
        a_model(nodes=[node("Gelu", ["x"], ["g"], domain="com.microsoft")]),
        r"\(Gelu\) must be one of ONNX's own operators; got domain 'com.microsoft'. Export without",
    ),
    "an attribute of another kind": (
        a_model(nodes=[node("Softmax", ["x"], ["s"], axis=1.5)]), "must have 'axis' as INT; it has"
    ),
    "nothing": (b"", "it is no ONNX model, or damaged: it has no graph"),
    "text": (b"PK\x03\x04 nothing of the kind", "it is no ONNX model, or damaged"),
    "a name that is no text": (
        a_model().SerializeToString().replace(b"MatMul", b"MatM\xff\xff"),
        r"it is damaged: it has the name b'MatM.*', no text",
    ),
    "half a file": (
        a_model().SerializeToString()[:-9], "it is no ONNX model, or damaged: it is cut off"
    ),
    "millions of empty nodes": (
        # A node of no bytes takes two in the file, and a hundred in memory.
        b"\x3a\x80\x80\x80\x02" + b"\x0a\x00" * (1 << 21),
        "it lists more than the 4194304 bytes, beside the numbers of its tensors, that networks",
    ),
}  # fmt: skip


def nested(depth):
    graph = b""
    for _ in range(depth):
        attribute = b"\x32" + varint(len(graph)) + graph
        made = b"\x2a" + varint(len(attribute)) + attribute
        graph = b"\x0a" + varint(len(made)) + made
    return b"\x3a" + varint(len(graph)) + graph


def varint(number):
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


# A graph in an attribute of a node of a graph, and so on.
HOSTILE["messages in messages"] = (nested(500), "its messages nest deeper than 32")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_a_clear_error(name, tmp_path):
    model, message = HOSTILE[name]
    path = tmp_path / "n.onnx"
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{message}"):
        read(path, model)


@pytest.mark.parametrize(
    "kind", ["Cast", "Dropout", "Gemm", "LayerNormalization", "Mul", "Relu", "Split", "ZipMap"]
)
def test_a_node_without_inputs_is_refused(kind, tmp_path):
    model = a_model()
    del model.graph.node[0].input[:]
    model.graph.node[0].op_type = kind
    model.graph.node[0].attribute.append(helper.make_attribute("to", 1))
    message = "must (be a layer of an MLP|have one output of floating numbers)"
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "n.onnx", model)


def test_layers_that_share_an_array_do_not_multiply_memory(tmp_path):
    kernel = onnx.numpy_helper.from_array(np.ones((300, 300), np.float32), "k")
    nodes = [node("MatMul", ["x" if n == 0 else f"h{n}", "k"], [f"h{n + 1}"]) for n in range(2000)]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 300])],
        [helper.make_tensor_value_info("h2000", TensorProto.FLOAT, None)], [kernel],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    path = tmp_path / "n.onnx"
    path.write_bytes(model.SerializeToString())
    tracemalloc.start()
    with pytest.raises(ValueError, match="must have arrays of their own"):
        from_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * path.stat().st_size


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="it is a FIFO, and not a regular file"):
        from_onnx(tmp_path / "fifo")


def test_a_file_beyond_the_format_s_limit_is_not_read(tmp_path):
    with (tmp_path / "n.onnx").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ValueError, match="it has 2147483648 bytes, and ONNX models have less"):
        from_onnx(tmp_path / "n.onnx")
