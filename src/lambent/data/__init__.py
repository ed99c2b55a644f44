"""Data sets of spike trains: readers, augmentation and collation."""

from lambent.data import augment
from lambent.data.dataset import SpikeDataset, collate
from lambent.data.device import DeviceDataset
from lambent.data.dividing import divide
from lambent.data.encoding import encode_recordings
from lambent.data.heidelberg import shd, ssc
from lambent.data.keywords import keywords
from lambent.data.readers.aedat import from_dvs_gesture, read_aedat, read_dvs_gesture
from lambent.data.readers.images import from_idx, from_image_folder
from lambent.data.readers.nmnist import from_nmnist, read_nmnist
from lambent.data.readers.recordings import list_recordings
from lambent.data.readers.structured import from_tonic
from lambent.data.renditions import Renditions
from lambent.data.shd_writer import write_shd
from lambent.data.yin_yang import yin_yang

__all__ = [
    "DeviceDataset",
    "Renditions",
    "SpikeDataset",
    "augment",
    "collate",
    "divide",
    "encode_recordings",
    "from_dvs_gesture",
    "from_idx",
    "from_image_folder",
    "from_nmnist",
    "from_tonic",
    "keywords",
    "list_recordings",
    "read_aedat",
    "read_dvs_gesture",
    "read_nmnist",
    "shd",
    "ssc",
    "write_shd",
    "yin_yang",
]
