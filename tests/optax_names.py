"""All optimizers and transformations of optax by name, and the loops that optax documents."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp


def filled(monitor):
    """An `optax.monitor` that has its measurements from the start, as docs/optimizers.md shows."""

    def init(params):
        first = monitor.init(params)
        return monitor.update(params, first, params)[1]._replace(
            measure_states=first.measure_states
        )

    return optax.GradientTransformationExtraArgs(init, monitor.update)


KERNEL_ONLY = {"kernel": True, "bias": False}
SGD = optax.sgd(0.1)
LABELS = {"kernel": "k", "bias": "b"}


def every_second(step, **_):
    return step % 2 == 0


def matrices(updates):
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), updates)


# What a name needs beyond a learning rate.
MADE = {
    "adaptive_grad_clip": lambda: optax.adaptive_grad_clip(0.1),
    "add_noise": lambda: optax.add_noise(0.1, 0.5, key=0),
    "apply_if_finite": lambda: optax.apply_if_finite(optax.polyak_sgd(0.5), 3),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.05)),
    "clip": lambda: optax.clip(0.1),
    "clip_by_block_rms": lambda: optax.clip_by_block_rms(0.1),
    "clip_by_global_norm": lambda: optax.clip_by_global_norm(0.1),
    "conditionally_mask": lambda: optax.conditionally_mask(SGD, every_second),
    "conditionally_transform": lambda: optax.conditionally_transform(SGD, every_second),
    "differentially_private_aggregate": lambda: optax.contrib.differentially_private_aggregate(
        1.0, 0.1, 0
    ),
    "dpsgd": lambda: optax.contrib.dpsgd(0.1, 1.0, 0.1, 0),
    "ema": lambda: optax.ema(0.9),
    "flatten": lambda: optax.flatten(optax.adam(0.05)),
    "freeze": lambda: optax.freeze(KERNEL_ONLY),
    "galore": lambda: optax.contrib.galore(0.05, rank=1, update_proj_gap=2),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.linear_schedule(0.1, 0.01, 8)
    ),
    "inject_stateful_hyperparams": lambda: optax.inject_stateful_hyperparams(optax.adam)(0.05),
    "lookahead": lambda: optax.lookahead(SGD, 3, 0.5),
    "masked": lambda: optax.masked(optax.adam(0.05), KERNEL_ONLY),
    "measure_with_ema": lambda: optax.measure_with_ema(optax.tree.norm, 0.9),
    "mechanize": lambda: optax.contrib.mechanize(optax.adam(0.05)),
    "monitor": lambda: optax.monitor({"norm": optax.tree.norm}),
    "multi_transform": lambda: optax.multi_transform(
        {"k": optax.adam(0.05), "b": optax.set_to_zero()}, LABELS
    ),
    "MultiSteps": lambda: optax.MultiSteps(optax.polyak_sgd(0.5), 2),
    "named_chain": lambda: optax.named_chain(("clip", optax.clip(0.5)), ("sgd", SGD)),
    "noisy_sgd": lambda: optax.noisy_sgd(0.05, key=0),
    "partition": lambda: optax.partition(
        {"k": optax.polyak_sgd(0.5), "b": optax.set_to_zero()}, LABELS
    ),
    # At larger rates its first steps, which nothing rectifies, go up and up.
    "radam": lambda: optax.radam(0.001),
    "reduce_on_plateau": lambda: optax.chain(
        SGD, optax.contrib.reduce_on_plateau(patience=2, rtol=0.5, factor=0.5)
    ),
    "sam": lambda: optax.contrib.sam(
        SGD, optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), opaque_mode=True
    ),
    "scale": lambda: optax.scale(-0.1),
    "scale_by_backtracking_linesearch": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10)
    ),
    "scale_by_galore": lambda: optax.contrib.scale_by_galore(rank=1, update_proj_gap=2),
    "scale_by_lbfgs": lambda: optax.chain(optax.scale_by_lbfgs(), optax.scale(-0.1)),
    "scale_by_learning_rate": lambda: optax.scale_by_learning_rate(0.1),
    "scale_by_muon": lambda: optax.masked(
        optax.contrib.scale_by_muon(weight_dimension_numbers=matrices), KERNEL_ONLY
    ),
    "scale_by_radam": lambda: optax.chain(optax.scale_by_radam(), optax.scale(-0.001)),
    "scale_by_schedule": lambda: optax.scale_by_schedule(optax.linear_schedule(-0.1, -0.01, 8)),
    "scale_by_zoom_linesearch": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_zoom_linesearch(10)
    ),
    "schedule_free": lambda: optax.contrib.schedule_free(optax.adam(0.05, b1=0.0), 0.05),
    "selective_transform": lambda: optax.selective_transform(SGD, freeze_mask=KERNEL_ONLY),
    "snapshot": lambda: optax.snapshot("norm", optax.tree.norm),
    "split_real_and_imaginary": lambda: optax.contrib.split_real_and_imaginary(optax.adam(0.05)),
    "stateless": lambda: optax.stateless(lambda grads, _: optax.tree.scale(-0.1, grads)),
    "stateless_with_tree_map": lambda: optax.stateless_with_tree_map(lambda g, p: -0.1 * (g + p)),
    "trace": lambda: optax.trace(0.9),
    "with_extra_args_support": lambda: optax.with_extra_args_support(SGD),
}
# Functions of optax that return none of these.
OTHERS = {
    *("matrix_inverse_pth_root", "schedule_free_eval_params", "sigmoid_binary_cross_entropy"),
    *("update_infinity_moment", "update_moment", "update_moment_per_elem_norm"),
}
# A step cannot train with these as they are; the message says why.
REFUSED = {
    "measure_with_ema": "must return an update for each parameter, in the structure",
    "monitor": "optax.monitor begins with a state that lacks its measurements",
    "differentially_private_aggregate": "differentially_private_aggregate, and dpsgd",
    "dpsgd": "differentially_private_aggregate, and dpsgd",
    "lookahead": r"optax.lookahead trains fast and slow parameters: params must be optax\.Look",
}
# What the loops of optax's documentation hand to `update`.
LINE_SEARCH = ("value", "grad", "value_fn")
ASKED = {
    **dict.fromkeys(
        ("apply_if_finite", "MultiSteps", "partition", "reduce_on_plateau"), ("value",)
    ),
    **dict.fromkeys(("momo", "momo_adam", "polyak_sgd", "scale_by_polyak"), ("value",)),
    **dict.fromkeys(("lbfgs", "scale_by_zoom_linesearch"), LINE_SEARCH),
    "scale_by_backtracking_linesearch": LINE_SEARCH,
    "sam": ("grad_fn",),
    **dict.fromkeys(("sophia", "hutchinson_estimator_diag_hessian"), ("obj_fn",)),
}


def names_in(module):
    """Names of all functions that return a transformation, or do not say what they return."""
    found = {}
    for name, function in vars(module).items():
        if inspect.isfunction(function) and not name.startswith("_"):
            returned = str(inspect.signature(function).return_annotation)
            if "GradientTransformation" in returned or "_empty" in returned:
                found[name] = function
    return found


FUNCTIONS = names_in(optax) | names_in(optax.contrib) | {"MultiSteps": optax.MultiSteps}
NAMES = sorted(FUNCTIONS.keys() - OTHERS)
WORKING = [name for name in NAMES if name not in REFUSED]


def make(name):
    """The optimizer of a name, of its defaults as far as it has them."""
    with warnings.catch_warnings():
        # Some have newer names.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _make(name)


def _make(name):
    if name in MADE:
        return MADE[name]()
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    needed = {p.name for p in parameters if p.default is p.empty}
    assert needed <= {"learning_rate"}, f"{name} needs {needed}: say in MADE what to give"
    return FUNCTIONS[name](**dict.fromkeys(needed, 0.05))


GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(12, 3)).astype(np.float32)
TARGETS = (X @ GENERATOR.normal(size=(3, 2)) + 0.5).astype(np.float32)
KEY = jax.random.key(0)
EPOCHS = 4


def params():
    return {"kernel": jnp.full((3, 2), 0.1), "bias": jnp.zeros(2)}


def loss_fn(params, batch, _):
    return jnp.mean((batch.x @ params["kernel"] + params["bias"] - batch.y) ** 2), {}


VALUE = jax.jit(lambda params, batch: loss_fn(params, batch, None)[0])
VALUE_AND_GRAD = jax.jit(jax.value_and_grad(lambda params, batch: loss_fn(params, batch, None)[0]))


def loader():
    """Two steps per epoch."""
    return jaxmlp.DataLoader(X, TARGETS, batch_size=6, shuffle=True)


def batches():
    data = loader()
    return [batch for _ in range(EPOCHS) for batch in data]


def train_by_optax(optimizer, asked, params=params):
    """Losses, and the last params and state, of the loop of optax's documentation."""

    # Not jitted, but for what is below: operations of one shape are compiled once for all names.
    def update(params, opt_state, batch):
        def value_fn(params):
            return VALUE(params, batch)

        value, grad = VALUE_AND_GRAD(params, batch)
        extra = {
            "value": value,
            "grad": grad,
            "value_fn": value_fn,
            "obj_fn": value_fn,
            "grad_fn": lambda params, _: jax.grad(value_fn)(params),
        }
        updates, opt_state = optimizer.update(
            grad, opt_state, params, **{name: extra[name] for name in asked}
        )
        return value, optax.apply_updates(params, updates), opt_state

    # Optax mixes dtypes.
    with jax.numpy_dtype_promotion("standard"):
        current, values = params(), []
        opt_state = optimizer.init(current)
        for batch in batches():
            value, current, opt_state = update(current, opt_state, batch)
            values.append(float(value))
    return values, current, opt_state


def train_by_step(optimizer):
    """The same of the training step of this library, and the number of traces of the loss."""
    traces = []

    def counting(*arguments):
        traces.append(1)
        return loss_fn(*arguments)

    step = jaxmlp.make_train_step(counting, optimizer)
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    values, counts = [], []
    for batch in batches():
        state, metrics = step(state, batch)
        values.append(float(metrics["loss"]))
        counts.append(len(traces))
    return values, state, counts
