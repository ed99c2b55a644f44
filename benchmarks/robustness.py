"""What damaged files do: thousands of files of every kind that lambent reads, each changed at random and read.

    python benchmarks/robustness.py --mutations 10000 --out mutations.jsonl

Every mutation is a function of the seed, the kind of file and a number. Results are kept in a file of JSON lines as
they come, and the same command goes on after them. What may come of reading:

    error      one line: a ValueError or an OSError
    same       the content is what it was
    other      it is another content
    traceback  another exception
    hang       nothing within the time limit
    crash      the process ended

Files of lambent carry checksums: of these there must be no "other", of all no "traceback", "hang" or "crash".
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import lambent as lb
from _common import arguments, show
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.machine.compiling import _CacheFile
from lambent.runs.evaluate import evaluate_run, kept_chip_cost
from lambent.runs.evaluation import Evaluation
from lambent.runs.export import calibration_events, export_run, exported_network
from lambent.training import Config, Run, build_model, train
from lambent.training.config import RUNNING
from lambent.training.trainer import Trainer

OUTCOMES = ("error", "same", "other", "traceback", "hang", "crash")
_TIMEOUT = 30.0  # [s]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        make: writes files into a folder; returns those to change.
        read: what they hold, as anything that can be pickled.
        own: whether lambent writes such files, with checksums.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    own: bool


# -- the kinds --------------------------------------------------------------------------------------------------------


def _make_netx(folder: Path) -> list[Path]:
    export_netx(_model(), folder / "a.net", 4)
    return [folder / "a.net"]


def _read_netx(folder: Path) -> Any:
    network = load_netx(folder / "a.net")
    layers = [
        [np.asarray(getattr(x, name)).tolist() for name in ("weight", "weight_rec", "delay", "delay_rec", "bias")]
        + [repr(x.neuron), [np.asarray(getattr(x.neuron, field)).tolist() for field in x.neuron.ranges]]
        for x in network.layers
    ]
    return repr(network), layers, repr(network.readout)


def _make_hdf5(name: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        lb.data.write_shd(folder / name, lb.data.yin_yang(12, seed=0))
        return [folder / name]

    return make


def _make_plain_hdf5(folder: Path) -> list[Path]:
    """As others write it: without a digest."""
    import h5py

    _make_hdf5("a.h5")(folder)
    with h5py.File(folder / "a.h5", "r+") as h5:
        del h5.attrs["lambent_digest"]
    return [folder / "a.h5"]


def _read_hdf5(folder: Path) -> Any:
    (path,) = folder.glob("a.h5*")
    data = lb.data.SpikeDataset.from_shd(path)
    return data.checksum(), data.n_units, data.duration, data.class_names


def _make_nir(folder: Path) -> list[Path]:
    lb.export_nir(_model(), folder / "a.nir")
    return [folder / "a.nir"]


def _read_nir(folder: Path) -> Any:
    model = lb.import_nir(folder / "a.nir")
    return repr(model), {name: value.tolist() for name, value in model.state_dict().items()}


def _make_audio(name: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        import soundfile

        soundfile.write(folder / name, 0.1 * np.sin(np.arange(1500) / 9), 8000)
        return [folder / name]

    return make


def _read_audio(folder: Path) -> Any:
    (path,) = folder.glob("a.*")
    samples, rate = lb.encode.read_audio(path)
    return samples.tobytes(), rate


def _make_idx(folder: Path) -> list[Path]:
    import gzip

    dice = np.random.default_rng(0)
    images = bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 6, 0, 0, 0, 5]) + dice.integers(0, 256, 270, np.uint8).tobytes()
    (folder / "images").write_bytes(gzip.compress(images))
    (folder / "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(range(9)))
    return [folder / "images", folder / "labels"]


def _read_idx(folder: Path) -> Any:
    data = lb.data.from_idx(folder / "images", folder / "labels")
    return data.checksum(), data.class_names


def _make_csv(folder: Path) -> list[Path]:
    lines = [f"word{i}.wav,{'yes' if i % 2 else 'no'},speaker{i % 3}" for i in range(8)]
    (folder / "a.csv").write_text("path,label,speaker\n" + "\n".join(lines) + "\n")
    return [folder / "a.csv"]


def _read_csv(folder: Path) -> Any:
    recordings = lb.data.list_recordings(folder / "a.csv")
    return [(str(r.path.relative_to(folder)), r.label, r.speaker, r.split) for r in recordings]


_SETTINGS = Config(hidden=5, epochs=1, shift=0, blend=0.0, valid=0.25, delay=3.0)


def _make_run(folder: Path) -> list[Path]:
    data = lb.data.yin_yang(40, seed=0)
    run = Run(folder / "r")
    facts = {
        "n_units": data.n_units, "class_names": data.class_names, "duration": data.duration, "settings": vars(_SETTINGS)
    }  # fmt: skip
    train(run, _SETTINGS, data, _Quiet(), facts=facts)
    export_run(run, 4)
    evaluate_run(run, data, "test", chip=True)
    return sorted(x for x in run.folder.iterdir() if x.is_file())


def _read_run(folder: Path) -> Any:
    """All that commands read, also what --resume does."""
    run = Run(folder / "r")
    facts, config = run.facts(), run.config()
    model = run.model()
    trainer = Trainer(build_model(config, facts["n_units"], len(facts["class_names"])), config, _batches())
    trainer.restore(run.load("checkpoint.pt"))
    scores, events = Evaluation.load(run.path("evaluation.npz")), calibration_events(run)
    settled = {key: value for key, value in vars(config).items() if key not in RUNNING}
    return (
        settled, {key: facts[key] for key in ("n_units", "class_names", "duration")},
        _values(model.state_dict()), _values(trainer.model.state_dict()), pickle.dumps(vars(trainer.state)),
        run.metrics(), scores.summary(), scores.labels.tobytes(), {k: x.tobytes() for k, x in scores.scores.items()},
        events.times.tolist(), events.units.tolist(), run.exported_bits(), repr(exported_network(run)),
        str(kept_chip_cost(run)),
    )  # fmt: skip


def _make_cache(folder: Path) -> list[Path]:
    _CacheFile(str(folder), "kernel", "stamp").save("key", {"code": b"\x90" * 3000, "types": ("float32", "int64")})
    return sorted(folder.iterdir())


def _read_cache(folder: Path) -> Any:
    found = _CacheFile(str(folder), "kernel", "stamp").load("key")
    if found is None:
        raise ValueError("not there: compiled anew")
    return found


KINDS = {
    "NetX": Kind(_make_netx, _read_netx, True),
    "HDF5": Kind(_make_hdf5("a.h5"), _read_hdf5, True),
    "HDF5, gzipped": Kind(_make_hdf5("a.h5.gz"), _read_hdf5, True),
    "HDF5 of others": Kind(_make_plain_hdf5, _read_hdf5, False),
    "NIR": Kind(_make_nir, _read_nir, True),
    "WAV": Kind(_make_audio("a.wav"), _read_audio, False),
    "FLAC": Kind(_make_audio("a.flac"), _read_audio, False),
    "IDX": Kind(_make_idx, _read_idx, False),
    "CSV": Kind(_make_csv, _read_csv, False),
    "run folder": Kind(_make_run, _read_run, True),
    "compiled kernels": Kind(_make_cache, _read_cache, True),
}


class _Quiet:
    def batch(self, *_: Any) -> None:
        pass

    def epoch(self, *_: Any) -> None:
        pass


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    delay = torch.arange(15.0).reshape(3, 5) % 4
    return nn.Sequential(lb.LIF(3, 5, recurrent=True, delay=delay), lb.LIReadout(5, 2))


def _batches() -> Any:
    return lb.data.yin_yang(40, seed=0).subset(range(30))


def _values(state: Any) -> dict[str, Any]:
    return {name: value.tolist() for name, value in state.items() if isinstance(value, torch.Tensor)}


# -- mutations --------------------------------------------------------------------------------------------------------


def mutated(good: bytes, dice: np.random.Generator) -> bytes:
    """A file with something changed: a bit, a byte, zeros, noise, a piece less or more, its end cut off."""
    bad, n = bytearray(good), len(good)
    at, size = int(dice.integers(n)), int(2 ** dice.uniform(0, 7))
    how = int(dice.integers(8))
    if how <= 1:
        bad[at] ^= 1 << int(dice.integers(8))
    elif how == 2:
        bad[at] = int(dice.integers(256))
    elif how == 3:
        bad[at : at + size] = bytes(min(size, n - at))
    elif how == 4:
        bad[at : at + size] = dice.integers(0, 256, min(size, n - at), np.uint8).tobytes()
    elif how == 5:
        del bad[at : at + size]
    elif how == 6:
        bad[at:at] = bad[at : at + size]
    else:
        del bad[at:]
    return bytes(bad)


def read(kind: str, folder: Path) -> tuple[str, str]:
    """What comes of reading: ("content", its digest), or "error" or "traceback" and what it says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            content = KINDS[kind].read(folder)
        except (ValueError, OSError) as error:
            return "error", str(error)
        except Exception as error:
            return "traceback", repr(error)
    return "content", hashlib.sha256(repr(content).encode()).hexdigest()


def _work(pipe: Any) -> None:
    torch.set_num_threads(1)
    while True:
        kind, folder = pipe.recv()
        pipe.send(read(kind, folder))


class Reader:
    """A process that reads, and another in its place once it hangs or has ended."""

    def __init__(self) -> None:
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def read(self, kind: str, folder: Path) -> tuple[str, str]:
        """As `read`; also "hang" and "crash"."""
        self._pipe.send((kind, folder))
        try:
            if self._pipe.poll(_TIMEOUT):
                return self._pipe.recv()
            found = "hang", f"more than {_TIMEOUT:g} s"
        except EOFError:
            self._process.join()
            found = "crash", f"exit code {self._process.exitcode}"
        self.close()
        self._start()
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def outcomes(kind: str, numbers: range, seed: int, done: set[int]) -> Iterator[dict[str, Any]]:
    """Change the files of a kind, one mutation after the other, and read them."""
    reader = Reader()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "whole"
            folder.mkdir()
            files = KINDS[kind].make(folder)
            good = {path: path.read_bytes() for path in files}
            status, before = reader.read(kind, folder)
            assert status == "content", before
            for number in numbers:
                if number in done:
                    continue
                dice = np.random.default_rng([seed, list(KINDS).index(kind), number])
                path = files[int(dice.integers(len(files)))]
                path.write_bytes(mutated(good[path], dice))
                status, said = reader.read(kind, folder)
                if status == "content":
                    status = "same" if said == before else "other"
                path.write_bytes(good[path])
                yield {"kind": kind, "number": number, "file": path.name, "outcome": status, "said": said[:300]}
    finally:
        reader.close()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--mutations", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file of results, to which the same command adds those that lack")
    options = parser.parse_args()
    each = 4 if options.smoke else -(-options.mutations // len(KINDS))
    kept = []
    if options.out is not None and options.out.exists():
        kept = [json.loads(line) for line in options.out.read_text().splitlines()]
        kept = [x for x in kept if x["seed"] == options.seed and x["number"] < each]
    rows = []
    for kind in KINDS:
        found = [x for x in kept if x["kind"] == kind]
        for x in outcomes(kind, range(each), options.seed, {x["number"] for x in found}):
            found.append(x)
            if options.out is not None:
                with options.out.open("a") as file:
                    file.write(json.dumps(x | {"seed": options.seed}) + "\n")
        counts = Counter(x["outcome"] for x in found)
        rows.append({"files": kind, "of lambent": "yes" if KINDS[kind].own else "no", "mutations": len(found)}
                    | {name: counts[name] for name in OUTCOMES})  # fmt: skip
    show("robustness", rows)


if __name__ == "__main__":
    main()
