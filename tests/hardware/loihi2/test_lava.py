"""What Lava's own reader gets wrong: known, named, and refused where a file is to be read by Lava."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_reference import RECORDINGS, lava_reads

import lambent as lb
from lambent.hardware.loihi2 import (
    CUBA,
    Average,
    ConvLayer,
    InputLayer,
    Layer,
    Loihi2Layer,
    Loihi2Network,
    ResonateAndFire,
    SigmaDelta,
    export_netx,
    load_netx,
    save_netx,
)
from lambent.hardware.loihi2.netx.lava import misread_by_lava, read_weights

ONES = np.ones((2, 3), int)
SQUARE = np.ones((2, 2), int)
KERNEL = np.ones((2, 1, 2, 2), int)


def conv(kind: str = "conv", **values: object) -> ConvLayer:
    return ConvLayer("layer/1", kind, KERNEL if kind == "conv" else KERNEL[:1], (1, 3, 3), **values)


def dense(weight: np.ndarray = ONES, kind: str = "dense", **values: object) -> Loihi2Layer:
    return Loihi2Layer("layer/1", kind, weight, **values)


MISREAD = [
    (dense(kind="dense_rec", weight_rec=SQUARE, delay=2), "layer/1/delay: Lava gives recurrent synapses the same"),
    (dense(0 * ONES), "layer/1/weight: Lava cannot read weights that are all zero"),
    (dense(np.array([[-64, 0, -1]])), "layer/1/weight: Lava rounds or clips"),
    (dense(weight_imag=ONES, neuron=ResonateAndFire(9, 9, 9)), "layer/1/neuron: Lava computes sinDecay"),
    (dense(weight_imag=ONES, delay=1, neuron=ResonateAndFire(9, 9, 9)), "layer/1/delay: Lava drops"),
    (dense(weight_imag=0 * ONES, neuron=ResonateAndFire(9, 9, 9)), "layer/1/weight/imag: Lava cannot read"),
    (dense(kind="dense_rec", weight_rec=SQUARE, neuron=SigmaDelta(4)), "layer/1/weight_rec: Lava takes"),
    (dense(neuron=SigmaDelta(4, message_bits=8)), "layer/1/neuron/messageBits: Lava cannot read"),
    (dense(neuron=SigmaDelta(np.array([4, 5]))), "layer/1/neuron/vThMant: Lava has one threshold"),
    (conv("pool"), "layer/1/type: Lava has no pool layers"),
    (conv(delay=1), "layer/1/delay: Lava drops the delays of conv layers"),
    (conv(weight_imag=KERNEL, neuron=ResonateAndFire(9, 9, 9)), "layer/1/weight/imag: Lava has no complex conv"),
]


@pytest.mark.parametrize(("layer", "message"), MISREAD)
def test_what_lava_misreads_is_refused(layer: Layer, message: str, tmp_path: Path) -> None:
    network = Loihi2Network(layer.n_in, [layer])
    assert any(reason.startswith(message) for reason in misread_by_lava(network))
    path = tmp_path / "a.net"
    with pytest.raises(ValueError, match=f"Lava would misread this network: .*{message}"):
        save_netx(network, path, lava_compatible=True)
    assert not path.exists()
    save_netx(network, path)
    assert load_netx(path).layers[0].kind == layer.kind


def test_inputs_and_averages(tmp_path: Path) -> None:
    units = InputLayer("layer/0", "input", (3,), neuron=CUBA(i_decay=100))
    reasons = misread_by_lava(Loihi2Network(3, [units, dense()], readout=Average(2)))
    assert [r.split(":")[0] for r in reasons] == ["layer/0/neuron/iDecay", "average"]
    flat = InputLayer("layer/0", "input", (3, 1), neuron=CUBA(i_decay=4096))
    assert [r.split(":")[0] for r in misread_by_lava(Loihi2Network(3, [flat, dense()]))] == ["layer/0/shape"]


def test_what_lava_has_run_it_can_read() -> None:
    for path in RECORDINGS:
        reasons = misread_by_lava(load_netx(path))
        assert all("sinDecay" in reason for reason in reasons), path  # recorded where Lava happened to get them right


@given(
    seed=st.integers(0, 2**32 - 1),
    low=st.integers(-256, 0),
    high=st.integers(0, 254),
    step=st.sampled_from([1, 2, 4, 16, 64]),
    second=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_weights_as_lava_reads_them(seed: int, low: int, high: int, step: int, second: bool) -> None:
    """Against a second implementation, which the recordings of both sessions confirm."""
    rng = np.random.default_rng(seed)
    matrices = [rng.integers(low, high + 1, (3, n)) // step * step for n in ((4, 3) if second else (4,))]
    matrices = [np.clip(m, -256 if high else -255, 254) for m in matrices]
    if any(m.any() for m in matrices):
        for ours, theirs in zip(read_weights(matrices), lava_reads(matrices), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_export_refuses_what_lava_would_get_wrong(tmp_path: Path) -> None:
    def model(delay: float) -> torch.nn.Sequential:
        return torch.nn.Sequential(lb.LIF(3, 4, recurrent=True, delay=delay, dt=1.0))

    path = tmp_path / "a.net"
    export_netx(model(0.0), path, lava_compatible=True)
    with pytest.raises(ValueError, match="layer/1/delay: Lava gives recurrent synapses the same delays"):
        export_netx(model(2.0), path, lava_compatible=True)
    export_netx(model(2.0), path)
