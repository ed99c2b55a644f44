"""Torch's threads while engines run: one in each thread that asks for it, and as before afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from lambent.machine.threads import engine_only_threads, engine_threads


def test_each_thread_finds_its_own_again():
    torch.set_num_threads(2)
    entered, first_left = Barrier(2), Barrier(2)

    def work(leaves_first):
        with engine_only_threads():
            with engine_only_threads():
                assert (torch.get_num_threads(), engine_threads()) == (1, 2)
            assert torch.get_num_threads() == 1
            entered.wait()
            if not leaves_first:
                first_left.wait()
                assert (torch.get_num_threads(), engine_threads()) == (1, 2)
        if leaves_first:
            first_left.wait()
        return torch.get_num_threads(), engine_threads()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (True, False))) == [(2, 2), (2, 2)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_child_does_not_wait_for_threads_that_it_has_not():
    code = "import os, torch, lambent.machine.threads\ntorch.set_num_threads(2)\n"
    code += "x = torch.randn(4_000_000)\nx.exp().sum()\n"
    code += "child = os.fork()\nif child == 0:\n  x.exp().sum()\n  os._exit(0)\nassert os.waitpid(child, 0)[1] == 0"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
