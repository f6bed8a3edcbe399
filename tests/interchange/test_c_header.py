"""A network as one C header: two compilers, without a warning, give the oracle's numbers."""

import dataclasses
import shutil
import subprocess

import jax
import numpy as np
import pytest
from network_family import SIZE, family, params_of, rounding, wanted_outputs

import jaxmlp
from jaxmlp.interchange import numpy_functions, to_c
from jaxmlp.interchange.c.functions import Functions
from jaxmlp.interchange.c.header import header_text
from jaxmlp.interchange.c.steps import c_array, c_number
from jaxmlp.interchange.numpy_outputs import ALIASES, GATES, numpy_function
from jaxmlp.interchange.operations import input_dtype, member_operations, operations_of, widened
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS, activate

COMPILERS = [
    pytest.param(
        name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not there")
    )
    for name in ("gcc", "clang")
]
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
# Without the check of leaks, of which there can be none, and which needs to trace the process.
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CONFIG = jaxmlp.MLPConfig(
    in_features=6, hidden_features=(33, 33), out_features=5, activation="swiglu", norm="layer",
    residual=True, output_activation="softmax",
)  # fmt: skip
PARAMS = params_of(CONFIG, 0, standardised=True)
STACKED = jax.tree.map(lambda a: np.stack([a, a * 0.5, -a]), PARAMS)

EXTREMES = np.array(
    [0, 0.5, -0.5, 1, -1, 3, -3, 6, -6, 20, -20, 1e4, -1e4, 1e18, -1e18, np.nan, np.inf, -np.inf],
    np.float32,
)

# Reads rows of floats and writes outputs, both as bytes.
DRIVER = """
#include "network.h"
#include <stdio.h>
int main(void) {
  float x[NETWORK_IN_FEATURES], y[2 * NETWORK_OUT_FEATURES];
  while (fread(x, sizeof x, 1, stdin) == 1) {
    %s;
    fwrite(y, sizeof(float), %s * NETWORK_OUT_FEATURES, stdout);
  }
  return 0;
}
"""


def build(compiler, folder, *options, source="main.c"):
    command = [compiler, *STRICT, *options, source, "-lm", "-o", "main"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""


def run(folder, given=b""):
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    ran = subprocess.run([folder / "main"], input=given, capture_output=True, env=environment)
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()
    return ran.stdout


def printing(name, operations, config, x):
    """A function that prints a network's outputs of some rows."""
    real_in = "float" if input_dtype(operations) == "float32" else "double"
    real_out = "double" if config.param_dtype == "float64" else "float"
    return f"""
{c_array(f"{name}_rows", real_in, list(x))}
static void {name}_print(void) {{
  int row, j;
  for (row = 0; row < {len(x)}; row++) {{
    {real_out} y[{config.out_features}];
    {name}_predict({name}_rows[row], y);
    for (j = 0; j < {config.out_features}; j++) printf("%a ", (double)y[j]);
  }}
}}
"""


def check_outputs(compiler, folder, networks, *options):
    """Builds one program of many networks, whose outputs must equal the oracle's."""
    text, calls, wanted, atol = ["#include <stdio.h>"], [], [], []
    for net in networks:
        operations = widened(operations_of(net.config, net.params))
        name = f"n{net.number}"
        text.append(header_text((operations,), net.config, name, "main.c", joins=False))
        text.append(printing(name, operations, net.config, net.x))
        calls.append(f"  {name}_print();")
        outputs = wanted_outputs(net)
        wanted.append(outputs.ravel())
        atol.append(np.full(outputs.size, rounding(operations, net.x, outputs)))
    text.append("int main(void) {\n" + "\n".join(calls) + "\n  return 0;\n}\n")
    (folder / "main.c").write_text("\n".join(text))
    build(compiler, folder, *options)
    got = np.array([float.fromhex(number) for number in run(folder).decode().split()])
    assert (np.abs(got - np.concatenate(wanted)) <= np.concatenate(atol)).all()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("start", "stop"),
    [
        pytest.param(0, 200, marks=pytest.mark.long),
        pytest.param(200, SIZE, marks=pytest.mark.slow),
    ],
)
def test_outputs_of_the_family_equal_the_oracle(start, stop, compiler, tmp_path):
    # Programs of 600 networks take a minute and more to optimise, or to check by gcc.
    options = SANITIZED[1:] if compiler == "clang" else []
    check_outputs(compiler, tmp_path, family(start=start, stop=stop), "-O0", *options)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not there")
@pytest.mark.parametrize("start", range(0, SIZE, 50))
def test_sanitizers_of_gcc_find_nothing_in_the_family(start, tmp_path):
    """In pieces: `-m slow -n0 -k sanitizers_of_gcc` takes some ten minutes."""
    check_outputs("gcc", tmp_path, family(start=start, stop=start + 50), *SANITIZED)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_ten_thousand_rows_equal_those_in_float64(compiler, tmp_path):
    to_c(tmp_path / "network.h", CONFIG, PARAMS)
    (tmp_path / "main.c").write_text(DRIVER % ("network_predict(x, y)", 1))
    build(compiler, tmp_path, *SANITIZED)
    x = np.random.default_rng(1).normal(3, 5, size=(10_000, 6)).astype(np.float32)
    got = np.frombuffer(run(tmp_path, x.tobytes()), np.float32).reshape(10_000, 5)
    operations = operations_of(CONFIG, PARAMS)
    wanted = numpy_function(operations, "float64")(x)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=rounding(operations, x, wanted))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_ensemble_gives_the_mean_and_the_deviation_of_its_members(compiler, tmp_path):
    to_c(tmp_path / "network.h", CONFIG, STACKED)
    call = "network_predict(x, y, y + NETWORK_OUT_FEATURES)"
    (tmp_path / "main.c").write_text(DRIVER % (call, 2))
    build(compiler, tmp_path, *SANITIZED)
    x = np.random.default_rng(1).normal(3, 5, size=(100, 6)).astype(np.float32)
    got = np.frombuffer(run(tmp_path, x.tobytes()), np.float32).reshape(100, 2, 5)
    members = [numpy_function(each, "float64")(x) for each in member_operations(CONFIG, STACKED)]
    # Probabilities, rounded to float32 after norms that magnify a little.
    np.testing.assert_allclose(got[:, 0], np.mean(members, axis=0), rtol=0, atol=2e-5)
    np.testing.assert_allclose(got[:, 1], np.std(members, axis=0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("options", [["-O2"], ["-O3", "-march=native"], ["-O0"]], ids=" ".join)
@pytest.mark.parametrize("params", [PARAMS, STACKED], ids=["one", "ensemble"])
def test_the_test_in_the_header_passes(compiler, options, params, tmp_path):
    to_c(tmp_path / "net.h", CONFIG, params, name="digits")
    build(compiler, tmp_path, *options, "-DDIGITS_SELF_TEST", "-x", "c", source="net.h")
    assert run(tmp_path).endswith(b"outputs differ\n")


def self_test(compiler, folder, config, params, name="network"):
    """Builds the test in a header, and returns what it prints."""
    to_c(folder / "net.h", config, params, name=name)
    build(compiler, folder, f"-D{name.upper()}_SELF_TEST", "-x", "c", source="net.h")
    return run(folder).decode()


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ["REAL", "NAME", "exp", "float", "a"])
def test_any_name_makes_a_header_that_compiles(compiler, name, tmp_path):
    assert (
        self_test(compiler, tmp_path, CONFIG, PARAMS, name) == f"{name}: 0 of 40 outputs differ\n"
    )


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("epsilon", [1e-50, 1e300])
def test_an_epsilon_beyond_the_type_is_0_or_infinite_as_in_jax(compiler, epsilon, tmp_path):
    config = dataclasses.replace(CONFIG, norm_epsilon=epsilon)
    assert self_test(compiler, tmp_path, config, PARAMS) == "network: 0 of 40 outputs differ\n"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_outputs_that_overflow_pass_the_test_in_the_header(compiler, tmp_path):
    config = jaxmlp.MLPConfig(in_features=3, hidden_features=(4, 4, 4), out_features=2)
    large = jax.tree.map(lambda a: a * np.float32(1e15), params_of(config, 0))
    assert self_test(compiler, tmp_path, config, large) == "network: 0 of 16 outputs differ\n"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_test_in_the_header_can_fail(compiler, tmp_path):
    config = jaxmlp.MLPConfig(in_features=2, out_features=2)
    to_c(tmp_path / "net.h", config, params_of(config, 0))
    text = (tmp_path / "net.h").read_text()
    (tmp_path / "net.h").write_text(text.replace("z[j] = bias[j]", "z[j] = bias[j] * 1.001f"))
    build(compiler, tmp_path, "-DNETWORK_SELF_TEST", "-x", "c", source="net.h")
    ran = subprocess.run([tmp_path / "main"], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "16 of 16 outputs differ" in ran.stdout


@pytest.mark.parametrize("compiler", COMPILERS)
def test_functions_of_extreme_numbers_are_those_of_numpy(compiler, tmp_path):
    functions, calls = Functions("f"), []
    values = c_array("values", "float", [EXTREMES])
    names = (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)
    for name in names:
        function = functions.activation(name, "float")
        calls.append(f'for (j = 0; j < {len(EXTREMES)}; j++) printf("%a ", {function}(v[j]));')
    text = f"#include <math.h>\n#include <stdio.h>\n{functions.text}\n{values}"
    main = "int main(void) { const float *v = values[0]; int j;\n" + "\n".join(calls)
    (tmp_path / "main.c").write_text(text + main + "\nreturn 0; }\n")
    build(compiler, tmp_path, *SANITIZED)
    got = np.array([float.fromhex(number) for number in run(tmp_path).decode().split()])
    with np.errstate(all="ignore"):
        chosen = [getattr(numpy_functions, GATES.get(n, ALIASES.get(n, n))) for n in names]
        wanted = np.concatenate([function(EXTREMES) for function in chosen])
    # Two libraries' functions in float32; 1 + tanh cancels in gelu.
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE_ACTIVATIONS)
def test_functions_of_extreme_numbers_are_those_of_jax(name):
    with np.errstate(all="ignore"):
        got = getattr(numpy_functions, ALIASES.get(name, name))(EXTREMES)
    assert got.dtype == np.float32
    wanted = np.asarray(activate(name, jax.numpy.asarray(EXTREMES)))
    # XLA's functions in float32; 1 + tanh cancels in gelu.
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_written_exactly(dtype):
    draws = np.random.default_rng(0).normal(size=100)
    limits = np.finfo(dtype)
    cases = [0.0, -0.0, 1.0, limits.max, limits.tiny, limits.smallest_subnormal, *draws]
    for value in np.array(cases, dtype):
        text = c_number(float(value), "double")
        assert dtype(float.fromhex(text)).tobytes() == value.tobytes()


def test_numbers_that_are_not_finite_have_their_names():
    names = [c_number(value, "float") for value in (np.nan, np.inf, -np.inf)]
    assert names == ["NAN", "INFINITY", "-INFINITY"]


@pytest.mark.parametrize("name", ["", "3d", "_net", "my-net", "né", "a b"])
def test_what_is_no_name_in_c_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"name must be a name in C, .*; got {name!r}"):
        to_c(tmp_path / "net.h", CONFIG, PARAMS, name=name)


@pytest.mark.bad_input
def test_wrong_types_are_named(tmp_path):
    with pytest.raises(TypeError, match="path must be a path"):
        to_c(3, CONFIG, PARAMS)
    with pytest.raises(TypeError, match="name must be a text, as 'digits'; got 3"):
        to_c(tmp_path / "net.h", CONFIG, PARAMS, name=3)
