"""HDF5 files that are damaged, or meant to harm: nothing outside of them is read, nothing hangs."""

from __future__ import annotations

import gzip
import os
import sys

import h5py
import numpy as np
import pytest
from torch import nn

import lambent as lb
from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network, load_netx, save_netx
from lambent.machine.hdf5 import check_hdf5, find_rows, open_hdf5

read = lb.data.SpikeDataset.from_shd
KINDS = {  # of files: how they are read, and a dataset of them
    "a.h5": (read, "labels"),
    "a.net": (load_netx, "layer/1/weight"),
    "a.nir": (lb.import_nir, "node/nodes/linear_0/weight"),
}


@pytest.fixture(params=KINDS)
def file(request, tmp_path):
    """A file of each kind, how it is read, and a dataset of it."""
    path = tmp_path / request.param
    if path.suffix == ".h5":
        lb.data.write_shd(path, lb.data.yin_yang(9, seed=0))
    elif path.suffix == ".net":
        save_netx(Loihi2Network(2, [Loihi2Layer("layer/1", "dense", np.array([[9, -3]]), neuron=CUBA(8, 2, 7))]), path)
    else:
        lb.export_nir(nn.Sequential(lb.LIF(2, 3)), path)
    KINDS[request.param][0](path)
    return path, *KINDS[request.param]


def test_values_in_other_files_are_not_read(file, tmp_path):
    """External storage would read the bytes of any file of the machine."""
    path, reader, where = file
    (tmp_path / "secret").write_bytes(b"key" * 100)
    with h5py.File(path, "r+") as h5:
        shape, dtype = h5[where].shape, h5[where].dtype
        del h5[where]
        h5.create_dataset(where, shape, dtype, external=[(str(tmp_path / "secret"), 0, 300)])
    with pytest.raises(ValueError, match=rf"{path.name}: /?{where}: its values lie in another file"):
        reader(path)


def test_nor_virtual_datasets(file, tmp_path):
    path, reader, where = file
    with h5py.File(path, "r+") as h5:
        values = h5[where][()]
        with h5py.File(tmp_path / "other.h5", "w") as other:
            other["x"] = values
        del h5[where]
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "x", values.shape)
        h5.create_virtual_dataset(where, layout)
    with pytest.raises(ValueError, match=rf"{path.name}: /?{where}: its values lie in another file"):
        reader(path)


@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("soft", [True, False])
def test_nor_links(file, tmp_path, soft, at):
    path, reader, where = file
    name = where.split("/")[0] if at == 0 else where
    with h5py.File(path, "r+") as h5:
        with h5py.File(tmp_path / "other.h5", "w") as other:
            h5.copy(name, other, "x")
        h5.move(name, "elsewhere")
        h5[name] = h5py.SoftLink("/elsewhere") if soft else h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with pytest.raises(ValueError, match=rf"{path.name}: .*(is a link, which is not followed|holds links|damaged)"):
        reader(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: is a pipe or a device"):
        read(tmp_path / "pipe")


def test_every_change_is_noticed(file):
    """Bits and runs of zeros: the same content, or an error that names the file; never another content."""
    path, reader, _ = file
    good = path.read_bytes()
    dice = np.random.default_rng(0)
    before = _content(reader(path))
    for n in range(150):
        bad = bytearray(good)
        at = int(dice.integers(len(bad)))
        if n % 3:
            bad[at] ^= 1 << int(dice.integers(8))
        else:
            bad[at : at + 40] = bytes(len(bad[at : at + 40]))
        path.write_bytes(bad)
        try:
            found = _content(reader(path))
        except ValueError as error:
            assert path.name in str(error)  # noqa: PT017
        else:
            assert found == before, at


def _content(x):
    if isinstance(x, lb.data.SpikeDataset):
        return x.checksum(), x.n_units, x.duration, x.class_names
    if isinstance(x, nn.Module):
        return repr(x), {name: value.tolist() for name, value in x.state_dict().items()}
    return repr(x), [[np.asarray(v).tolist() for v in (y.weight, y.delay, y.bias)] for y in x.layers], repr(x.readout)


def test_an_edited_file_says_how_it_is_read_all_the_same(tmp_path):
    path = tmp_path / "a.h5"
    lb.data.write_shd(path, lb.data.yin_yang(9, seed=0))
    with h5py.File(path, "r+") as h5:
        h5["labels"][0] = 1 - h5["labels"][0]
    with pytest.raises(ValueError, match="delete the attribute lambent_digest"):
        read(path)
    with h5py.File(path, "r+") as h5:
        del h5.attrs["lambent_digest"]
    assert len(read(path)) == 9


# -- rows of variable length ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (3,)},
        {"chunks": (3,), "compression": "gzip"},
        {"chunks": (4,), "compression": "gzip", "shuffle": True},
        {"maxshape": (None,)},
    ],
)
@pytest.mark.parametrize("kind", [np.float16, ">f4", np.float64])
@pytest.mark.parametrize("block", [0, 512])
def test_rows_however_they_are_laid_out(tmp_path, options, kind, block):
    rows = [np.arange(n, dtype=kind) for n in (3, 0, 900, 1, 20_000, 7, 2)]
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=block) as h5:
        dataset = h5.create_dataset("x", (len(rows),), h5py.vlen_dtype(np.dtype(kind)), **options)
        for i, row in enumerate(rows):
            dataset[i] = row
    with open_hdf5(tmp_path / "a.h5") as h5:
        found = find_rows(h5, "x", "f")
        assert found.lengths.tolist() == [len(row) for row in rows]
        assert found.read(0, 7).tobytes() == b"".join(row.tobytes() for row in rows)
        assert found.read(2, 4).tolist() == [*rows[2], 0]
        assert found.dtype == np.dtype(kind)


def test_rows_that_hdf5_does_not_have(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_dataset("x", (1 << 22,), h5py.vlen_dtype(np.float32), chunks=(1 << 16,))
        h5.create_dataset("lzf", (4,), h5py.vlen_dtype(np.float32), compression="lzf")[:] = [np.ones(3, "f")] * 4
    with open_hdf5(tmp_path / "a.h5") as h5:
        with pytest.raises(ValueError, match=r"x: damaged \(its values are not in the file\)"):
            find_rows(h5, "x", "f")
        with pytest.raises(ValueError, match="rewrite it with gzip"):
            find_rows(h5, "lzf", "f")


def test_rows_are_not_told_more_often_than_they_are_there(tmp_path):
    """A file of a few rows, all of them the same large one."""
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        dataset = h5.create_dataset("x", (400,), h5py.vlen_dtype(np.float32))
        dataset[0] = np.ones(10_000)
        at = dataset.id.get_offset()
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[at : at + 16 * 400] = raw[at : at + 16] * 400
    (tmp_path / "a.h5").write_bytes(raw)
    with open_hdf5(tmp_path / "a.h5") as h5, pytest.raises(ValueError, match="says more than the file holds"):
        find_rows(h5, "x", "f")


# -- cases that once failed, and bombs -----------------------------------------------------------------------------


def test_cases(shared):
    for path in sorted(shared.glob("cases/damaged/heap_*.h5")) + sorted(shared.glob("cases/damaged/shd_huge_*.h5")):
        with pytest.raises(ValueError, match=path.name):
            read(path)


def test_a_gzipped_file_of_far_more_than_its_size(tmp_path):
    (tmp_path / "bomb.h5.gz").write_bytes(gzip.compress(bytes(1 << 28), 9))
    with pytest.raises(ValueError, match=r"bomb\.h5\.gz: a gzip file of far more than its size"):
        read(tmp_path / "bomb.h5.gz")


def test_objects_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_group("a")["a"] = h5["/"]
    with pytest.raises(ValueError, match="lies too deep"):
        check_hdf5(tmp_path / "a.h5")


if sys.platform == "win32":  # where an open file cannot be written over
    del test_every_change_is_noticed
