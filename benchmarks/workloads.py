"""Describes what is trained: networks, their rows, and the arithmetic that a step must do."""

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A network with ReLU layers, trained by Adam on `rows` rows in shuffled batches.

    One output is a regression on the squared error; more are classes with softmax cross-entropy.
    """

    title: str
    in_features: int
    hidden_features: tuple[int, ...]
    out_features: int
    rows: int
    batch_size: int

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Shape (in, out) of each kernel."""
        widths = (self.in_features, *self.hidden_features, self.out_features)
        return list(itertools.pairwise(widths))

    @property
    def classifies(self) -> bool:
        return self.out_features > 1

    @property
    def step_flops(self) -> int:
        """Multiplications and additions in the matrix products of one step.

        Forward and the kernels' gradients take `2 * batch * in * out` each per layer; so do the
        inputs' gradients, which the first layer does not need.
        """
        per_layer = [2 * self.batch_size * inputs * outputs for inputs, outputs in self.layers]
        return 3 * sum(per_layer) - per_layer[0]

    def make_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 inputs and int32 classes or float32 targets; digits are the real ones."""
        if (self.in_features, self.rows) == (64, 1797):
            from sklearn.datasets import load_digits

            images, digits = map(np.asarray, load_digits(return_X_y=True))
            x = (images - images.mean()) / images.std()
            return x.astype(np.float32), digits.astype(np.int32)
        generator = np.random.default_rng(0)
        x = generator.standard_normal((self.rows, self.in_features), np.float32)
        directions = generator.standard_normal((self.in_features, self.out_features), np.float32)
        scores = np.sin(x @ directions)
        if self.classifies:
            return x, scores.argmax(axis=1).astype(np.int32)
        return x, scores[:, 0]


WORKLOADS = {
    "W1": Workload(
        title="digits 64-64-10, batch 32",
        in_features=64,
        hidden_features=(64,),
        out_features=10,
        rows=1797,
        batch_size=32,
    ),
    "W2": Workload(
        title="table 8-256-256-1, batch 256",
        in_features=8,
        hidden_features=(256, 256),
        out_features=1,
        rows=20640,
        batch_size=256,
    ),
    "W3": Workload(
        title="MNIST-shaped 784-512-512-10, batch 128",
        in_features=784,
        hidden_features=(512, 512),
        out_features=10,
        rows=60000,
        batch_size=128,
    ),
    "W4": Workload(
        title="wide 512-2048-2048-10, batch 1024",
        in_features=512,
        hidden_features=(2048, 2048),
        out_features=10,
        rows=16384,
        batch_size=1024,
    ),
}
LEARNING_RATE = 1e-3
