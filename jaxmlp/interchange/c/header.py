"""Turns a network into one C99 header: constants, a function of one row, a test of itself."""

import re
import string
from pathlib import Path

import numpy as np

from ...checks import __version__, require_path
from ...network import MLPConfig, Params
from ...storage import write_atomically
from ..numpy_outputs import numpy_function
from ..operations import (
    Operations,
    Standardise,
    input_dtype,
    is_ensemble,
    member_operations,
    widened,
    with_types,
)
from .steps import Steps, c_array, c_number

# Rows that a header's test of itself computes.
_ROWS = 8
_TEMPLATE = string.Template("""\
/* $title.
 *
 * Written by jaxmlp $version. Include it in one C99 source file and link the library of <math.h>:
 *
 *     $signature;
 *
 * It allocates nothing and writes to nothing but its arguments and $stack bytes of the stack, so
 * that threads may call it at the same time. Its test of itself, on $rows recorded rows:
 *
 *     cc -std=c99 -D${upper}_SELF_TEST -x c $file -lm -o self_test && ./self_test
 */
#ifndef ${upper}_H
#define ${upper}_H

#include <math.h>
#include <stddef.h>

#define ${upper}_IN_FEATURES $in_features
#define ${upper}_OUT_FEATURES $out_features
$members
$arrays
$functions
static inline void ${name}_member(size_t member, const $real_in *x, $real_out *outputs) {
$locals
  size_t j;
$steps
}

$predict
$self_test
#endif
""")
_PREDICT = string.Template("""\
static inline $signature {
  ${name}_member(0, x, outputs);
}
""")
_PREDICT_MEMBERS = string.Template("""\
static inline $signature {
  $real_out all[${upper}_MEMBERS][${upper}_OUT_FEATURES];
  size_t m, j;
  for (m = 0; m < ${upper}_MEMBERS; m++) ${name}_member(m, x, all[m]);
  for (j = 0; j < ${upper}_OUT_FEATURES; j++) {
    $real_out sum = 0, squares = 0;
    for (m = 0; m < ${upper}_MEMBERS; m++) sum += all[m][j];
    mean[j] = sum / ${upper}_MEMBERS;
    for (m = 0; m < ${upper}_MEMBERS; m++) {
      squares += (all[m][j] - mean[j]) * (all[m][j] - mean[j]);
    }
    deviation[j] = $sqrt(squares / ${upper}_MEMBERS);
  }
}
""")
_SELF_TEST = string.Template("""\
#ifdef ${upper}_SELF_TEST
#include <stdio.h>

$arrays
/* Returns 0 if all outputs are within rounding of those recorded, computed in double; NAN stands
 * for what is not finite. */
int main(void) {
  int row, j, wrong = 0;
  for (row = 0; row < $rows; row++) {
    $real_out got[$count];
    ${name}_predict(${name}_rows[row], $results);
    for (j = 0; j < $count; j++) {
      const double a = (double)got[j], b = ${name}_wanted[row][j];
      const int is_close = a == b || fabs(a - b) <= $tolerance || (a - a != 0 && b != b);
      if (!is_close) printf("row %d, output %d: got %.17g, wanted %.17g\\n", row, j, a, b);
      wrong += !is_close;
    }
  }
  printf("$name: %d of %d outputs differ\\n", wrong, $rows * $count);
  return wrong != 0;
}
#endif
""")


def to_c(path: str | Path, config: MLPConfig, params: Params, *, name: str = "network") -> None:
    """Writes a network as one C99 header, which needs the standard library's <math.h> alone.

    Its `network_predict(x, outputs)` computes one row; of an ensemble, `network_predict(x, mean,
    deviation)` the mean of the members' outputs and their standard deviation over members. Numbers
    are float, or double where the network's are float64; 16-bit networks are computed in float,
    with the same parameters. Constants are hexadecimal, and so exact. Compiled with
    `-DNETWORK_SELF_TEST` it is a program that compares recorded rows.

    Args:
        path: The file, usually `*.h`; its directory exists.
        config: The network.
        params: Its parameters, or those of an ensemble with a leading member axis.
        name: What all names in the header begin with, a letter first; in capitals in macros.

    Raises:
        OSError: It could not be written.
        TypeError: `path` is no path, `config` no `MLPConfig`, `params` no `Params`, or `name` no
            text.
        ValueError: `params` are not those of `config`, an activation is a function of your own, or
            `name` is no name in C.

    Example:
        >>> import tempfile
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> path = Path(tempfile.mkdtemp()) / "digits.h"
        >>> to_c(path, config, params, name="digits")
        >>> "digits_predict(const float *x, float *outputs)" in path.read_text()
        True
    """
    require_path("path", path)
    if not isinstance(name, str):
        raise TypeError(f"name must be a text, as 'digits'; got {name!r}.")
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(
            f"name must be a name in C, letters, digits and _ with a letter first; got {name!r}."
        )
    members = tuple(map(widened, member_operations(config, params)))
    text = header_text(members, config, name, Path(path).name, joins=is_ensemble(params))
    write_atomically(path, [text.encode()], follow_links=True)


def header_text(
    members: tuple[Operations, ...], config: MLPConfig, name: str, file: str, *, joins: bool
) -> str:
    """Writes the header of one network, or of an ensemble whose members it joins.

    Args:
        members: Operations of each member, none in 16 bits.
        config: The network.
        name: What all names begin with.
        file: Name of the file, for its comment.
        joins: Whether outputs are the mean and the deviation of the members.
    """
    steps = Steps(name, members)
    lines = "\n".join(f"  {line}" for line in steps.lines())
    real_in, real_out = steps.real_in, steps.real
    results = f"{real_out} *mean, {real_out} *deviation" if joins else f"{real_out} *outputs"
    names = {"name": name, "upper": name.upper(), "real_in": real_in, "real_out": real_out}
    names["signature"] = f"void {name}_predict(const {real_in} *x, {results})"
    title = f"A multilayer perceptron of {config.in_features} inputs, {config.out_features} outputs"
    predict = _PREDICT_MEMBERS if joins else _PREDICT
    outputs = len(members) * config.out_features * (4 if real_out == "float" else 8)
    return _TEMPLATE.substitute(
        names,
        title=f"{title} and {len(members)} members" if joins else title,
        version=__version__,
        stack=steps.stack + (outputs if joins else 0),
        rows=_ROWS,
        file=file,
        in_features=config.in_features,
        out_features=config.out_features,
        members=f"#define {name.upper()}_MEMBERS {len(members)}\n" if joins else "",
        arrays="\n".join(steps.arrays),
        functions=steps.functions.text,
        locals=steps.locals,
        steps=lines,
        predict=predict.substitute(names, sqrt="sqrtf" if real_out == "float" else "sqrt"),
        self_test=_self_test(members, config, names, joins=joins),
    )


def _self_test(
    members: tuple[Operations, ...], config: MLPConfig, names: dict[str, str], *, joins: bool
) -> str:
    """Records rows, and outputs in double of what they are rounded to."""
    operations = members[0]
    draws = np.random.default_rng(0).normal(size=(_ROWS, config.in_features))
    if isinstance(operations[0], Standardise):
        draws = draws * operations[0].scale + operations[0].mean
    rows = draws.astype(input_dtype(operations))

    def outputs(dtype: str) -> np.ndarray:
        of_members = np.stack([numpy_function(each, dtype)(rows) for each in members])
        if not joins:
            return of_members[0]
        return np.concatenate([of_members.mean(axis=0), of_members.std(axis=0)], axis=-1)

    wanted, single = outputs("float64"), outputs("float32")
    types = {dtype for dtype, _ in with_types(operations)}
    if "float32" in types:
        # What single precision cannot hold is infinite or NaN, by the order of sums.
        wanted = np.where(np.isfinite(single), wanted, np.nan)
    # What rounding to single precision changes tells how much the network magnifies it.
    with np.errstate(invalid="ignore"):
        error = np.nan_to_num(np.abs(single - wanted), posinf=0).max()
    size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    eps = np.finfo("float32" if "float32" in types else "float64").eps
    tolerance = eps * (16 * error / np.finfo(np.float32).eps + 64 * size)
    count = wanted.shape[-1]
    arrays = [
        c_array(f"{names['name']}_rows", names["real_in"], list(rows)),
        c_array(f"{names['name']}_wanted", "double", list(wanted)),
    ]
    return _SELF_TEST.substitute(
        names,
        arrays="\n".join(arrays),
        rows=_ROWS,
        count=count,
        results=f"got, got + {count // 2}" if joins else "got",
        tolerance=c_number(tolerance, "double"),
    )
