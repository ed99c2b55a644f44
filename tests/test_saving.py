"""Models in files: the same model comes back, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import lambent as lb
from lambent import saving

pytest.importorskip("safetensors")


def events(units=6, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return lb.Events.from_dense((torch.rand(3, 40, units, generator=g) < 0.3).int(), 1.0, dtype=dtype)


def hybrid():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 6), nn.Sigmoid(),
        lb.encode.Encoder(lb.encode.population, duration=60.0, t_late=50.0, fields=4),
        lb.LIF(24, 8, recurrent=True, bias=True, tau_mem=torch.linspace(5, 20, 8), min_slope=0.2),
        lb.LIReadout(8, 5, reduce="max", tau_syn=3.0), nn.Dropout(0.2), nn.LayerNorm(5), nn.Linear(5, 2),
    )  # fmt: skip


LAYERS = {
    "LIF": lambda: lb.LIF(6, 5, delay=torch.rand(6, 5) * 9, threshold=0.5),
    "LIF, all": lambda: lb.LIF(
        6, 5, recurrent=True, delay=1.0, recurrent_delay=2.0, bias=0.1, reset="subtract", dt=0.5, max_delay=7.0
    ),
    "LIF, continuous": lambda: lb.LIF(6, 5, bias=True, dt=None),
    "Spiking": lambda: lb.Spiking(
        lb.neurons.LIF(tau_syn=3.0, reset="subtract"),
        lb.connections.Sparse(6, 5, density=0.5, delay=1.0),
        recurrent=lb.connections.Dense(5, 5, delay=2.0),
    ),
    "sparse recurrence": lambda: lb.Spiking(
        lb.neurons.LIF(), lb.connections.Dense(6, 5), recurrent=lb.connections.Sparse(5, 5, density=0.4)
    ),
    "convolution": lambda: lb.Spiking(
        lb.neurons.LIF(), lb.connections.Conv2d((1, 2, 3), 2, (2, 1), padding=(0, 1), delay=1.0)
    ),
    "signal and pool": lambda: lb.Spiking(
        lb.neurons.LIF(),
        lb.connections.Conv1d((2, 3), 2, 3, padding=1, groups=2),
        recurrent=lb.connections.AvgPool2d((2, 1, 3), (1, 3), 1, (0, 1)),
    ),
    "LIReadout": lambda: lb.LIReadout(6, 5, reduce="none", dt=0.5),
    "LIReadout, counts": lambda: lb.LIReadout(6, 5, count_gradient=1.0),
    "LI": lambda: lb.LI(6, 5, tau_mem=3.0, dt=0.5),
    "Sequential": lambda: nn.Sequential(lb.LIF(6, 5), nn.Sequential(lb.LIF(5, 4)), lb.LIReadout(4, 3)),
}


def tensors(out):
    return [out] if isinstance(out, torch.Tensor) else [out.times, out.units, out.offsets]


def assert_same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert value.dtype is theirs[name].dtype
        assert torch.equal(value, theirs[name]), name
    trained = [{n: p.requires_grad for n, p in x.named_parameters()} for x in (one, other)]
    assert trained[0] == trained[1]
    assert repr(one) == repr(other)
    assert [m.training for m in one.modules()] == [m.training for m in other.modules()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_come_back(tmp_path, name, dtype):
    torch.manual_seed(0)
    model = LAYERS[name]().to(dtype)
    for part in model.modules():
        if hasattr(part, "tau_mem"):
            part.tau_mem.requires_grad_()
            part.weight.requires_grad_(False)
    before = torch.get_rng_state()
    lb.save(model, tmp_path / "a.safetensors")
    again = lb.load(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(model, again)
    x = events(dtype=dtype)
    for one, other in zip(tensors(model(x)), tensors(again(x)), strict=True):
        assert torch.equal(one, other)
    lb.save(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_hybrid_comes_back_and_trains_on(tmp_path):
    torch.manual_seed(0)
    model, x = hybrid(), torch.rand(4, 1, 8, 8)
    model[6].tau_syn.requires_grad_()
    list(model.parameters())
    model[6].tau_syn.requires_grad_(False)  # a parameter still
    model(x)  # moves the running means
    model.eval()
    model[8].train()
    lb.save(model, tmp_path / "a.safetensors")
    again = lb.load(tmp_path / "a.safetensors")
    assert_same(model, again)
    for each in (model, again):
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(each.parameters(), 0.1)
        each(x).pow(2).sum().backward()
        optimizer.step()
    assert_same(model, again)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(2, 3, bias=False), nn.Conv1d(2, 4, 3, padding="same", groups=2), nn.Conv2d(1, 2, (3, 2), dilation=2),
        nn.Conv3d(1, 2, 3, padding_mode="circular"), nn.BatchNorm1d(3, affine=False), nn.BatchNorm2d(3, momentum=None),
        nn.LayerNorm((2, 3), bias=False), nn.GroupNorm(2, 4), nn.Dropout(0.3), nn.Flatten(2), nn.Unflatten(1, (2, 3)),
        nn.Identity(), nn.MaxPool1d(2), nn.MaxPool2d((2, 3), stride=1), nn.AvgPool1d(2), nn.AvgPool2d(2, padding=1),
        nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.GELU("tanh"), nn.SiLU(), nn.Sigmoid(), nn.Tanh(),
        nn.Hardsigmoid(), nn.Softplus(2.0), nn.Softmax(1), nn.LogSoftmax(-1),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_modules_of_torch_come_back(tmp_path, module):
    assert type(module) in saving._PLAIN
    lb.save(nn.Sequential(module), tmp_path / "a.safetensors")
    again = lb.load(tmp_path / "a.safetensors")
    assert_same(nn.Sequential(module), again)
    for name in ("eps", "momentum", "padding_mode", "affine", "p", "start_dim"):
        assert getattr(module, name, None) == getattr(again[0], name, None)


class Net(nn.Module):
    """A model of its user's own."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = lb.LIF(6, 5), lb.LIReadout(5, 2)

    def forward(self, x):
        return self.out(self.hidden(x))


def test_values_of_any_model(tmp_path):
    path, model, other = tmp_path / "a.safetensors", Net(), Net()
    lb.save(model.state_dict(), path)
    assert lb.load(path, into=other) is other
    assert torch.equal(other(events()), model(events()))
    assert load_file(path).keys() == model.state_dict().keys()
    with pytest.raises(ValueError, match=r"a\.safetensors: holds values and no model; lb.load\(path, into=model\)"):
        lb.load(path)
    with pytest.raises(ValueError, match=r"(?s)a\.safetensors: holds other values than the model: .*hidden\.weight"):
        lb.load(path, into=nn.Sequential(lb.LIF(6, 5)))
    lb.save(nn.Sequential(lb.LIF(6, 5)), path)
    assert_same(lb.load(path, into=nn.Sequential(lb.LIF(6, 5))), lb.load(path))


@dataclass(frozen=True, eq=False)
class Own(lb.neurons.LIF):
    """A neuron of its user's own."""

    flavour: int = 3


def test_neurons_of_ones_own(tmp_path):
    path, model = tmp_path / "a.safetensors", lb.Spiking(Own(flavour=4), lb.connections.Dense(6, 5))
    lb.save(model, path)
    with pytest.raises(ValueError, match=r"has Own, which this lambent does not know.*kinds=\[Own\]"):
        lb.load(path)
    again = lb.load(path, kinds=[Own])
    assert again.neuron.flavour == 4
    assert torch.equal(again(events()).times, model(events()).times)


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    for model, error, message in (
        (Net(), TypeError, r"the model: a file has no word for Net; save the weights with lb.save\(model.state_dict"),
        (nn.Sequential(lb.LIF(2, 2), nn.GRU(2, 2)), TypeError, "1: a file has no word for GRU"),
        (nn.Sequential(lb.encode.Encoder(lambda x: x)), TypeError, "0: a file has no word for Encoder.*lambda"),
        (
            nn.Sequential(lb.encode.Encoder(lb.encode.rate, generator=torch.Generator())), TypeError,
            "0: a file has no word for generator=",
        ),
        (tied, ValueError, "1.weight is 0.weight"),
        (3, TypeError, "save takes a model or its state_dict"),
        ({"a": 1}, TypeError, "save takes a model or its state_dict"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            lb.save(model, path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="no such folder"):
        lb.save(lb.LIF(2, 2), tmp_path / "none" / "a.safetensors")


def described(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["lambent"])


def changed(path, change):
    """Write the file again with another description."""
    text = described(path)
    text = change(text) or text
    save_file(load_file(path), path, {"lambent": text if isinstance(text, str) else json.dumps(text)})


BROKEN = {
    "no JSON": (lambda d: "{", "damaged: the description"),
    "no object": (lambda d: "3", "damaged: the description"),
    "deep": (lambda d: "[" * 100_000, "damaged: the description"),
    "keys": (lambda d: d.pop("model") and None, "damaged: the description"),
    "later": (lambda d: d.update(version=2), "is of version 2, and this lambent reads 1"),
    "module": (lambda d: d["model"]["parts"]["0"].update(kind="os"), "part 0: 'os' is no module"),
    "no kind": (lambda d: d["model"]["parts"]["0"].pop("kind") and None, "part 0: damaged"),
    "no part": (lambda d: d["model"]["parts"].update({"0": 7}), "part 0: damaged"),
    "more": (lambda d: d["model"]["parts"].update({"2": d["model"]["parts"]["0"]}), "part 2: damaged: .* no 2.weight"),
    "fewer": (lambda d: d["model"]["parts"].pop("1") and None, "holds other values than the model"),
    "option": (lambda d: d["model"]["parts"]["0"]["options"].update(dt=-1.0), "part 0: dt must be"),
    "unknown option": (lambda d: d["model"]["parts"]["1"]["options"].update(wide=1), "part 1: damaged"),
    "size": (lambda d: d["model"]["parts"]["1"]["options"].update(in_features=10**12), "part 1: damaged: weight must"),
    "connections": (
        lambda d: d["model"]["parts"]["0"]["options"]["connections"]["options"].update(n_in=7), "part 0: weight must"
    ),
    "neuron": (
        lambda d: d["model"]["parts"]["0"]["options"]["neuron"].update(kind="Dense"),
        "part 0: damaged: Dense are no neuron",
    ),
    "names": (lambda d: d["parameters"].update(nobody=True), "damaged: .*: what it calls parameters are none"),
    "no names": (lambda d: d.update(parameters=[1]), "damaged: .*: what it calls parameters are none"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_descriptions(tmp_path, case):
    path = tmp_path / "a.safetensors"
    lb.save(nn.Sequential(lb.LIF(6, 5), lb.LIReadout(5, 2)), path)
    changed(path, BROKEN[case][0])
    with pytest.raises(ValueError, match=rf"a\.safetensors: {BROKEN[case][1]}"):
        lb.load(path)


def test_damaged_files(tmp_path):
    path = tmp_path / "a.safetensors"
    lb.save(nn.Sequential(lb.LIF(6, 5), lb.LIReadout(5, 2)), path)
    whole = path.read_bytes()
    for data in (b"", whole[:7], whole[:100], whole[:-1], whole + b"x", b"\xff" * 64):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.safetensors: damaged, or no safetensors file"):
            lb.load(path)
    with pytest.raises(FileNotFoundError):
        lb.load(tmp_path / "none.safetensors")
    with pytest.raises(IsADirectoryError):
        lb.load(tmp_path)
    for wrong, message in (({"into": 3}, "into must be a model"), ({"kinds": [nn.Linear]}, "kinds must be classes")):
        path.write_bytes(whole)
        with pytest.raises(TypeError, match=message):
            lb.load(path, **wrong)
    with pytest.raises(TypeError):
        lb.load(3)
