"""A run holds no more states at once than it needs: what is counted are arrays of a rare shape."""

import jax
import numpy as np
import optax
import pytest

import jaxmlp

# Not under runtime type checks, whose frames hold the arguments of what they check.
pytestmark = pytest.mark.long

WIDTH = 37


class Counting:
    """A sampler that counts arrays of WIDTH x WIDTH when an epoch's order is drawn."""

    def __init__(self, rows: int) -> None:
        self.rows, self.counts = rows, []

    def __len__(self) -> int:
        return self.rows

    def __iter__(self):
        arrays = [a for a in jax.live_arrays() if not a.is_deleted()]
        self.counts.append(sum(a.shape == (WIDTH, WIDTH) for a in arrays))
        return iter(range(self.rows))


# The user's parameters, and a state of parameters and Adam's two moments. Epochs draw the next
# order while the device runs: there is the state before, too, from which a bad call is repeated.
@pytest.mark.parametrize(("driver", "most"), [("chunk", 1 + 3), ("epoch", 1 + 2 * 3)])
def test_states_that_are_not_needed_are_given_back(driver, most):
    config = jaxmlp.MLPConfig(in_features=3, hidden_features=(WIDTH, WIDTH), out_features=1)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    sampler = Counting(64)
    result = jaxmlp.fit(
        jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        optax.adam(1e-3),
        params,
        jaxmlp.DataLoader(x, x[:, 0], batch_size=16, sampler=sampler),
        epochs=6,
        key=jax.random.key(1),
        driver=driver,
    )
    jax.block_until_ready(result.params)
    # Of the first orders, one is drawn before anything is trained.
    assert max(sampler.counts[3:]) <= most
