"""The state of a hand-written loop is saved and read bit for bit, or refused with the reason."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from fits import CONFIG, KEY, LOSS, OPTIMIZER, PARAMS, assert_same, make_loader

import jaxmlp
from jaxmlp import CheckpointError, init_state, load_state, make_train_step, save_state
from jaxmlp.storage import container
from jaxmlp.storage.headers import write_header


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)), np.asarray(jax.random.key_data(leaf)).tobytes()
    return leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()


def assert_same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert [*map(bits, jax.tree.leaves(one))] == [*map(bits, jax.tree.leaves(other))]


def random_state(dtype, impl="threefry2x32"):
    """Every bit pattern can come: NaNs with payloads, infinities, subnormal numbers."""
    generator = np.random.default_rng(0)
    size = jnp.dtype(dtype).itemsize
    kernel = generator.integers(0, 256, (6, 5 * size), np.uint8).view(jnp.dtype(dtype))
    params = {"kernel": jnp.asarray(kernel), "layers": [jnp.ones((), dtype), jnp.zeros((0, 2))]}
    return init_state(params, optax.adam(0.1), key=jax.random.key(7, impl=impl))


@functools.cache
def step():
    return make_train_step(LOSS, OPTIMIZER)


def trained(state, batches):
    for batch in batches:
        state, metrics = step()(state, batch)
    return state, metrics


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
    def test_every_bit_comes_back(self, path, dtype):
        state = random_state(dtype)
        save_state(path, state)
        assert_same_bits(load_state(path, jax.tree.map(jnp.zeros_like, state)), state)

    def test_float64_too(self, path, x64):
        del x64
        state = random_state("float64")
        save_state(path, state)
        assert_same_bits(load_state(path, state), state)

    @pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
    def test_every_kind_of_key_comes_back(self, path, impl):
        state = random_state("float32", impl)
        save_state(path, state)
        assert_same_bits(load_state(path, state), state)

    def test_shapes_alone_say_what_is_wanted(self, path):
        state = random_state("bfloat16")
        save_state(path, state)
        shapes = jax.eval_shape(lambda: random_state("bfloat16"))
        assert_same_bits(load_state(path, shapes), state)

    def test_arrays_come_back_to_the_devices_of_like(self, path):
        state = random_state("float32")
        save_state(path, state)
        there = jax.device_put(state, jax.devices()[1])
        loaded = load_state(path, there)
        assert {leaf.device for leaf in jax.tree.leaves(loaded)} == {jax.devices()[1]}
        assert_same_bits(jax.device_put(loaded, jax.devices()[0]), state)

    def test_other_programs_read_the_arrays_by_their_paths(self, path):
        state = random_state("float32")
        save_state(path, state)
        arrays = safetensors.numpy.load_file(path)
        np.testing.assert_array_equal(
            arrays["params.'kernel'"].view(np.uint32),
            np.asarray(state.params["kernel"]).view(np.uint32),
        )
        assert {"step", "key#threefry2x32", "opt_state.0.mu.'kernel'"} <= arrays.keys()


@pytest.mark.parametrize("steps", [1, 4, 5, 8])
def test_a_loop_that_goes_on_from_a_file_gives_the_numbers_of_one_that_was_not_stopped(path, steps):
    def batches():
        loader = make_loader()
        return [*loader, *loader]

    expected = trained(init_state(PARAMS, OPTIMIZER, key=KEY), batches())
    stopped, _ = trained(init_state(PARAMS, OPTIMIZER, key=KEY), batches()[:steps])
    save_state(path, stopped)
    like = init_state(jax.tree.map(jnp.zeros_like, PARAMS), OPTIMIZER, key=jax.random.key(9))
    assert_same(trained(load_state(path, like), batches()[steps:]), expected)


def test_going_on_compiles_nothing_anew(path):
    traces = []

    def counting(*args):
        traces.append(1)
        return LOSS(*args)

    train_step = make_train_step(counting, OPTIMIZER)
    batch = next(iter(make_loader()))
    state, _ = train_step(init_state(PARAMS, OPTIMIZER, key=KEY), batch)
    save_state(path, state)
    before = len(traces)
    train_step(load_state(path, state), batch)
    assert len(traces) == before


def test_the_state_of_fit_can_be_saved(path):
    x, y = make_loader().x, make_loader().y
    result = jaxmlp.fit(
        LOSS, OPTIMIZER, PARAMS, jaxmlp.DataLoader(x, y, batch_size=25), epochs=1, key=KEY
    )
    save_state(path, result.state)
    assert_same(load_state(path, init_state(PARAMS, OPTIMIZER, key=KEY)), result.state)


class TestRefusals:
    @pytest.fixture
    def saved(self, path):
        save_state(path, init_state(PARAMS, OPTIMIZER, key=KEY))
        return path

    def test_another_network_is_named_by_its_paths(self, saved):
        config = jaxmlp.MLPConfig(
            in_features=CONFIG.in_features, hidden_features=(9,), out_features=CONFIG.out_features
        )
        params = jaxmlp.init_params(config, key=KEY)
        message = (
            r"another network or optimizer.* params\.hidden\.0\.kernel must have shape \(4, 9\)"
        )
        with pytest.raises(CheckpointError, match=message):
            load_state(saved, init_state(params, OPTIMIZER, key=KEY))

    def test_another_optimizer_is_named_by_its_paths(self, saved):
        like = init_state(PARAMS, optax.sgd(0.1, momentum=0.9), key=KEY)
        message = (
            r"opt_state\.0\.mu\.output\.kernel is not expected.*0\.trace\.output\.kernel is missing"
        )
        with pytest.raises(CheckpointError, match=message):
            load_state(saved, like)

    def test_another_kind_of_key_is_told(self, saved):
        like = init_state(PARAMS, OPTIMIZER, key=jax.random.key(0, impl="rbg"))
        message = r"key of the kind 'threefry2x32', but that of like is 'rbg'; make it with jax\.r"
        with pytest.raises(CheckpointError, match=message):
            load_state(saved, like)

    def test_another_type_of_numbers_is_named(self, saved):
        half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), PARAMS)
        with pytest.raises(
            CheckpointError, match=r"must have .* type bfloat16, but has .* float32"
        ):
            load_state(saved, init_state(half, OPTIMIZER, key=KEY))

    def test_a_network_is_no_state(self, path):
        jaxmlp.save(path, CONFIG, PARAMS)
        with pytest.raises(CheckpointError, match=r"is no file of save_state\. A network is read"):
            load_state(path, init_state(PARAMS, OPTIMIZER, key=KEY))

    def test_arrays_without_checksums_are_no_state(self, saved):
        arrays = safetensors.numpy.load_file(saved)
        safetensors.numpy.save_file(arrays, saved, {"jaxmlp.state": "1"})
        with pytest.raises(CheckpointError, match="is no file of save_state"):
            load_state(saved, init_state(PARAMS, OPTIMIZER, key=KEY))

    def test_any_flipped_bit_of_an_array_is_found(self, saved):
        content = bytearray(saved.read_bytes())
        start = 8 + int.from_bytes(content[:8], "little")
        like = init_state(PARAMS, OPTIMIZER, key=KEY)
        for bit in np.random.default_rng(0).integers(8 * start, 8 * len(content), 200).tolist():
            content[bit // 8] ^= 1 << bit % 8
            saved.write_bytes(content)
            with pytest.raises(CheckpointError, match="is damaged: its checksum differs"):
                load_state(saved, like)
            content[bit // 8] ^= 1 << bit % 8

    def test_a_sparse_file_is_refused_before_memory_is_taken(self, saved):
        described = container.read(saved)
        size = int.from_bytes(saved.read_bytes()[:8], "little")
        fields = json.loads(saved.read_bytes()[8 : 8 + size])
        assert "__metadata__" in fields
        huge = jax.ShapeDtypeStruct((1 << 40,), np.float32)
        from jaxmlp.storage.headers import lay_out

        entries = lay_out({**described.arrays, "params.output.bias": huge})
        names = [entry.name for entry in entries]
        with open(saved, "wb") as file:
            file.write(write_header(entries, dict.fromkeys(names, "0" * 64), described.metadata))
            file.truncate(file.tell() + entries[-1].end)
        with pytest.raises(CheckpointError, match=r"params\.output\.bias must have shape \(3,\)"):
            load_state(saved, init_state(PARAMS, OPTIMIZER, key=KEY))

    def test_params_whose_paths_have_no_name_are_told_and_nothing_is_written(self, path):
        state = init_state({("w", 1): jnp.ones(2)}, optax.sgd(0.1), key=KEY)
        with pytest.raises(TypeError, match=r"dict keys that are str or int; got .*\('w', 1\)"):
            save_state(path, state)
        assert not path.exists()

    @pytest.mark.bad_input
    @pytest.mark.parametrize("state", [PARAMS, None, {"params": 1}])
    def test_anything_but_a_train_state_is_refused(self, path, state):
        with pytest.raises(TypeError, match=r"save_state takes \(path, state\), a TrainState seco"):
            save_state(path, state)
        with pytest.raises(TypeError, match=r"load_state takes \(path, like\), a TrainState secon"):
            load_state(path, state)

    def test_a_file_that_is_not_there_is_told(self, path):
        with pytest.raises(FileNotFoundError, match="No such file"):
            load_state(path, init_state(PARAMS, OPTIMIZER, key=KEY))

    def test_64_bit_states_need_64_bit_types(self, path):
        with jax.enable_x64(True):
            state = random_state("float64")
            save_state(path, state)
            shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state)
        with pytest.raises(ValueError, match="jax_enable_x64"):
            load_state(path, shapes)
