"""The same network in PyTorch: outputs, gradients, optimizer steps and initial parameters."""

import functools
import itertools

import jax
import numpy as np
import optax
import pytest
import reference
import scipy.stats
from networks import make_config, make_inputs, make_params, widened

import jaxmlp
from jaxmlp import losses

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

# float32 sums of up to 12 terms, through three layers forward and backward.
RTOL = 64 * float(np.finfo(np.float32).eps)
ROWS = 6
X = make_inputs((ROWS, 5), np.float32)

ACTIVATIONS = {
    "celu": torch.nn.CELU,
    "elu": torch.nn.ELU,
    "gelu": functools.partial(torch.nn.GELU, approximate="tanh"),
    "gelu_exact": torch.nn.GELU,
    "glu": torch.nn.GLU,
    "hard_sigmoid": torch.nn.Hardsigmoid,
    "hard_silu": torch.nn.Hardswish,
    "hard_swish": torch.nn.Hardswish,
    "hard_tanh": torch.nn.Hardtanh,
    "identity": torch.nn.Identity,
    "leaky_relu": torch.nn.LeakyReLU,
    "log_sigmoid": torch.nn.LogSigmoid,
    "mish": torch.nn.Mish,
    "relu": torch.nn.ReLU,
    "relu6": torch.nn.ReLU6,
    "selu": torch.nn.SELU,
    "sigmoid": torch.nn.Sigmoid,
    "silu": torch.nn.SiLU,
    "soft_sign": torch.nn.Softsign,
    "softplus": torch.nn.Softplus,
    "swish": torch.nn.SiLU,
    "tanh": torch.nn.Tanh,
}
NORMS = {"layer": torch.nn.LayerNorm, "rms": torch.nn.RMSNorm}


def tensor(array):
    return torch.tensor(np.array(array))


def torch_network(params, config):
    """A torch.nn.Sequential with the weights of `params`: PyTorch keeps them as (out, in)."""
    modules = []
    for dense in (*params.hidden, params.output):
        linear = torch.nn.Linear(*dense.kernel.shape, bias=dense.bias is not None)
        linear.weight.data = tensor(dense.kernel.T)
        if dense.bias is not None:
            linear.bias.data = tensor(dense.bias)
        modules.append(linear)
        if dense.norm is not None:
            norm = NORMS[config.norm](dense.norm.scale.shape[0], eps=1e-5)
            norm.weight.data = tensor(dense.norm.scale)
            if dense.norm.bias is not None:
                norm.bias.data = tensor(dense.norm.bias)
            modules.append(norm)
        if dense is not params.output:
            modules.append(ACTIVATIONS[config.activation]())
    return torch.nn.Sequential(*modules)


def from_torch(network, params, read):
    """`read(parameter)` of every parameter of the network, as Params."""
    arrays = (read(parameter).detach().numpy() for parameter in network.parameters())

    def take_dense(dense):
        kernel = next(arrays).T
        bias = None if dense.bias is None else next(arrays)
        norm = (
            None if dense.norm is None else reference.map_leaves(lambda _: next(arrays), dense.norm)
        )
        return jaxmlp.Dense(kernel, bias, norm)

    hidden = tuple(take_dense(dense) for dense in params.hidden)
    return widened(jaxmlp.Params(hidden, take_dense(params.output)))


@pytest.mark.parametrize(
    ("activation", "norm"),
    [*((name, None) for name in ACTIVATIONS), *itertools.product(("glu", "tanh"), NORMS)],
)
def test_outputs_and_gradients_equal_those_of_torch(activation, norm):
    config = make_config(hidden_features=(6, 6), activation=activation, norm=norm)
    params = make_params(config)
    network = torch_network(params, config)
    wanted_outputs = network(tensor(X))
    wanted_outputs.square().mean().backward()
    wanted = from_torch(network, params, lambda parameter: parameter.grad)

    def mean_square(params):
        outputs = jaxmlp.apply(params, X, config=config)
        return (outputs**2).mean(), outputs

    gradient, outputs = jax.grad(mean_square, has_aux=True)(params)
    reference.assert_close(outputs, wanted_outputs.detach().numpy().astype(np.float64), RTOL)
    reference.assert_close(gradient, wanted, RTOL)


RNG = np.random.default_rng(2)
CLASSES = RNG.integers(0, 3, ROWS)
PROBABILITIES = RNG.dirichlet(np.ones(3), ROWS).astype(np.float32)
NUMBERS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
LABELS = RNG.integers(0, 2, (ROWS, 3)).astype(np.float32)
COUNTS = RNG.poisson(2.0, (ROWS, 3)).astype(np.float32)


def torch_gaussian(outputs, targets):
    mean, raw = outputs.chunk(2, dim=-1)
    variance = (torch.nn.functional.softplus(raw) + 1e-3) ** 2
    return torch.nn.functional.gaussian_nll_loss(mean, targets, variance, full=True)


CRITERIA = {
    "classes": (losses.softmax_cross_entropy, torch.nn.CrossEntropyLoss(), CLASSES),
    "smoothed_classes": (
        functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1),
        torch.nn.CrossEntropyLoss(label_smoothing=0.1),
        CLASSES,
    ),
    "probabilities": (losses.softmax_cross_entropy, torch.nn.CrossEntropyLoss(), PROBABILITIES),
    "labels": (losses.sigmoid_binary_cross_entropy, torch.nn.BCEWithLogitsLoss(), LABELS),
    "squared_error": (losses.squared_error, torch.nn.MSELoss(), NUMBERS),
    "absolute_error": (losses.absolute_error, torch.nn.L1Loss(), NUMBERS),
    "huber": (functools.partial(losses.huber, delta=0.7), torch.nn.HuberLoss(delta=0.7), NUMBERS),
    "poisson": (losses.poisson, torch.nn.PoissonNLLLoss(), COUNTS),
    "gaussian": (losses.gaussian, torch_gaussian, NUMBERS),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_losses_and_their_gradients_equal_those_of_torch(name):
    criterion, torch_criterion, targets = CRITERIA[name]
    config = make_config(
        hidden_features=(6,), activation="tanh", out_features=6 if name == "gaussian" else 3
    )
    params = make_params(config)
    network = torch_network(params, config)
    wanted_loss = torch_criterion(network(tensor(X)), tensor(targets))
    wanted_loss.backward()
    wanted = from_torch(network, params, lambda parameter: parameter.grad)
    loss_fn = jaxmlp.make_loss(config, criterion)
    batch = jaxmlp.Batch(X, targets)
    (loss, _), gradient = jax.value_and_grad(loss_fn, has_aux=True)(params, batch, None)
    assert float(loss) == pytest.approx(wanted_loss.item(), rel=RTOL)
    reference.assert_close(gradient, wanted, RTOL)


def torch_adamw(network):
    kernels = [p for p in network.parameters() if p.ndim == 2]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": kernels, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.02)


OPTIMIZERS = {
    "sgd_momentum": (
        optax.sgd(0.1, momentum=0.9),
        lambda network: torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9),
    ),
    "adam": (optax.adam(0.02), lambda network: torch.optim.Adam(network.parameters(), lr=0.02)),
    "adamw": (optax.adamw(0.02, weight_decay=0.3, mask=jaxmlp.kernel_mask), torch_adamw),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_optimizer_steps_equal_those_of_torch(name):
    rule, make_torch_optimizer = OPTIMIZERS[name]
    config = make_config(hidden_features=(6, 6), activation="gelu", norm="layer")
    params = make_params(config)
    network = torch_network(params, config)
    optimizer = make_torch_optimizer(network)
    loss_fn = jaxmlp.make_loss(config, losses.softmax_cross_entropy)
    train_step = jaxmlp.make_train_step(loss_fn, rule)
    state = jaxmlp.init_state(params, rule, key=jax.random.key(0))
    for _ in range(10):
        state, _ = train_step(state, jaxmlp.Batch(X, CLASSES))
        optimizer.zero_grad()
        torch.nn.CrossEntropyLoss()(network(tensor(X)), tensor(CLASSES)).backward()
        optimizer.step()
    # Ten steps' roundings; Adam magnifies those of small gradients.
    wanted = from_torch(network, params, lambda parameter: parameter)
    reference.assert_close(state.params, wanted, 10 * RTOL)


@pytest.mark.parametrize("fan_in", [3, 100])
def test_initial_params_follow_the_law_of_torch_linear(fan_in):
    torch.manual_seed(0)
    linear = torch.nn.Linear(fan_in, 1000)
    config = make_config(in_features=fan_in, out_features=1000, kernel_init="torch")
    dense = jaxmlp.init_params(config, key=jax.random.key(0)).output
    pairs = (dense.kernel, linear.weight), (dense.bias, linear.bias)
    for got, wanted in pairs:
        # Fixed seeds: equal laws fail for one pair of seeds in a thousand.
        sample = wanted.detach().numpy().ravel()
        assert scipy.stats.ks_2samp(np.ravel(got), sample).pvalue > 1e-3
