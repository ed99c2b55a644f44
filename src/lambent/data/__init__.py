"""Readers, augmentation and collation of labelled spike trains."""

from lambent.data import augment
from lambent.data.dataset import SpikeDataset, collate
from lambent.data.device import DeviceDataset
from lambent.data.shd import write_shd
from lambent.data.yin_yang import yin_yang

__all__ = ["DeviceDataset", "SpikeDataset", "augment", "collate", "write_shd", "yin_yang"]
