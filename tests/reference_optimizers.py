"""The oracle's optimizers: each takes lists of arrays, and returns the arrays after one step."""

import numpy as np


class Momentum:
    """SGD with momentum: m = mu m + g, p = p - lr m (Sutskever et al. 2013, without Nesterov)."""

    def __init__(self, learning_rate, momentum):
        self.learning_rate, self.momentum = learning_rate, momentum
        self.traces = None

    def step(self, arrays, gradients):
        if self.traces is None:
            self.traces = [np.zeros_like(a) for a in arrays]
        self.traces = [
            self.momentum * m + g for m, g in zip(self.traces, gradients, strict=True)
        ]  # fmt: skip
        return [a - self.learning_rate * m for a, m in zip(arrays, self.traces, strict=True)]


class AdamW:
    """Kingma & Ba 2015, algorithm 1, with the decay of Loshchilov & Hutter 2019, algorithm 2.

    `decayed` says for each array whether weight decay acts on it.
    """

    def __init__(self, learning_rate, weight_decay=0.0, decayed=None):
        self.learning_rate, self.weight_decay, self.decayed = learning_rate, weight_decay, decayed
        self.beta1, self.beta2, self.epsilon = 0.9, 0.999, 1e-8
        self.step_count = 0
        self.moments = None

    def step(self, arrays, gradients):
        if self.moments is None:
            self.moments = [(np.zeros_like(a), np.zeros_like(a)) for a in arrays]
        self.step_count += 1
        decayed = self.decayed or [False] * len(arrays)
        updated = []
        for index, (a, g) in enumerate(zip(arrays, gradients, strict=True)):
            m, v = self.moments[index]
            m = self.beta1 * m + (1 - self.beta1) * g
            v = self.beta2 * v + (1 - self.beta2) * g**2
            self.moments[index] = m, v
            m_hat = m / (1 - self.beta1**self.step_count)
            v_hat = v / (1 - self.beta2**self.step_count)
            direction = m_hat / (np.sqrt(v_hat) + self.epsilon)
            if decayed[index]:
                direction = direction + self.weight_decay * a
            updated.append(a - self.learning_rate * direction)
        return updated
