"""Makes contestants that predict with the same weights: NumPy rows in, raw NumPy outputs out."""

import ctypes
import functools
import importlib
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from peers import Contestant

Layers: TypeAlias = list[tuple[np.ndarray, np.ndarray]]
Predict: TypeAlias = Callable[[np.ndarray], np.ndarray]

# Many rows go through in blocks whose hidden activations fit the processor's caches.
BLOCK = 4096
# TensorFloat32 keeps 10 bits of a number's 23: 2**-11 per factor, over some hundred products.
TOLERANCE = 1e-4
if os.environ.get("JAX_DEFAULT_MATMUL_PRECISION") == "tensorfloat32":
    TOLERANCE = 2e-2


class Prediction(NamedTuple):
    """A network, and how many rows it is given at a time."""

    title: str
    widths: tuple[int, ...]
    rows: int


def contestant(
    make: Callable[[Layers, int], Predict],
) -> Callable[[Prediction], Contestant]:
    """Turns a maker of predict functions into one of contestants whose outputs were checked."""

    @functools.wraps(make)
    def prepare(task: Prediction) -> Contestant:
        layers = draw_layers(task.widths)
        predict = make(layers, task.rows)
        # Calls see different rows.
        calls = 1 if task.rows > 1 else 1000
        generator = np.random.default_rng(1)
        x = generator.standard_normal((calls, task.rows, task.widths[0]), np.float32)
        for part in (slice(None, 1000), slice(-1000, None)):
            got, wanted = predict(x[0])[part], in_numpy(layers, x[0][part])
            np.testing.assert_allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)

        def run(epochs: int) -> float:
            start = time.perf_counter()
            for index in range(epochs):
                predict(x[index % calls])
            return time.perf_counter() - start

        return Contestant(1, run)

    return prepare


def draw_layers(widths: tuple[int, ...]) -> Layers:
    """Draws kernels (in, out) and biases (out,)."""
    generator = np.random.default_rng(0)
    return [
        (
            generator.normal(0, (2 / inputs) ** 0.5, (inputs, outputs)).astype(np.float32),
            generator.normal(0, 0.1, outputs).astype(np.float32),
        )
        for inputs, outputs in itertools.pairwise(widths)
    ]


def in_numpy(layers: Layers, x: np.ndarray) -> np.ndarray:
    """The reference: the forward pass in float64."""
    *hidden, (kernel, bias) = layers
    for hidden_kernel, hidden_bias in hidden:
        x = np.maximum(x.astype(np.float64) @ hidden_kernel + hidden_bias, 0)
    return x @ kernel + bias


@contestant
def prepare_jaxmlp(layers: Layers, rows: int) -> Predict:
    """`compile_predict` for one row, `predict` for many: what each is for."""
    import jaxmlp

    config, params = make_params(layers)
    if rows == 1:
        return jaxmlp.compile_predict(params, config, batch_sizes=(1,))
    return lambda x: np.asarray(jaxmlp.predict(params, x, config=config))


@contestant
def prepare_jaxmlp_jit(layers: Layers, _: int) -> Predict:
    """`jax.jit(apply)` on all rows at once."""
    import jax

    import jaxmlp

    config, params = make_params(layers)
    predict = jax.jit(functools.partial(jaxmlp.apply, config=config))
    return lambda x: np.asarray(predict(params, x))


@contestant
def prepare_c(layers: Layers, _: int) -> Predict:
    """The header of `to_c`, compiled for this processor, row after row on one thread."""
    from jaxmlp.interchange import to_c

    config, params = make_params(layers)
    outputs = config.out_features
    folder = Path(tempfile.mkdtemp())
    to_c(folder / "network.h", config, params)
    (folder / "rows.c").write_text(
        f"""#include "network.h"
        void rows(const float *x, float *outputs, long count) {{
          for (long i = 0; i < count; i++)
            network_predict(x + i * {config.in_features}, outputs + i * {outputs});
        }}"""
    )
    command = ["gcc", "-std=c99", "-O3", "-march=native", "-shared", "-fPIC", "rows.c", "-lm"]
    subprocess.run([*command, "-o", "rows.so"], cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / "rows.so")).rows
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    function.argtypes, function.restype = [pointer, pointer, ctypes.c_long], None

    def predict(x: np.ndarray) -> np.ndarray:
        result = np.empty((len(x), outputs), np.float32)
        function(x, result, len(x))
        return result

    return predict


@contestant
def prepare_torch(layers: Layers, _: int) -> Predict:
    """Eager under `inference_mode`, many rows in blocks."""
    return _torch_predict(torch_network(layers), BLOCK)


@contestant
def prepare_torch_compiled(layers: Layers, rows: int) -> Predict:
    """The same compiled; blocks divide the rows, so that there is one shape."""
    torch = importlib.import_module("torch")
    network = torch.compile(torch_network(layers), dynamic=False)
    block = rows if rows <= BLOCK else max(n for n in range(1, BLOCK + 1) if rows % n == 0)
    return _torch_predict(network, block)


@contestant
def prepare_sklearn(layers: Layers, _: int) -> Predict:
    """`MLPRegressor.predict`, which returns raw outputs, with the weights put in."""
    from sklearn.neural_network import MLPRegressor

    features, outputs = layers[0][0].shape[0], layers[-1][1].shape[0]
    widths = tuple(len(bias) for _, bias in layers[:-1])
    model = MLPRegressor(hidden_layer_sizes=widths)
    targets = np.zeros((2, outputs) if outputs > 1 else 2, np.float32)
    model.partial_fit(np.zeros((2, features), np.float32), targets)
    model.coefs_ = [kernel for kernel, _ in layers]
    model.intercepts_ = [bias for _, bias in layers]
    return lambda x: np.reshape(model.predict(x), (len(x), outputs))


@contestant
def prepare_onnx(layers: Layers, _: int) -> Predict:
    """ONNX Runtime on a graph of Gemm and Relu, many rows in blocks."""
    onnx = importlib.import_module("onnx")
    runtime = importlib.import_module("onnxruntime")
    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes, weights, name = [], [], "x"
    for index, (kernel, bias) in enumerate(layers):
        last = index == len(layers) - 1
        weights += [numbers.from_array(kernel, f"k{index}"), numbers.from_array(bias, f"b{index}")]
        output = "y" if last else f"z{index}"
        nodes.append(helper.make_node("Gemm", [name, f"k{index}", f"b{index}"], [output]))
        if not last:
            nodes.append(helper.make_node("Relu", [output], [f"a{index}"]))
        name = f"a{index}"
    values = [
        helper.make_tensor_value_info(label, onnx.TensorProto.FLOAT, ["rows", width])
        for label, width in (("x", layers[0][0].shape[0]), ("y", layers[-1][1].shape[0]))
    ]
    graph = helper.make_graph(nodes, "mlp", values[:1], values[1:], weights)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    session = runtime.InferenceSession(model.SerializeToString(), options)

    def predict(x: np.ndarray) -> np.ndarray:
        if len(x) <= BLOCK:
            return session.run(None, {"x": x})[0]
        parts = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
        return np.concatenate([session.run(None, {"x": part})[0] for part in parts])

    return predict


def make_params(layers: Layers) -> tuple[Any, Any]:
    import jax

    import jaxmlp

    widths = [layers[0][0].shape[0], *(len(bias) for _, bias in layers)]
    config = jaxmlp.MLPConfig(
        in_features=widths[0], hidden_features=tuple(widths[1:-1]), out_features=widths[-1]
    )
    *hidden, output = (jaxmlp.Dense(jax.numpy.asarray(k), jax.numpy.asarray(b)) for k, b in layers)
    return config, jaxmlp.Params(tuple(hidden), output)


def _torch_predict(network: Any, block: int) -> Predict:
    """Rows go to the device, on a GPU all at once, and outputs come back."""
    peers_torch = importlib.import_module("peers_torch")
    torch, device = peers_torch.torch, peers_torch.DEVICE

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tensor = torch.from_numpy(x).to(device)
            if len(x) <= block or device != "cpu":
                return network(tensor).cpu().numpy()
            return torch.cat([network(part) for part in tensor.split(block)]).numpy()

    return predict


def torch_network(layers: Layers) -> Any:
    peers_torch = importlib.import_module("peers_torch")
    torch = peers_torch.torch
    modules: list[Any] = []
    for kernel, bias in layers:
        linear = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1]).to(peers_torch.DEVICE)
