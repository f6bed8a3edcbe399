"""Networks that torch.onnx wrote, by both of its exporters, come in with equal outputs."""

import jax
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.interchange import from_onnx

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("x64"),
    # The exporters' own, for which users see them, too.
    pytest.mark.filterwarnings(
        "ignore:You are using the legacy TorchScript:DeprecationWarning",
        "ignore:The feature will be removed:DeprecationWarning",
        "ignore:.isinstance.treespec, LeafSpec:FutureWarning",
    ),
]
ACTIVATIONS = {
    "celu": nn.CELU(), "elu": nn.ELU(), "gelu": nn.GELU("tanh"), "gelu_exact": nn.GELU(),
    "hard_sigmoid": nn.Hardsigmoid(), "hard_silu": nn.Hardswish(), "hard_tanh": nn.Hardtanh(),
    "leaky_relu": nn.LeakyReLU(), "log_sigmoid": nn.LogSigmoid(), "mish": nn.Mish(),
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "selu": nn.SELU(), "sigmoid": nn.Sigmoid(),
    "silu": nn.SiLU(), "soft_sign": nn.Softsign(), "softplus": nn.Softplus(), "tanh": nn.Tanh(),
}  # fmt: skip
X = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32))
Y = torch.sin(X).sum(dim=1, keepdim=True)


class Gated(nn.Module):
    """A gate by `chunk`, value first."""

    def __init__(self, gate):
        super().__init__()
        self.first, self.last, self.gate = nn.Linear(3, 8), nn.Linear(4, 2), gate

    def forward(self, x):
        value, gate = self.first(x).chunk(2, -1)
        return self.last(value * self.gate(gate))


class Residual(nn.Module):
    """Two skips, one after the other."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)])
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        h = torch.tanh(self.layers[0](x))
        h = torch.tanh(self.layers[1](h)) + h
        return self.last(h + torch.tanh(self.layers[2](h)))


def export(module, path, x, *, dynamo, opset):
    module.eval()
    if dynamo:
        pytest.importorskip("onnxscript", reason="the exporter of torch.export needs it")
        torch.onnx.export(
            module, (x,), path, dynamo=True, opset_version=opset, external_data=False,
            dynamic_shapes=({0: "batch"},), verbose=False,
        )  # fmt: skip
    else:
        torch.onnx.export(
            module, (x,), path, dynamo=False, opset_version=opset, input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip


def imported(module, path, x=X, *, dynamo=False, opset=18):
    """The network, once its outputs are found to be the module's."""
    export(module, path, x, dynamo=dynamo, opset=opset)
    config, params = from_onnx(path)
    wanted = module(x).detach().numpy()
    got = jaxmlp.apply(params, x.numpy(), config=config)
    # Sums of up to eight terms, in three layers, in another order.
    bound = 16 * float(np.finfo(wanted.dtype).eps)
    np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound)
    return config, params


EXPORTERS = [(False, 13), (False, 17), (False, 20), (True, 18), (True, 23)]


@pytest.mark.parametrize(("dynamo", "opset"), EXPORTERS)
def test_every_activation_comes_in_by_its_name(tmp_path, dynamo, opset):
    layers = [nn.Linear(3, 5)]
    for activation in ACTIVATIONS.values():
        layers += [activation, nn.Linear(5, 5)]
    torch.manual_seed(0)
    module = nn.Sequential(*layers, nn.Softmax(-1))
    config, params = imported(module, tmp_path / "n.onnx", dynamo=dynamo, opset=opset)
    assert config.activation == tuple(ACTIVATIONS)
    assert config.output_activation == "softmax"
    kernel = module[0].weight.detach().numpy().T
    np.testing.assert_array_equal(params.hidden[0].kernel, kernel)


@pytest.mark.parametrize(("dynamo", "opset"), EXPORTERS)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norms_come_in(tmp_path, dynamo, opset, affine):
    module = nn.Sequential(
        nn.Linear(3, 4), nn.LayerNorm(4, eps=1e-3, elementwise_affine=affine), nn.ReLU(),
        nn.Dropout(0.1), nn.Flatten(), nn.Identity(), nn.Linear(4, 2),
    )  # fmt: skip
    config, _ = imported(module, tmp_path / "n.onnx", dynamo=dynamo, opset=opset)
    assert (config.norm, config.norm_epsilon) == ("layer", 1e-3)


@pytest.mark.parametrize("opset", [18, 23])
def test_rms_norms_come_in(tmp_path, opset):
    module = nn.Sequential(
        nn.Linear(3, 4, bias=False), nn.RMSNorm(4, eps=1e-6), nn.ReLU(), nn.Linear(4, 2, bias=False)
    )
    config, params = imported(module, tmp_path / "n.onnx", dynamo=True, opset=opset)
    assert (config.norm, config.norm_epsilon, config.use_bias) == ("rms", 1e-6, False)
    np.testing.assert_array_equal(params.output.kernel, module[3].weight.detach().numpy().T)


GATES = {
    "glu": torch.sigmoid,
    "reglu": torch.relu,
    "swiglu": nn.functional.silu,
    "geglu": nn.GELU("tanh"),
}


@pytest.mark.parametrize(("dynamo", "opset"), EXPORTERS)
@pytest.mark.parametrize("name", GATES)
def test_gates_come_in_value_first(tmp_path, dynamo, opset, name):
    config, _ = imported(Gated(GATES[name]), tmp_path / "n.onnx", dynamo=dynamo, opset=opset)
    assert config.activation == name


@pytest.mark.parametrize(("dynamo", "opset"), [(False, 13), (True, 18)])
def test_skips_come_in(tmp_path, dynamo, opset):
    config, _ = imported(Residual(), tmp_path / "n.onnx", dynamo=dynamo, opset=opset)
    assert config.residual


def test_a_trained_network_of_float64_comes_in(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 1)).double()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(X.double()), Y.double()).backward()
        optimizer.step()
    config, params = imported(module, tmp_path / "n.onnx", X.double())
    assert config.param_dtype == "float64"
    assert params.hidden[0].kernel.dtype == np.float64


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(4), r"\(BatchNormalization\) must be a layer .* Fold it into the dense"),
        (nn.LeakyReLU(0.2), r"\(LeakyRelu\) must be a layer of an MLP .*'alpha': '0.2000000029"),
        (nn.Hardtanh(-2, 2), r"\(Clip\) must be a layer of an MLP of ours"),
        (nn.PReLU(), r"\(PRelu\) must be a layer .* Slopes that are trained"),
        (nn.LogSoftmax(-1), r"\(LogSoftmax\) must be a layer .* Leave it out: outputs are then"),
    ],
)
def test_what_is_no_layer_of_ours_is_refused_by_node(tmp_path, layer, message):
    module = nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 2))
    export(module, tmp_path / "n.onnx", X, dynamo=False, opset=18)
    with pytest.raises(ValueError, match=message):
        from_onnx(tmp_path / "n.onnx")


def test_constants_of_32_bits_in_float64_are_another_function(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 2)).double()
    export(module, tmp_path / "n.onnx", X.double(), dynamo=False, opset=18)
    with pytest.raises(ValueError, match=r"LeakyRelu.*0.009999999776"):
        from_onnx(tmp_path / "n.onnx")


def test_an_imported_network_is_trained_further(tmp_path):
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    config, params = imported(module, tmp_path / "n.onnx")
    loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.squared_error)
    loader = jaxmlp.DataLoader(X.numpy(), Y.numpy(), batch_size=6)
    result = jaxmlp.fit(loss_fn, optax.adam(1e-2), params, loader, epochs=20, key=jax.random.key(0))
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
