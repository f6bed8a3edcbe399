"""What networks of ours do and `torch.nn` has no module for, as modules of PyTorch's.

`to_torch` puts them into its `nn.Sequential`. The file imports PyTorch, and is itself imported when
PyTorch is first needed.
"""

from collections.abc import Callable
from typing import Any

from ..partners import import_partner

torch: Any = import_partner("torch", "torch")
nn: Any = torch.nn


def _sparse_plus(z: Any) -> Any:
    inside = torch.square(z + 1) / 4
    return torch.where(z <= -1, 0.0, torch.where(z >= 1, z, inside)).to(z.dtype)


def _sparse_sigmoid(z: Any) -> Any:
    return 0.5 * torch.clamp(z + 1, 0, 2)


def _squareplus(z: Any) -> Any:
    return (z + torch.sqrt(torch.square(z) + 4)) / 2


def _gelu(z: Any) -> Any:
    return nn.functional.gelu(z, approximate="tanh")


_ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
}
_GATES: dict[str, Callable[[Any], Any]] = {
    "geglu": _gelu,
    "reglu": torch.relu,
    "swiglu": nn.functional.silu,
}


class Elementwise(nn.Module):
    """An activation that `torch.nn` lacks: "sparse_plus", "sparse_sigmoid" or "squareplus"."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, z: Any) -> Any:
        """Computes the activation."""
        return _ELEMENTWISE[self.name](z)

    def extra_repr(self) -> str:
        """Returns what is shown between the brackets."""
        return repr(self.name)


class Gate(nn.Module):
    """`value * f(gate)` of the first and second half of the features; see `torch.nn.GLU`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, z: Any) -> Any:
        """Computes the activations, half as many as there are features."""
        value, gate = z.chunk(2, dim=-1)
        return value * _GATES[self.name](gate)

    def extra_repr(self) -> str:
        """Returns what is shown between the brackets."""
        return repr(self.name)


class Residual(nn.Sequential):
    """A hidden layer whose input is added to what it computes."""

    def forward(self, h: Any) -> Any:
        """Computes `h + layer(h)`."""
        return h + super().forward(h)


class Standardise(nn.Module):
    """`(x - mean) / scale` by feature, in the type of the statistics, which are not trained."""

    def __init__(self, mean: Any, scale: Any) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Any) -> Any:
        """Standardises rows."""
        return ((x - self.mean) / self.scale).to(self.mean.dtype)


class Cast(nn.Module):
    """Rounds, or widens, to a type."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, h: Any) -> Any:
        """Converts to the type."""
        return h.to(getattr(torch, self.dtype))

    def extra_repr(self) -> str:
        """Returns what is shown between the brackets."""
        return repr(self.dtype)


class MixedLinear(nn.Linear):
    """`nn.Linear` in the type of its input, whatever that of its parameters."""

    def forward(self, h: Any) -> Any:
        """Computes net inputs."""
        bias = None if self.bias is None else self.bias.to(h.dtype)
        return nn.functional.linear(h, self.weight.to(h.dtype), bias)


class MixedLayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` in at least float32, and back to the type of its input."""

    def forward(self, z: Any) -> Any:
        """Normalises net inputs."""
        wide = torch.promote_types(z.dtype, torch.float32)
        bias = None if self.bias is None else self.bias.to(wide)
        unit = nn.functional.layer_norm(
            z.to(wide), self.normalized_shape, self.weight.to(wide), bias, self.eps
        )
        return unit.to(z.dtype)


class MixedRMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` in at least float32, and back to the type of its input."""

    def forward(self, z: Any) -> Any:
        """Normalises net inputs."""
        wide = torch.promote_types(z.dtype, torch.float32)
        weight = self.weight.to(wide)
        unit = nn.functional.rms_norm(z.to(wide), self.normalized_shape, weight, self.eps)
        return unit.to(z.dtype)
