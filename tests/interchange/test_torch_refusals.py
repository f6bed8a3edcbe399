"""Modules of PyTorch's that are no network here are refused by name, with what could be done."""

import subprocess
import sys

import numpy as np
import pytest

from jaxmlp.interchange import from_torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def chain(*modules, first=None):
    return nn.Sequential(first or nn.Linear(3, 4), *modules, nn.Linear(4, 2))


def shared():
    linear = nn.Linear(4, 4)
    return chain(linear, nn.ReLU(), linear)


def hooked():
    module = chain(nn.ReLU())
    module[1].register_forward_hook(lambda *each: 2 * each[-1])
    return module


def doubled():
    module = chain(nn.ReLU())
    module[1].forward = lambda z: 2 * z
    return module


def parametrised():
    return chain(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class DoubledCall(nn.Linear):
    def __call__(self, x):
        return 2 * super().__call__(x)


def converted(convert):
    linear = nn.Linear(4, 4)
    linear.weight = nn.Parameter(convert(linear.weight.detach()), requires_grad=False)
    return chain(linear)


CASES = {
    "a call": (
        lambda: chain(DoubledCall(4, 4)),
        r"'1', DoubledCall\(.*must compute what its forward does; got a __call__ of its own",
    ),
    "8 bits": (
        lambda: converted(lambda weight: weight.to(torch.float8_e4m3fn)),
        r"must have dense parameters of 16 bits or more; got torch.float8_e4m3fn.*torch.float32",
    ),
    "sparse weights": (
        lambda: converted(lambda weight: weight.to_sparse()),
        r"must have dense parameters .*; got torch.float32 of layout torch.sparse_coo.*to_dense",
    ),
    "batch norm": (
        lambda: chain(nn.BatchNorm1d(4), nn.ReLU()),
        r"module '1', BatchNorm1d\(.*must be one that a network here has.*got a BatchNorm1d\. In "
        r"eval mode .*fuse_linear_bn_eval",
    ),
    "a slope": (
        lambda: chain(nn.LeakyReLU(0.2)),
        r"module '1', LeakyReLU\(negative_slope=0.2\), must be LeakyReLU\(negative_slope=0.01\).*"
        "as a jaxmlp.Activation",
    ),
    "an alpha": (lambda: chain(nn.ELU(2.0)), r"'1', ELU\(alpha=2.0\), must be ELU\(alpha=1.0\)"),
    "limits": (
        lambda: chain(nn.Hardtanh(0, 1)),
        r"must be Hardtanh\(min_val=-1.0, max_val=1.0\) or Hardtanh\(min_val=0.0, max_val=6.0\)",
    ),
    "an axis": (lambda: chain(nn.Softmax(dim=0)), r"Softmax\(dim=0\), must be Softmax\(dim=-1"),
    "softmax within": (lambda: chain(nn.Softmax(dim=1)), r"\(module '1'\).* got 'softmax'"),
    "a beta": (lambda: chain(nn.Softplus(beta=2)), r"must be Softplus\(beta=1.0\)"),
    "a threshold for float64": (
        lambda: chain(nn.Softplus()).double(),
        r"'1', Softplus.* must have a threshold .* in float64, and at most 710; got "
        r"threshold=20.0\. Set module.threshold = 40.0",
    ),
    "a threshold that overflows": (
        lambda: chain(nn.Softplus(threshold=100)),
        "in float32, and at most 89; got threshold=100",
    ),
    "another activation": (lambda: chain(nn.PReLU()), r"'1', PReLU.* got a PReLU\. If its forward"),
    "logarithms": (lambda: chain(nn.LogSoftmax(dim=-1)), "Leave it out: losses here take logits"),
    "another dropout": (lambda: chain(nn.AlphaDropout(0.2)), "got a AlphaDropout"),
    "nothing left": (lambda: chain(nn.Dropout(1.0)), r"must keep some units; got p=1.0"),
    "a dropout of outputs": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2)),
        r"operation 1 \(module '1'\), a dropout of rate 0.2, .* Give dropout_rate=",
    ),
    "a convolution": (lambda: chain(first=nn.Conv1d(1, 4, 3)), r"module '0', Conv1d.*got a Conv1d"),
    "a bilinear layer": (lambda: chain(first=nn.Bilinear(1, 2, 4)), "got a Bilinear"),
    "flattened rows": (lambda: chain(first=nn.Flatten(0)), r"'0', Flatten\(start_dim=0.*a Flatten"),
    "two axes": (
        lambda: chain(nn.LayerNorm((2, 4))),
        r"'1', LayerNorm.* the features of a row; got normalized_shape=\(2, 4\)",
    ),
    "no epsilon in half": (
        lambda: chain(nn.RMSNorm(4)).half(),
        "must have an epsilon in float16; got eps=None. Set module.eps",
    ),
    "an order of other networks": (
        lambda: chain(nn.ReLU(), nn.LayerNorm(4)),
        r"operation 2 \(module '2'\), a norm 'layer' .* after operation 1 \(module '1'\)",
    ),
    "shared weights": (
        shared,
        r"parameter '3.weight' must be its module's alone; got those of '1.weight'.*deepcopy",
    ),
    "hooks": (hooked, r"'1', ReLU\(\), must have no hooks.*got \['_forward_hooks'\]\. Rem"),
    "a forward of its own": (doubled, r"'1', ReLU\(\), must compute what its class does; got a fo"),
    "a parametrisation": (
        parametrised,
        r"(?s)module '1', .* must have plain parameters; got parametrised \['weight'\]\. Call "
        r"torch.nn.utils.parametrize.remove_parametrizations\(module, 'weight'\)",
    ),
    "a subclass": (lambda: chain(Doubled(4, 4)), "module '1', Doubled.* got a .*Doubled"),
    "a lazy layer": (
        lambda: chain(nn.LazyLinear(4)),
        "must have parameters with numbers; got none yet. Call the module on rows once",
    ),
    "a layer without numbers": (
        lambda: nn.Linear(3, 4, device="meta"),
        "must have parameters with numbers; got none yet",
    ),
    "a module of the user's": (
        lambda: nn.Transformer(4, 2, 1, 1, 8),
        r"module, .*must be one that a network here has.*nn.Sequential\(\.\.\.\), with the same",
    ),
    "data parallel": (lambda: nn.DataParallel(chain()), r"Give what it holds: module.module"),
    "several types": (
        lambda: chain(nn.Linear(4, 4).half()),
        r"\(module '1'\), .* must have arrays of float32, .* got float16\. Convert the network",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning", "ignore:enable_nested:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_name(name):
    make, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        from_torch(make())


# PyTorch's own, as it imports its compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_compiled_is_told():
    with pytest.raises(ValueError, match=r"got a .*OptimizedModule\. .*module\._orig_mod"):
        from_torch(torch.compile(chain()))


@pytest.mark.bad_input
def test_a_state_without_its_module_is_refused():
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module; got a OrderedDict.*"):
        from_torch(chain().state_dict())


def test_remedies_make_it_a_network():
    module = chain(nn.BatchNorm1d(4), nn.Softplus()).double().eval()
    fused = torch.nn.utils.fusion.fuse_linear_bn_eval(module[0], module[1])
    network = nn.Sequential(fused, nn.Softplus(threshold=40.0), module[3]).float()
    assert from_torch(network)[0].activation == "softplus"
    plain = parametrised()
    torch.nn.utils.parametrize.remove_parametrizations(plain[1], "weight")
    assert from_torch(plain)[0].hidden_features == (4, 4)


def test_without_an_epsilon_it_is_that_of_the_type():
    torch.manual_seed(0)
    module = chain(nn.RMSNorm(4))
    config, _ = from_torch(module)
    assert config.norm_epsilon == np.finfo(np.float32).eps


def test_a_missing_package_is_named_with_its_extra():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from jaxmlp.interchange import from_torch\n"
        "try: from_torch(None)\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "needs torch for this, which is not installed; pip install 'jaxmlp[torch]'" in run.stdout
