"""Two processes with DistributedDataParallel take the step that one takes with both their batches."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import lambent as lb
from lambent.training import Config, Trainer

SETTINGS = Config(lr=1e-2, lr_tau=0.5, lr_delay=0.5, rate_lower=5.0, rate_upper=6.0, rate_strength=1.0, shift=0)


def network(data):
    torch.manual_seed(0)
    layers = [lb.LIF(5, 20, recurrent=True, delay=2.0), lb.LIF(20, 10), lb.LIReadout(10, 3)]
    layers[0].tau_mem.requires_grad_()
    layers[1].threshold.requires_grad_()
    model = nn.Sequential(*layers)
    lb.calibrate(model, data.batch(range(40))[0], 3.0)
    return model


def steps(trainer, data, chosen):
    """The gradients of the first step, and the parameters after two."""
    gradients = {}
    for half in chosen:
        trainer.step(*data.batch(half))
        gradients = gradients or {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    return gradients, trainer.model.state_dict()


def work(rank, data, model, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    own = copy.deepcopy(model)  # what came from the parent is memory that all share
    trainer = Trainer(nn.parallel.DistributedDataParallel(own), SETTINGS, data)
    torch.save(steps(trainer, data, [range(rank, 40, 2), range(40 + rank, 80, 2)]), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no torch.distributed")
def test_two_processes_are_one(tmp_path):
    data = lb.data.yin_yang(80, seed=0)
    model = network(data)
    torch.multiprocessing.spawn(work, (data, model, tmp_path), nprocs=2)
    alone = steps(Trainer(model, SETTINGS, data), data, [range(40), range(40, 80)])
    a, b = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for ours, others, expected in zip(a, b, alone, strict=True):
        for name, value in expected.items():
            assert torch.equal(ours[f"module.{name}"], others[f"module.{name}"])
            torch.testing.assert_close(ours[f"module.{name}"], value, rtol=1e-4, atol=1e-6)
    assert all(g.any() for g in alone[0].values())
