"""The oracle of networks for tables: written from the papers, row by row in NumPy and float64."""

import numpy as np

ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
}


def smooth_clip(x):
    return x / np.sqrt(1 + (x / 3) ** 2)


def periodic(params, row):
    """Of one row, all features one after the other."""
    parts = []
    for x, frequency, phase, kernel, bias in zip(row, *params, strict=True):
        waves = np.cos(2 * np.pi * x * frequency + phase)
        parts += [*(kernel.T @ waves + bias), x]
    return np.array(parts)


def encoding(low, width, x):
    """Of one number, over the bins that are used; Gorishniy et al. 2022, equation 1."""
    used = [(a, a + w) for a, w in zip(low, width, strict=True) if w > 0]
    out = np.zeros(len(low))
    for place, (a, b) in enumerate(used):
        if x < a and place > 0:
            out[place] = 0
        elif x >= b and place < len(used) - 1:
            out[place] = 1
        else:
            out[place] = (x - a) / (b - a)
    return out


def piecewise_linear(params, row, bins):
    """Of one row, all features one after the other."""
    parts = []
    for x, low, width, *own in zip(row, *bins, *params, strict=True):
        weight, bias, kernel = own
        parts += [*(x * weight + bias + kernel.T @ encoding(low, width, x))]
    return np.array(parts)


def of_member(array, member, axes):
    """The part of a member, or all of what members share."""
    return array[member] if array.ndim > axes else array


def dense(layer, h, member, ntk):
    """Net inputs of one row and member."""
    if layer.input_scale is not None:
        h = layer.input_scale[member] * h
    z = of_member(layer.kernel, member, 2).T @ h
    if ntk:
        z = z / np.sqrt(len(h))
    if layer.output_scale is not None:
        z = layer.output_scale[member] * z
    return z + of_member(layer.bias, member, 1)


def forward(params, rows, config, bins=None):
    """Outputs of shape (rows, members, outputs)."""
    function = ACTIVATIONS[config.activation]
    outputs = []
    for numbers, columns, codes in zip(*rows, strict=True):
        numbers = smooth_clip(np.asarray(numbers, np.float64))
        if config.embedding == "periodic":
            numbers = periodic(params.embedding, numbers)
        elif config.embedding == "piecewise_linear":
            numbers = piecewise_linear(params.embedding, numbers, bins)
        tables = [table[code] for table, code in zip(params.categories, codes, strict=True)]
        first = np.concatenate([numbers, columns, *tables])
        if params.scale is not None:
            first = params.scale * first
        of_row = []
        for member in range(config.members):
            h = first
            for layer in params.hidden:
                z = dense(layer, h, member, config.ntk)
                slope = 1 if layer.slope is None else layer.slope
                h = z + slope * (function(z) - z)
            of_row.append(dense(params.output, h, member, config.ntk))
        outputs.append(of_row)
    return np.array(outputs)


class Adam:
    """Kingma & Ba 2015, algorithm 1; a factor and a decay per array, Loshchilov & Hutter 2019."""

    def __init__(self, beta_2, epsilon):
        self.beta_1, self.beta_2, self.epsilon = 0.9, beta_2, epsilon
        self.count, self.first, self.second = 0, 0.0, 0.0

    def step(self, p, gradient, rate, decay):
        self.count += 1
        self.first = self.beta_1 * self.first + (1 - self.beta_1) * gradient
        self.second = self.beta_2 * self.second + (1 - self.beta_2) * gradient**2
        mean = self.first / (1 - self.beta_1**self.count)
        square = self.second / (1 - self.beta_2**self.count)
        return p - rate * mean / (np.sqrt(square) + self.epsilon) - rate * decay * p
