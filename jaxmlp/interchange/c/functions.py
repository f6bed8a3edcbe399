"""Turns names of activations into C99 functions of one number, in float or in double."""

import re

from ..numpy_outputs import ALIASES, GATES

# What each returns for z. `@name` is one of these functions, `~name` one of <math.h>, and `#` ends
# a number in the type. NaN goes through each.
_RETURNS = {
    "identity": "z",
    "relu": "z < 0 ? 0 : z",
    "relu6": "z < 0 ? 0 : z > 6 ? 6 : z",
    "leaky_relu": "z > 0 ? z : 0.01# * z",
    "elu": "z > 0 ? z : ~expm1(z)",
    "selu": "1.0507009873554805# * (z > 0 ? z : 1.6732632423543772# * ~expm1(z))",
    "sigmoid": "1 / (1 + ~exp(-z))",
    "softplus": "(z < 0 ? 0 : z) + ~log1p(~exp(-~fabs(z)))",
    "log_sigmoid": "-@softplus(-z)",
    "silu": "z * @sigmoid(z)",
    "mish": "z * ~tanh(@softplus(z))",
    "gelu": "0.5# * z * (1 + ~tanh(0.7978845608028654# * (z + 0.044715# * z * z * z)))",
    "gelu_exact": "0.5# * z * ~erfc(-0.7071067811865476# * z)",
    "hard_sigmoid": "@relu6(z + 3) / 6",
    "hard_silu": "z * @hard_sigmoid(z)",
    "hard_tanh": "z < -1 ? -1 : z > 1 ? 1 : z",
    "soft_sign": "z / (1 + ~fabs(z))",
    "sparse_plus": "z < -1 ? 0 : z > 1 ? z : (z + 1) * (z + 1) / 4",
    "sparse_sigmoid": "z < -1 ? 0 : z > 1 ? 1 : (z + 1) / 2",
    "squareplus": "0.5# * (z + ~sqrt(z * z + 4))",
    "tanh": "~tanh(z)",
}
# Over a row h of n numbers, in place. A scale or bias may be NULL.
_OF_ROWS = {
    "softmax": """\
static inline void NAME(size_t n, REAL *h) {
  REAL top = h[0], sum = 0;
  size_t j;
  for (j = 1; j < n; j++) top = h[j] < top ? top : h[j];
  for (j = 0; j < n; j++) sum += h[j] = ~exp(h[j] - top);
  for (j = 0; j < n; j++) h[j] /= sum;
}
""",
    "norm": """\
static inline void NAME(
    int centres, size_t n, REAL epsilon, const REAL *scale, const REAL *bias, REAL *h) {
  REAL mean = 0, square = 0, factor;
  size_t j;
  if (centres) {
    for (j = 0; j < n; j++) mean += h[j];
    mean /= (REAL)n;
  }
  for (j = 0; j < n; j++) h[j] -= mean;
  for (j = 0; j < n; j++) square += h[j] * h[j];
  factor = 1 / ~sqrt(square / (REAL)n + epsilon);
  for (j = 0; j < n; j++) h[j] = h[j] * factor * (scale ? scale[j] : 1) + (bias ? bias[j] : 0);
}
""",
}


class Functions:
    """The functions that a header needs, in the order in which they are defined.

    Args:
        prefix: What the names of all begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._sources: dict[str, str] = {}

    @property
    def text(self) -> str:
        """All definitions."""
        return "\n".join(self._sources.values())

    def activation(self, name: str, real: str) -> str:
        """Returns the name of the function of one number for an activation or a gate.

        Args:
            name: An elementwise or gated activation.
            real: "float" or "double".
        """
        name = GATES.get(name, ALIASES.get(name, name))
        full = f"{self._prefix}_{name}_{real}"
        if full not in self._sources:
            text = re.sub(r"@(\w+)", lambda m: self.activation(m[1], real), _RETURNS[name])
            source = f"static inline {real} {full}({real} z) {{\n  return {text};\n}}\n"
            self._sources[full] = _typed(source, real)
        return full

    def of_rows(self, name: str, real: str) -> str:
        """Returns the name of the function of a row: "softmax" or "norm"."""
        full = f"{self._prefix}_{name}_{real}"
        # The name, which may be any, last.
        source = _OF_ROWS[name].replace("REAL", real).replace("NAME", full)
        self._sources[full] = _typed(source, real)
        return full

    def dense(self, fan_in: int, fan_out: int, real: str, *, has_bias: bool) -> str:
        """Returns the name of the function of a dense layer.

        Four inputs at once: each is a multiple of a row of the kernel, and sums over outputs that
        lie side by side are what compilers vectorise, with bounds that they know, at any level.
        """
        full = f"{self._prefix}_{'dense' if has_bias else 'product'}_{fan_in}_{fan_out}_{real}"
        last = fan_in - fan_in % 4
        outputs = f"for (j = 0; j < {fan_out}; j++)"
        four = " + ".join(f"x[i + {k}] * row[j + {k * fan_out}]" for k in range(4))
        rest = [
            f"  {outputs} z[j] += x[{i}] * kernel[j + {i * fan_out}];\n"
            for i in range(last, fan_in)
        ]
        blocks = f"""\
  for (i = 0; i < {last}; i += 4) {{
    const {real} *const row = kernel + {fan_out} * i;
    {outputs} {{
      z[j] += {four};
    }}
  }}
"""
        given = f"const {real} *restrict bias, " if has_bias else ""
        self._sources[full] = f"""\
static inline void {full}(
    const {real} *restrict kernel, {given}
    const {real} *restrict x, {real} *restrict z) {{
  size_t {"i, j" if last else "j"};
  {outputs} z[j] = {"bias[j]" if has_bias else "0"};
{blocks if last else ""}{"".join(rest)}}}
"""
        return full


def _typed(text: str, real: str) -> str:
    suffix = "f" if real == "float" else ""
    return re.sub(r"~(\w+)", rf"\1{suffix}", text).replace("#", suffix)
