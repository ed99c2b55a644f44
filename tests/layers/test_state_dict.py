"""State dicts say what they are of: values of another time step, reset or reduction are refused."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict

import pytest
import torch

import lambent as lb
from lambent.hardware.loihi2.aware import aware


def model(dt=1.0, reset="zero", reduce="mean"):
    return torch.nn.Sequential(lb.LIF(3, 4, reset=reset, dt=dt), lb.LIReadout(4, 2, reduce=reduce, dt=dt))


def in_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("kept", [lambda state: state, copy.deepcopy, copy.copy, in_file])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dt": 0.5}, r"0: the values are of a layer with dt=1.0, this one has dt=0.5: make it the same"),
        ({"dt": None}, r"1: the values are of a layer with dt=1.0, this one has dt=None"),
        ({"reset": "subtract"}, r"0: .* with reset='zero', this one has reset='subtract'"),
        ({"reduce": "max"}, r"1: .* with reduce='mean', this one has reduce='max'"),
    ],
)
def test_what_values_are_of_is_checked(changes, message, kept, tmp_path):
    one, other = model(), model(**changes)
    state = kept(one.state_dict())
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=message):
            other.load_state_dict(state, strict=strict)
    lb.save(one.state_dict(), tmp_path / "values")
    lb.save(one, tmp_path / "model")
    for name in ("values", "model"):
        with pytest.raises(ValueError, match=message):
            lb.load(tmp_path / name, into=other)
        assert torch.equal(lb.load(tmp_path / name, into=model())[0].weight, one[0].weight)
    other.load_state_dict(dict(state))  # the values alone, as older files hold them
    assert torch.equal(other[0].weight, one[0].weight)
    again = model()
    again.load_state_dict(state)
    assert torch.equal(again[1].weight, one[1].weight)


def test_keys_are_those_of_the_parameters():
    assert not any("extra" in name for name in model().state_dict())
    layer = lb.LIF(3, 4)
    with pytest.raises(RuntimeError, match=r"LIF: the values are of a layer with dt=2.0"):
        layer.load_state_dict(lb.LIF(3, 4, dt=2.0).state_dict())


def test_voltages_are_those_of_any_reduction():
    """`reduce="none"` leaves them as they are, whatever becomes of them."""
    model(reduce="none").load_state_dict(model(reduce="max").state_dict())
    model(reduce="max").load_state_dict(model(reduce="none").state_dict())


def test_layers_inside_of_others():
    """As of quantisation-aware training."""
    one, other = aware(model(), 8), aware(model(reduce="max"), 8)
    aware(model(), 8).load_state_dict(one.state_dict())
    with pytest.raises(RuntimeError, match="reduce='mean'"):
        other.load_state_dict(one.state_dict())


def test_damaged_meanings(tmp_path):
    from safetensors.torch import load_file, save_file

    lb.save(model().state_dict(), tmp_path / "values")
    values = load_file(tmp_path / "values")
    for text in ("", "[]", "{", '{"0": 3}', "3"):
        save_file(values, tmp_path / "values", {"meanings": text})
        with pytest.raises(ValueError, match="values: damaged: what its values are of"):
            lb.load(tmp_path / "values", into=model())
    odd = OrderedDict(values)
    odd._metadata = {"0": {"version": 1, "lambent": {"of a later version": 3}}}
    model().load_state_dict(odd)
