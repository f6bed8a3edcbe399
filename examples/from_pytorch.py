"""Puts the pieces of PyTorch next to their counterparts in JAX, and compares their numbers."""

# %% The PyTorch half runs where PyTorch is installed, the JAX half always
import argparse
import importlib.util
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxmlp

parser = argparse.ArgumentParser(description="PyTorch and JAX side by side.")
parser.add_argument("--smoke", action="store_true", help="accepted; there is nothing to shorten")
parser.parse_args([] if "ipykernel" in sys.modules else None)
jax.config.update("jax_default_matmul_precision", "highest")  # on GPUs, as PyTorch: not TF32
torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
if torch is None:
    print("PyTorch half skipped, since it is not installed; to run it: pip install torch\n")

# %% Tensors: JAX arrays never change, so filling returns a new one; random numbers come from a key
random_key, init_key, state_key = jax.random.split(jax.random.key(0), 3)
x = jnp.arange(6.0).reshape(2, 3)
t = torch and torch.arange(6.0).reshape(2, 3)
pieces = [
    ("random", "torch.rand(2, 3)", "jax.random.uniform(random_key, (2, 3))"),
    ("indexing", "t[0, 1:]", "x[0, 1:]"),
    ("filling", "t.index_fill(1, torch.tensor(0), 9)", "x.at[:, 0].set(9)"),
    ("elementwise", "torch.exp(t) * t + 1", "jnp.exp(x) * x + 1"),
    ("matrix product", "t @ t.T", "x @ x.T"),
    ("reshape", "t.reshape(3, -1)", "x.reshape(3, -1)"),
    ("dot product", "torch.dot(t[0], t[1])", "jnp.dot(x[0], x[1])"),
    ("to NumPy", "t.numpy(force=True)", "np.asarray(x)"),
    ("to the CPU", "t.cpu()", "jax.device_put(x, jax.devices('cpu')[0])"),
    ("to the GPU", "t.cuda()", "jax.device_put(x, jax.devices('gpu')[0])"),
]
has_gpu = jax.default_backend() == "gpu" and (torch is None or torch.cuda.is_available())
print(f"{'':16}{'PyTorch':38}JAX")
for name, torch_code, jax_code in pieces:
    print(f"{name:16}{torch_code:38}{jax_code}")
    if "cuda" in torch_code and not has_gpu:
        continue
    ours = eval(jax_code)
    if torch:
        theirs = torch.as_tensor(eval(torch_code)).cpu()
        assert theirs.shape == ours.shape
        assert name == "random" or np.allclose(theirs, ours, rtol=1e-6)

# %% Loaders: a short last batch would compile the step anew, so ours has padding rows of weight 0
images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
*_, last = jaxmlp.DataLoader(images, digits, batch_size=64, shuffle=True, seed=0)
print(f"\nJAX:     last batch {last.x.shape}, {np.asarray(last.weight).sum():.0f} rows of weight 1")
if torch:
    rows = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(digits))
    *_, (last_x, _) = torch.utils.data.DataLoader(rows, batch_size=64, shuffle=True)
    print(f"PyTorch: last batch {tuple(last_x.shape)}")

# %% Networks: the config is the constructor, params are the weights, apply is forward
config = jaxmlp.MLPConfig(in_features=64, hidden_features=(32,), out_features=10)
params = jaxmlp.init_params(config, key=init_key)
batch = jaxmlp.Batch(images[:100], digits[:100])
loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)
optimizer = optax.sgd(0.1)
state = jaxmlp.init_state(params, optimizer, key=state_key)
state, metrics = jaxmlp.make_train_step(loss_fn, optimizer)(state, batch)
outputs = jaxmlp.apply(params, batch.x, config=config)
grads, _ = jax.grad(loss_fn, has_aux=True)(params, batch, None)
print(f"\nJAX:     loss {metrics['loss']:.6f}")
if torch:

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = torch.nn.Linear(64, 32), torch.nn.Linear(32, 10)

        def forward(self, x):
            return self.output(torch.relu(self.hidden(x)))

    network = Network()
    for linear, dense in ((network.hidden, params.hidden[0]), (network.output, params.output)):
        linear.weight.data = torch.tensor(np.array(dense.kernel.T))  # (out, in), ours (in, out)
        linear.bias.data = torch.tensor(np.array(dense.bias))
    logits = network(torch.tensor(batch.x))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(batch.y))
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    theirs = [logits, network.hidden.weight.grad.T, network.output.bias.grad, network.hidden.bias]
    ours = [outputs, grads.hidden[0].kernel, grads.output.bias, state.params.hidden[0].bias]
    # Single precision, and sums of 100 terms in another order: some ten roundings of 1e-7.
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(a.detach(), b, rtol=1e-5, atol=1e-6)
    print(f"PyTorch: loss {loss:.6f}; outputs, gradients and the next parameters agree")
