"""Work on several processes, of this machine or others, through joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

BACKENDS = ("loky", "dask", "ray")

_ROUND = 4  # tasks of each process before results are handed on

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def check_jobs(jobs: int | None, backend: str) -> None:
    """Raise where `in_processes` could not do anything.

    Raises:
        ValueError: no number of processes, or no such backend.
        ImportError: joblib, or what the backend needs, is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if jobs is None:
        return
    if not isinstance(jobs, int) or isinstance(jobs, bool) or (jobs < 1 and jobs != -1):
        raise ValueError(f"jobs must be a number of processes, or -1 for as many as there are, got {jobs!r}")
    _register(backend)


def in_processes(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], *, jobs: int, backend: str = "loky"
) -> Iterator[_Result]:
    """work(task) for every task, each on one thread of one of `jobs` processes; results in the order of the tasks.

    Args:
        work, tasks: what can be pickled.
        backend: "loky", processes of this machine; "dask" or "ray", those of a cluster that this program has joined.

    Raises:
        ImportError, ValueError: as `check_jobs`; or what `work` raises.
    """
    check_jobs(jobs, backend)
    joblib = _register(backend)
    with joblib.parallel_config(backend=backend, n_jobs=jobs), joblib.Parallel() as parallel:
        at_once = _ROUND * max(1, joblib.effective_n_jobs(jobs))
        for first in range(0, len(tasks), at_once):  # what is done can be kept
            yield from parallel(joblib.delayed(_alone)(work, task) for task in tasks[first : first + at_once])


def _alone(work: Callable[[_Task], _Result], task: _Task) -> _Result:
    import torch

    torch.set_num_threads(1)  # the other cores are the other processes'
    return work(task)


def _register(backend: str) -> Any:
    """joblib, which knows the backend."""
    try:
        import joblib
    except ImportError as error:
        raise ImportError("several processes need joblib: pip install 'lambent[machines]'") from error
    needs = {"dask": "dask[distributed]", "ray": "ray"}
    try:
        if backend == "dask":
            from distributed import Client, get_client

            try:
                get_client()
            except ValueError:
                Client()  # by DASK_SCHEDULER_ADDRESS, or of this machine; it becomes the default
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
    except ImportError as error:
        raise ImportError(f"the backend {backend} needs its package: pip install '{needs[backend]}'") from error
    return joblib
