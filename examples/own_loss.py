"""A loss of your own in a plain loop of torch: the answer is the time of a spike.

The output shall spike at 30 + 10 sin(2 pi x) ms for an x that comes as the latencies of ten units. Time is
continuous (dt=None). The mean error on new values is 0.7 ms after 15 s.
"""

import sys

import torch

import lambent as lb


def data(n, seed):
    """Numbers x in [0, 1], (n, 1), and the times [ms] at which to spike for them, (n, 1)."""
    x = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed))
    return x, 30 + 10 * torch.sin(2 * torch.pi * x)


def main(small=False, seed=0):
    """Train, and return the mean error [ms] on numbers not seen before."""
    torch.manual_seed(seed)
    (x, wanted), (test_x, test_wanted) = data(1000, seed), data(500, seed + 1000)

    model = torch.nn.Sequential(
        lb.encode.Encoder(lb.encode.population, duration=60.0, t_late=40.0, fields=10, beta=0.7),
        lb.LIF(10, 100, tau_syn=10.0, dt=None),
        lb.LIF(100, 1, tau_syn=10.0, dt=None),
    )
    lb.calibrate(model, x[:200], spikes=1.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(10 if small else 50):
        for batch in torch.randperm(len(x)).split(50):
            times = lb.losses.first_spike_times(model(x[batch]))
            loss = torch.nn.functional.smooth_l1_loss(times, wanted[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (lb.losses.first_spike_times(model(test_x)) - test_wanted).abs().mean().item()


if __name__ == "__main__":
    print(f"mean error {main(small='--smoke' in sys.argv):.2f} ms")
