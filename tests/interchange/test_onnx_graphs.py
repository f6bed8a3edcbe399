"""Graphs made by hand: what is taken exactly, and what is refused by node."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_runs import by_reference

import jaxmlp
from jaxmlp.interchange import from_onnx

pytestmark = pytest.mark.usefixtures("x64")
_RNG = np.random.default_rng(0)
FIRST, SECOND = (_RNG.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 4)))
BIAS, SCALE = (_RNG.uniform(0.5, 1.5, size=4).astype(np.float32) for _ in range(2))
ARRAYS = {
    "first": FIRST, "second": SECOND, "bias": BIAS, "scale": SCALE, "row": BIAS[None],
    "three": np.ones(3, np.float32), "number": np.float32(0.5), "two": np.float32(2),
    "one": np.float32(1), "eps": np.float32(1e-3), "zero": np.float32(0), "wide": np.ones(4),
    "last": np.array([-1]), "halves": np.array([2, 2]), "rows": np.array([-1, 4]),
    "flat": np.array([-1]), "yes": np.array(True), "mean": np.float32([1, 2, 3]),
    "square": np.float32([[2.0]]), "deviation": np.float32([2, 4, 8]),
}  # fmt: skip
MATMUL = ("MatMul", ["x", "first"], "z")
X = _RNG.normal(size=(5, 3)).astype(np.float32)


def write(path, nodes, *, output="y", dtype=TensorProto.FLOAT, opset=18, shape=("b", 3)):
    """Nodes are (operator, inputs, outputs, settings); the last one's output is y."""
    made = []
    for kind, inputs, outputs, *settings in nodes:
        names = outputs if isinstance(outputs, list) else [outputs]
        (options,) = settings or ({},)
        domain = "ai.onnx.ml" if kind in ("Scaler", "ZipMap") else ""
        made.append(
            helper.make_node(kind, inputs, names, name=f"n_{names[0]}", domain=domain, **options)
        )
    graph = helper.make_graph(
        made, "g", [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(output, dtype, None)],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in ARRAYS.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


TAKEN = {
    "a kernel that is transposed": [("Transpose", ["second"], "t"), ("MatMul", ["x", "first"], "z"),
                                    ("MatMul", ["z", "t"], "y")],
    "a bias before the product": [MATMUL, ("Add", ["bias", "z"], "y")],
    "a bias of two axes": [MATMUL, ("Add", ["z", "row"], "y")],
    "statistics of one number": [("Sub", ["x", "one"], "a"), ("Div", ["a", "number"], "b"),
                                 ("MatMul", ["b", "first"], "y")],
    "a bias of one number": [MATMUL, ("Add", ["z", "number"], "y")],
    "factors that are powers of two": [
        ("Gemm", ["x", "first", "bias"], "y", {"alpha": 0.5, "beta": -2.0})
    ],
    "a Gemm with its bias behind it": [("Gemm", ["x", "first"], "z"), ("Add", ["z", "bias"], "y")],
    "what does nothing": [
        ("Identity", ["x"], "a"), ("Dropout", ["a"], "b"), ("Cast", ["b"], "c", {"to": 1}),
        ("MatMul", ["c", "first"], "z"), ("Flatten", ["z"], "d"), ("Reshape", ["d", "rows"], "y"),
    ],
    "a norm that is written out": [
        MATMUL, ("ReduceMean", ["z", "last"], "m"), ("Sub", ["z", "m"], "c"),
        ("Mul", ["c", "c"], "s"), ("ReduceMean", ["s", "last"], "v"), ("Add", ["eps", "v"], "w"),
        ("Sqrt", ["w"], "r"), ("Reciprocal", ["r"], "i"), ("Mul", ["i", "c"], "u"),
        ("Mul", ["scale", "u"], "t"), ("Add", ["t", "bias"], "n"), ("Tanh", ["n"], "h"),
        ("MatMul", ["h", "second"], "y"),
    ],
    "a gate of two splits": [
        MATMUL, ("Split", ["z", "halves"], ["a", "b"], {"axis": -1}), ("Sigmoid", ["b"], "o"),
        ("Mul", ["o", "a"], "h"), ("MatMul", ["h", "square22"], "y"),
    ],
    "statistics": [("Sub", ["x", "mean"], "c"), ("Div", ["c", "deviation"], "s"),
                   ("MatMul", ["s", "first"], "y")],
    "a scaler of powers of two": [
        ("Scaler", ["x"], "s", {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 0.25, 2.0]}),
        ("MatMul", ["s", "first"], "y"),
    ],
    "constants of nodes": [("Constant", [], "k", {"value_float": 0.5}), MATMUL,
                           ("Add", ["z", "k"], "y")],
}  # fmt: skip
ARRAYS["square22"] = np.ones((2, 2), np.float32) * SECOND[:2, :2]


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken_with_equal_outputs(name, tmp_path):
    path = write(tmp_path / "n.onnx", TAKEN[name])
    config, params = from_onnx(path)
    (wanted,) = by_reference(path.read_bytes(), X).values()
    got = jaxmlp.apply(params, X, config=config)
    # Sums of up to four terms in two layers.
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


REFUSED = {
    "rows that are transposed": (
        [("Gemm", ["x", "first"], "y", {"transA": 1})], r"'n_y' \(Gemm\) must take rows as they are"
    ),
    "a factor that rounds": (
        [("Gemm", ["x", "first"], "y", {"alpha": 0.3})],
        r"\(Gemm\) must have alpha 1 or a power of two; got 0.3.* Multiply the array by alpha",
    ),
    "a product of two that rows made": (
        [MATMUL, ("Gemm", ["x", "z"], "y")], r"\(Gemm\) must multiply rows by a kernel"
    ),
    "a kernel on the left": (
        [("MatMul", ["second", "x"], "y")], r"'n_y' \(MatMul\) must be a layer of an MLP of ours"
    ),
    "a bias of another length": (
        [MATMUL, ("Add", ["z", "three"], "y")],
        r"\(Add\) must have one number for each of 4 features; got shape \(3,\)",
    ),
    "an operator of others": (
        [MATMUL, ("Sin", ["z"], "y")],
        r"'n_y' \(Sin\) must be a layer of an MLP of ours, or part of one; got no settings on "
        r"\['n_z'\]\. Import what is before and after it apart \(onnx.utils.extract_model\)",
    ),
    "a reshape to another shape": (
        [MATMUL, ("Reshape", ["z", "flat"], "y")], r"\(Reshape\) must be a layer .* Leave it out"
    ),
    "dropout in training": (
        [MATMUL, ("Dropout", ["z", "number", "yes"], "y")],
        r"\(Dropout\) must have training_mode off; got another. Export the network for inference",
    ),
    "branches that do not meet": (
        [MATMUL, ("Tanh", ["z"], "a"), ("Relu", ["z"], "b"), ("Add", ["a", "b"], "y")],
        r"'n_y' \(Add\) must add what its other branch came from; got two branches",
    ),
    "a skip from the rows": (
        [("MatMul", ["x", "three3"], "z"), ("Add", ["z", "x"], "h"),
         ("MatMul", ["h", "first"], "y")],
        "operation 0 .*, the start of a skip, must stand after the first hidden layer",
    ),
    "a gate whose halves are swapped": (
        [MATMUL, ("Split", ["z", "halves"], ["a", "b"], {"axis": -1}), ("Sigmoid", ["a"], "o"),
         ("Mul", ["o", "b"], "h"), ("MatMul", ["h", "square22"], "y")],
        r"'n_h' \(Mul\) must be a layer of an MLP of ours",
    ),
    "an activation before the first layer": (
        [("Relu", ["x"], "h"), ("MatMul", ["h", "first"], "y")],
        r"operation 0 \(n_h\), the activation 'relu', must stand after a dense layer",
    ),
    "an epsilon of zero": (
        [MATMUL, ("LayerNormalization", ["z", "scale"], "h", {"epsilon": 0.0}),
         ("MatMul", ["h", "second"], "y")],
        r"\(LayerNormalization\) must have a finite epsilon above 0; got 0.0",
    ),
    "sums of squares, as of a layer norm of Keras on JAX": (
        [MATMUL, ("ReduceSumSquare", ["z"], "s", {"keepdims": 1}), ("Sqrt", ["s"], "r"),
         ("Div", ["one", "r"], "i"), ("Mul", ["z", "i"], "h"), ("MatMul", ["h", "second"], "y")],
        r"'n_h' \(Mul\) must be .* Keras on JAX writes a layer norm.*interchange\.from_keras",
    ),
    "a number per row, as many as features": (
        [MATMUL, ("Add", ["z", "column"], "y")],
        r"'n_y' \(Add\) must have one number for each of 4 features; got shape \(4, 1\)",
    ),
    "statistics of more features than rows have": (
        [("Sub", ["x", "bias"], "a"), ("MatMul", ["a", "second"], "y")],
        r"'n_a' \(Sub\) must have one number for each of 3 features; got shape \(4,\)",
    ),
    "two types": ([MATMUL, ("Add", ["z", "wide"], "y")], r"\(Add\) must have inputs of one type"),
    "an If": (
        [("If", ["yes"], "y", {
            "then_branch": helper.make_graph([], "t", [], []),
            "else_branch": helper.make_graph([], "e", [], []),
        })],
        r"\(If\) must have numbers, texts and tensors as attributes only; got '\w+_branch'",
    ),
}  # fmt: skip
ARRAYS["three3"], ARRAYS["column"] = np.ones((3, 3), np.float32), BIAS[:, None]


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_node(name, tmp_path):
    nodes, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_onnx(write(tmp_path / "n.onnx", nodes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opset": 12}, "the opset must be 13 to .*; got 12. Convert the model"),
        ({"dtype": TensorProto.INT64}, "input 'x' must be rows of one of .*; got int64. Export"),
        ({"shape": ()}, "input 'x' must be rows of features; got one number"),
    ],
)
def test_models_of_other_kinds_are_refused(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_onnx(write(tmp_path / "n.onnx", [("MatMul", ["x", "first"], "y")], **settings))


def test_rows_with_several_axes_come_in(tmp_path):
    nodes = [MATMUL, ("Relu", ["z"], "h"), ("MatMul", ["h", "second"], "y")]
    path = write(tmp_path / "n.onnx", nodes, shape=("b", "t", 3))
    config, _ = from_onnx(path)
    assert config.hidden_features == (4,)
