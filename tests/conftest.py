"""Runs every test under strict dtype promotion and on two CPU devices."""

import gc
import os
import threading
from collections import defaultdict
from pathlib import Path

import jaxlib.version
import pytest
from cases import choose

# Programs of tests compile longer than they run; .ci/run has the tests of numbers run with what
# users have, too.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    # These compile in twice the time.
    + (" --xla_cpu_use_fusion_emitters=false" if jaxlib.version.__version_info__ < (0, 11) else ""),
)

# What former runs left on the disk changes nothing, and nothing is left there.
os.environ["JAXMLP_COMPILATION_CACHE"] = "off"

# Else it asks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Lowering takes a tenth of a suite to write down where each operation stands.
jax.config.update("jax_traceback_in_locations_limit", 0)

if jax.__version_info__ < (0, 12):
    # As JAX 0.12 does itself: one context of MLIR for ten programs of a thread, where making it
    # takes two thirds of the time of lowering a small one.
    from jax._src.interpreters import mlir

    _make_context, _of_thread = mlir.make_ir_context, threading.local()

    def make_ir_context():
        context, left = getattr(_of_thread, "made", (None, 0))
        if not left:
            context, left = _make_context(), 10
        _of_thread.made = context, left - 1
        return context

    mlir.make_ir_context = make_ir_context


def pytest_addoption(parser):
    parser.addoption(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="of a test's cases run about every Nth, and each value of several parameters",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    # Collections are then of what tests leave, and not of what the imports hold.
    gc.disable()
    collected = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    return collected


# Last, of what marks leave.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    # A process takes files in turn. Those outside of rooms take longest: they would be the last.
    items.sort(key=lambda item: len(item.path.parts))
    every = config.getoption("--every")
    if every > 1:
        tests = defaultdict(list)
        for item in items:
            tests[item.nodeid.partition("[")[0]].append(item)
        chosen = {name for cases in tests.values() for name in choose(cases, every)}
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]


MAPS = Path("/proc/self/maps")


@pytest.fixture(autouse=True, scope="module")
def _bounded_number_of_programs():
    """Drops compiled programs in time: each takes memory maps, of which Linux gives 65,530."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 12_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def x64():
    """Switches 64-bit types on for one test, for comparison with the float64 oracle."""
    with jax.enable_x64(True):
        yield
