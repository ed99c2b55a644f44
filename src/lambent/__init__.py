"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from typing import TYPE_CHECKING

from lambent.machine.lazy import on_demand
from lambent.machine.version import VERSION

if TYPE_CHECKING:
    from lambent import connections as connections
    from lambent import data as data
    from lambent import encode as encode
    from lambent import hardware as hardware
    from lambent import losses as losses
    from lambent import neurons as neurons
    from lambent import plot as plot
    from lambent import quantize as quantize
    from lambent import training as training
    from lambent.events import Events as Events
    from lambent.layers import LIF as LIF
    from lambent.layers import AdaptiveLIF as AdaptiveLIF
    from lambent.layers import Channel as Channel
    from lambent.layers import EventDropout as EventDropout
    from lambent.layers import LIReadout as LIReadout
    from lambent.layers import Resonator as Resonator
    from lambent.layers import Spiking as Spiking
    from lambent.layers import calibrate as calibrate
    from lambent.layers import record as record
    from lambent.machine.waiting import run_ahead as run_ahead
    from lambent.nir import export_nir as export_nir
    from lambent.nir import import_nir as import_nir
    from lambent.saving import load as load
    from lambent.saving import save as save
    from lambent.training import Rewiring as Rewiring
    from lambent.training import fit as fit

__version__ = VERSION
__getattr__, __dir__, __all__ = on_demand(
    __name__,
    {
        "connections": "lambent",
        "data": "lambent",
        "encode": "lambent",
        "hardware": "lambent",
        "losses": "lambent",
        "neurons": "lambent",
        "plot": "lambent",
        "quantize": "lambent",
        "training": "lambent",
        "Events": "lambent.events",
        "LIF": "lambent.layers",
        "AdaptiveLIF": "lambent.layers",
        "Channel": "lambent.layers",
        "EventDropout": "lambent.layers",
        "LIReadout": "lambent.layers",
        "Resonator": "lambent.layers",
        "Spiking": "lambent.layers",
        "calibrate": "lambent.layers",
        "record": "lambent.layers",
        "run_ahead": "lambent.machine.waiting",
        "export_nir": "lambent.nir",
        "import_nir": "lambent.nir",
        "load": "lambent.saving",
        "save": "lambent.saving",
        "Rewiring": "lambent.training",
        "fit": "lambent.training",
    },
)
