"""ONNX models compute what the float64 oracle computes, whoever runs them."""

import dataclasses

import jax
import numpy as np
import onnx
import pytest
import reference
from network_family import SIZE, family, params_of, wanted_outputs
from onnx_runs import by_all, by_reference, by_runtime

import jaxmlp
from jaxmlp import ensembles
from jaxmlp.interchange import to_onnx
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS

# Networks of float64 are checked by JAX, too.
pytestmark = pytest.mark.usefixtures("x64")
OPSETS = range(13, 26)
# Of outputs, to the largest of them: rounding of up to seven layers of up to 14 features each, each
# of 2**-11, 2**-24 and 2**-53; the reference evaluator rounds every operator's result to 16 bits.
BOUNDS = {"float16": 2e-2, "float32": 2e-6, "float64": 1e-14}


def written(path, config, params, **settings):
    to_onnx(path, config, params, **settings)
    return path.read_bytes()


def narrowest(config):
    types = {config.param_dtype, config.compute_dtype or config.param_dtype}
    return next(t for t in ("float16", "bfloat16", "float32", "float64") if t in types)


def check(nets, folder):
    for net in nets:
        data = written(
            folder / "n.onnx", net.config, net.params, opset=OPSETS[net.number % len(OPSETS)]
        )
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        elements = model.graph.input[0].type.tensor_type.elem_type
        x = net.x.astype(onnx.helper.tensor_dtype_to_np_dtype(elements))
        wanted = wanted_outputs(net._replace(x=x))
        bound = BOUNDS[narrowest(net.config).replace("bfloat16", "float32")]
        for who, outputs in by_all(data, x):
            (got,) = outputs.values()
            error = np.max(np.abs(got.astype(np.float64) - wanted))
            assert error <= bound * max(1, np.max(np.abs(wanted))), (net.number, who)


def test_runtimes_agree_with_the_oracle(tmp_path):
    check(family(stop=60), tmp_path)


@pytest.mark.long
def test_runtimes_agree_with_the_oracle_for_the_whole_family(tmp_path):
    check(family(start=60, stop=SIZE), tmp_path)


@pytest.mark.parametrize("opset", [13, 19, 25])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_exact_far_out(dtype, opset, tmp_path):
    z = np.concatenate([np.linspace(-200, 200, 401), np.linspace(-8, 8, 1601)]).astype(dtype)
    for name in ELEMENTWISE_ACTIVATIONS:
        config = jaxmlp.MLPConfig(
            in_features=1, out_features=1, output_activation=name, use_bias=False, param_dtype=dtype
        )
        params = params_of(config, 0)
        params = params._replace(output=params.output._replace(kernel=np.ones((1, 1), dtype)))
        data = written(tmp_path / "n.onnx", config, params, opset=opset)
        wanted = reference.activate(name, z.astype(np.float64))
        # Cancellation leaves an error of the largest number on the way.
        bound = 4 * float(np.finfo(dtype).eps) * np.maximum(1, np.abs(z.astype(np.float64)))
        for level in ("disabled", "all"):
            (got,) = by_runtime(data, z[:, None], level).values()
            error = np.abs(got[:, 0].astype(np.float64) - wanted)
            assert np.all(error <= bound), (name, level, z[np.argmax(error / bound)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(
    "settings",
    [
        {"activation": ("glu", "gelu_exact"), "norm": "layer", "residual": True},
        {"activation": "mish", "norm": "rms", "output_activation": "softmax", "use_bias": False},
    ],
)
@pytest.mark.parametrize("opset", [13, 18, 25])
def test_ensembles_give_mean_and_deviation_of_their_members(settings, dtype, opset, tmp_path):
    config = jaxmlp.MLPConfig(
        in_features=3, hidden_features=(6, 6), out_features=4, param_dtype=dtype, **settings
    )
    networks = [params_of(config, seed, standardised=True) for seed in range(3)]
    members = jax.tree.map(lambda *arrays: np.stack(arrays), *networks)
    data = written(tmp_path / "e.onnx", config, members, opset=opset)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    wide = np.promote_types(dtype, np.float32)
    x = np.random.default_rng(0).normal(3, 5, size=(5, 3)).astype(wide)
    wide_config = dataclasses.replace(config, param_dtype="float64")
    outputs = np.stack([
        jaxmlp.apply(jax.tree.map(lambda a: a.astype(float), each), x, config=wide_config)
        for each in networks
    ])  # fmt: skip
    wanted = ensembles.mixture_moments(outputs)
    for who, got in by_all(data, x):
        assert got["mean"].dtype == got["deviation"].dtype == wide
        bound = BOUNDS[dtype] * max(1, np.max(np.abs(wanted.mean)))
        np.testing.assert_allclose(got["mean"], wanted.mean, atol=bound, rtol=0, err_msg=who)
        deviation = np.sqrt(wanted.epistemic)
        np.testing.assert_allclose(got["deviation"], deviation, atol=bound, rtol=0, err_msg=who)


def test_any_number_of_rows_goes_in(tmp_path):
    config = jaxmlp.MLPConfig(in_features=3, hidden_features=(4,), out_features=2)
    data = written(tmp_path / "n.onnx", config, params_of(config, 0))
    for rows in (0, 1, 1000):
        x = np.ones((rows, 3), np.float32)
        assert by_runtime(data, x)["logits"].shape == (rows, 2)
        assert by_reference(data, x)["logits"].shape == (rows, 2)
