"""Work on several processes gives what one gives."""

from __future__ import annotations

import os
import sys

import pytest

from lambent.machine.processes import check_jobs, in_processes


def _squared(x: int) -> tuple[int, int]:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x, os.getpid()


def test_in_order_and_elsewhere() -> None:
    pytest.importorskip("joblib", reason="several processes need joblib")
    found = list(in_processes(_squared, range(20), jobs=2))
    assert [x for x, _ in found] == [x * x for x in range(20)]
    assert os.getpid() not in {process for _, process in found}
    assert list(in_processes(_squared, [], jobs=2)) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        list(in_processes(_squared, [3, -1], jobs=2))


def test_on_a_cluster() -> None:
    distributed = pytest.importorskip("distributed", reason="the backend dask needs dask[distributed]")
    pytest.importorskip("joblib", reason="several processes need joblib")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster):
        found = list(in_processes(_squared, range(6), jobs=-1, backend="dask"))
    assert [x for x, _ in found] == [x * x for x in range(6)]
    assert os.getpid() not in {process for _, process in found}


def test_what_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="one of loky, dask, ray, got 'threads'"):
        check_jobs(2, "threads")
    for jobs in (0, -2, 1.5, True):
        with pytest.raises(ValueError, match="jobs must be a number"):
            check_jobs(jobs, "loky")  # type: ignore[arg-type]
    check_jobs(None, "loky")
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r"lambent\[machines\]"):
        check_jobs(2, "loky")
    monkeypatch.undo()
    pytest.importorskip("joblib", reason="several processes need joblib")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.util.joblib", None)
    with pytest.raises(ImportError, match="pip install 'ray'"):
        check_jobs(2, "ray")
