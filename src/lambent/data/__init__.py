"""Readers, augmentation and collation of labelled spike trains."""

from lambent.data import augment
from lambent.data.dataset import SpikeDataset, collate
from lambent.data.images import from_idx, from_image_folder
from lambent.data.shd import write_shd
from lambent.data.yin_yang import yin_yang

__all__ = ["SpikeDataset", "augment", "collate", "from_idx", "from_image_folder", "write_shd", "yin_yang"]
