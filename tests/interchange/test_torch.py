"""Networks go to PyTorch and come back bit for bit, and those trained there come in exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from equal_networks import assert_comes_back, assert_same_params, digits, tolerance_of
from network_family import family, params_of, wanted_outputs

import jaxmlp
from jaxmlp.interchange import from_torch, to_torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def outputs_of(module, x):
    with torch.no_grad():
        return module.eval()(torch.as_tensor(x))


def train(module, steps=20):
    """Some steps of Adam on digits, after which no weight is as it was drawn."""
    x, y = map(torch.tensor, digits())
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module


def assert_equal_outputs(module, *, flat=True, **settings):
    """The module that comes in has the outputs that it has in PyTorch, to float32's rounding."""
    config, params = from_torch(module, **settings)
    x, _ = digits()
    got = jaxmlp.apply(params, x, config=config)
    wanted = outputs_of(module, x if flat else x.reshape(-1, 8, 8)).numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    return config, params


def assert_computes_the_same(module, net):
    """Outputs are those of the float64 oracle, in the type of the parameters."""
    config, rows = net.config, net.x
    if net.params.standardization is None:
        rows = rows.astype(jnp.dtype(config.param_dtype)).astype(net.x.dtype)
        net = net._replace(x=rows)
    x = torch.tensor(rows)
    if net.params.standardization is None:
        x = x.to(getattr(torch, config.param_dtype))
    outputs = outputs_of(module, x)
    assert str(outputs.dtype) == f"torch.{config.param_dtype}"
    tolerance = tolerance_of(config)
    got, wanted = outputs.double().numpy(), wanted_outputs(net)
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg=repr(config))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("numbers", [(0, 150), pytest.param((150, 600), marks=pytest.mark.slow)])
def test_networks_compute_the_same_and_come_back_bit_for_bit(numbers):
    for net in family(start=numbers[0], stop=numbers[1]):
        module = to_torch(net.config, net.params)
        assert_computes_the_same(module, net)
        assert_comes_back(from_torch(module), net)


def test_keys_of_the_state_are_numbers_and_kernels_are_transposed():
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(3, 3), out_features=1, residual=True)
    params = params_of(config, 0)
    state = to_torch(config, params).state_dict()
    names = ["0.weight", "0.bias", "2.0.weight", "2.0.bias", "3.weight", "3.bias"]
    assert list(state) == names
    assert state["2.0.weight"].numpy().tobytes() == params.hidden[1].kernel.T.tobytes()


def test_without_what_torch_lacks_all_modules_are_its_own():
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(4, 2), out_features=1, norm="layer", dropout_rate=0.5,
        activation=("glu", "gelu"),
    )  # fmt: skip
    module = to_torch(config, params_of(config, 0))
    assert {type(each).__module__.split(".")[0] for each in module.modules()} == {"torch"}


def test_neither_side_shares_memory_with_the_other():
    config = jaxmlp.MLPConfig(in_features=1, hidden_features=(3,), out_features=1, norm="layer")
    drawn = params_of(config, 0)
    module = to_torch(config, drawn)
    _, params = from_torch(module)
    before = jax.tree.map(np.array, params)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7)
    assert_same_params(params, before)
    assert not any((leaf == 7).all() for leaf in jax.tree.leaves(drawn))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, None])
def test_networks_that_torch_trained_have_equal_outputs(norm):
    torch.manual_seed(0)
    norms = [norm(20)] if norm else []
    module = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(64, 20), *norms, nn.GELU(), nn.Dropout(0.1)),
        nn.Sequential(nn.Linear(20, 20, bias=False), *(norm(20) for _ in norms), nn.ReLU6()),
        nn.Dropout(0.1),
        nn.Linear(20, 10),
    )
    config, _ = assert_equal_outputs(train(module))
    assert config.activation == ("gelu_exact", "relu6")
    assert config.dropout_rate == 0.1
    assert_equal_outputs(module)


def test_a_flatten_of_images_is_taken():
    torch.manual_seed(1)
    assert_equal_outputs(train(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))), flat=False)


def test_states_come_in_through_the_module_whose_they_are(tmp_path):
    module = train(nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)))
    torch.save(module.state_dict(), tmp_path / "state.pt")
    empty = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
    empty.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    config, params = from_torch(empty)
    wanted_config, wanted = from_torch(module)
    assert config == wanted_config
    assert_same_params(params, jax.tree.map(np.asarray, wanted))


def test_a_safetensors_file_comes_in_through_the_module_whose_it_is(tmp_path):
    files = pytest.importorskip("safetensors.torch")
    module = nn.Linear(64, 10)
    files.save_file(module.state_dict(), tmp_path / "state.safetensors")
    empty = nn.Linear(64, 10)
    empty.load_state_dict(files.load_file(tmp_path / "state.safetensors"))
    _, params = from_torch(empty)
    assert np.asarray(params.output.kernel).tobytes() == module.weight.T.detach().numpy().tobytes()


def test_a_module_from_here_is_pickled_and_goes_on_training(tmp_path):
    config = jaxmlp.MLPConfig(
        in_features=64, hidden_features=(8, 8), out_features=10, activation="swiglu", residual=True
    )
    module = to_torch(config, params_of(config, 0, standardised=True))
    torch.save(module, tmp_path / "module.pt")
    again = torch.load(tmp_path / "module.pt", weights_only=False)
    statistics = again[0].mean.clone()
    first = from_torch(again)[1]
    assert_equal_outputs(train(again))
    assert torch.equal(again[0].mean, statistics)
    assert not np.array_equal(from_torch(again)[1].output.kernel, first.output.kernel)


def as_torchvision(norm, rate):
    """The modules of `torchvision.ops.MLP(64, [32, 32, 10], ...)`."""
    hidden = [
        each
        for width in (64, 32)
        for each in (nn.Linear(width, 32), norm(32), nn.ReLU(), nn.Dropout(rate))
    ]
    return nn.Sequential(*hidden, nn.Linear(32, 10), nn.Dropout(rate))


def from_torchvision(norm, rate):
    try:
        from torchvision.ops import MLP
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision is not here, or not one for this PyTorch: {error}")
    return MLP(64, [32, 32, 10], norm_layer=norm, dropout=rate)


@pytest.mark.parametrize("make", [as_torchvision, from_torchvision])
def test_a_torchvision_network_goes_on_training_here(make):
    torch.manual_seed(2)
    module = train(make(nn.LayerNorm, 0.1), steps=5)
    config, params = assert_equal_outputs(module, dropout_rate=0.1)
    assert (config.hidden_features, config.norm, config.dropout_rate) == ((32, 32), "layer", 0.1)
    loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)
    loader = jaxmlp.DataLoader(*digits(), batch_size=50, seed=0)
    before = jaxmlp.evaluate(loss_fn, params, loader)["loss"]
    key = jax.random.key(0)
    result = jaxmlp.fit(loss_fn, optax.adam(1e-2), params, loader, epochs=2, key=key)
    after = jaxmlp.evaluate(loss_fn, result.params, loader)["loss"]
    assert after < before / 2
    # And the trained network is PyTorch's again.
    assert_equal_outputs(to_torch(config, result.params))
