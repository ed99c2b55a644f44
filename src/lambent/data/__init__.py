"""Readers, augmentation and collation of labelled spike trains."""

from lambent.data import augment
from lambent.data.dataset import SpikeDataset, collate
from lambent.data.device import DeviceDataset
from lambent.data.encoding import encode_recordings
from lambent.data.keywords import keywords
from lambent.data.readers.images import from_idx, from_image_folder
from lambent.data.readers.recordings import divide, list_recordings
from lambent.data.shd_writer import write_shd
from lambent.data.yin_yang import yin_yang

__all__ = [
    "DeviceDataset",
    "SpikeDataset",
    "augment",
    "collate",
    "divide",
    "encode_recordings",
    "from_idx",
    "from_image_folder",
    "keywords",
    "list_recordings",
    "write_shd",
    "yin_yang",
]
