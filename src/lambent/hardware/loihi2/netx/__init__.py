"""NetX files: the HDF5 layout in which Lava exchanges networks for Loihi 2.

    layer/0/type = "input", shape; and, if the input has units of its own, neuron, weight (gain) and bias
    layer/i/type = "dense" or "dense_rec", shape, inFeatures, outFeatures, weight (out, in), and optionally
    weight_rec (out, out) and bias (out,), delay, and delay_rec of weight_rec, as mlGeNN writes it
    layer/i/type = "conv", shape, inChannels, outChannels, kernelSize, stride, padding, dilation, groups, weight
    (channels out, channels in / groups, height, width), and optionally bias (channels out,), delay
    layer/i/type = "pool", shape, kernelSize, stride, padding, dilation, weight (1, 1, height, width)
    layer/i/type = "flatten" where units in an image become a vector; "average", as the last, shape
    weight/real and weight/imag in place of weight for resonate-and-fire units
    layer/i/neuron/type = "CUBA" (or "LOIHI"), iDecay, vDecay, vThMant, refDelay, gradedSpike; or "SDNN",
    vThMant, activation and for output units sigma_output; or "RF_PHASE", "RF_IZHIKEVICH", sinDecay, cosDecay,
    vThMant. A dense layer without neuron has integrators: iDecay 0, vDecay 4096, a threshold out of reach.

Shapes are (channels, height, width), pairs are (vertical, horizontal), units are numbered in C order. Parameters
per unit of an image are (width, height, channels), as Lava reads them.

What only lambent knows, the step length, message bits of the input, resets and the readout, is kept in attributes of
the root that start with `lambent_`; other readers ignore them.
"""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import h5py

from lambent.hardware.loihi2.network import Loihi2Network, check_network
from lambent.hardware.loihi2.netx.lava import misread_by_lava
from lambent.hardware.loihi2.netx.reader import read_network
from lambent.hardware.loihi2.netx.writer import write_network
from lambent.machine.files import replacing
from lambent.machine.hdf5 import H5_ERRORS, open_hdf5


def save_netx(network: Loihi2Network, path: str | os.PathLike[str], *, lava_compatible: bool = False) -> None:
    """Write `network` to a NetX file, whole or not at all.

    Arrays and the structure of the file carry checksums, so that damage is noticed on reading.

    Args:
        network: what to write.
        path: the file.
        lava_compatible: refuse what Lava's own reader would get wrong.

    Raises:
        TypeError: `network` is no `Loihi2Network`.
        ValueError: `lava_compatible`, and Lava would misread the file; the message says what and why.
    """
    check_network(network)
    if lava_compatible and (reasons := misread_by_lava(network)):
        what = "; ".join(reasons)
        raise ValueError(
            f"Lava would misread this network: {what}. As a program (--format lava, save_lava) it runs there"
        )
    written = io.BytesIO()  # HDF5 does not survive a disk that is full when it closes a file
    with h5py.File(written, "w", libver="v110") as h5:
        write_network(h5, network)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(written.getbuffer())


def load_netx(
    path: str | os.PathLike[str],
    message_bits: int | None = None,
    *,
    reset_interval: int | None = None,
    reset_offset: int | None = None,
) -> Loihi2Network:
    """Read a NetX file.

    Weights, biases and delays stored as floating point are truncated to integers, as Lava does. A file
    without an input layer is read too; its first layer says how many inputs there are.

    Args:
        path: the file.
        message_bits: bits of the input's graded spikes, 0 for plain ones, where the file does not say it: only
            files of lambent do, Lava's reader takes it as an argument, too.
        reset_interval, reset_offset: see `Loihi2Network`; likewise.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: an argument is no whole number.
        ValueError: the file is no HDF5, damaged, or not such a network; the message names the file, and where
            one is at fault, the layer and the dataset.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open_hdf5(path) as h5:
        try:
            network = read_network(h5)
        except H5_ERRORS as error:
            raise ValueError(f"{path}: {error}") from error
    given = {"message_bits": message_bits, "reset_interval": reset_interval, "reset_offset": reset_offset}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return dataclasses.replace(network, **given) if given else network  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
