"""Cross-entropy of a readout."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from lambent.losses._checks import checked_labels


def readout_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    scale: float = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Tensor:
    """Cross-entropy of a readout.

    Args:
        logits: (batch, classes), or (batch, steps, classes) for reduce="none": the mean of the steps' losses.
        labels: (batch,) integers, or with steps (batch, steps): one for each of them.
        scale: factor on the logits. Reduced voltages are small numbers (tenths of a threshold); a factor of
            about 30 lets a softmax decide.
        label_smoothing: as `torch.nn.functional.cross_entropy`.
        ignore_index: the label of samples or steps that do not count; None where all do.

    Raises:
        ValueError: wrong shapes, a label without a logit, or none that counts.

    >>> voltages = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [5.0, 9.0]]])
    >>> lb.losses.readout_cross_entropy(voltages, torch.tensor([[0, 1, -1]]), ignore_index=-1)
    tensor(0.1269)
    """
    logits, labels = _per_class(logits, labels, scale, ignore_index)
    ignored = -100 if ignore_index is None else ignore_index
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, ignore_index=ignored)


def smoothed_and_plain_cross_entropy(
    logits: Tensor, labels: Tensor, scale: float = 1.0, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`readout_cross_entropy` with label smoothing, to train on, and without, to show (detached), at the price of one.

    Args, Raises: as `readout_cross_entropy`.
    """
    logits, labels = _per_class(logits, labels, scale)
    log_p = F.log_softmax(logits, 1)
    plain = F.nll_loss(log_p, labels)
    if not label_smoothing:
        return plain, plain.detach()
    # torch's own arithmetic, bit for bit; a CUDA device divides by a tensor otherwise than by a number
    uniform = -log_p.sum(1)
    uniform = uniform.sum() / labels.new_full((), len(labels))
    return plain * (1 - label_smoothing) + uniform * (label_smoothing / logits.shape[1]), plain.detach()


def _per_class(logits: Tensor, labels: Tensor, scale: float, ignore_index: int | None = None) -> tuple[Tensor, Tensor]:
    """Scaled logits (n, classes) and labels (n,), those of each step where there are steps."""
    if logits.ndim not in (2, 3):
        raise ValueError(f"logits must be (batch, classes) or (batch, steps, classes), got {tuple(logits.shape)}")
    per_step = logits.ndim == 3 and isinstance(labels, Tensor) and labels.ndim == 2
    labels = checked_labels(labels, tuple(logits.shape[: 1 + per_step]), logits.shape[-1], ignore_index)
    if logits.ndim == 3 and not per_step:
        labels = labels.unsqueeze(1).expand(-1, logits.shape[1])
    return scale * logits.flatten(0, -2), labels.reshape(-1)
