"""NIR, the exchange format of spiking-network frameworks (Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9)."""

from lambent.nir.read import import_nir
from lambent.nir.write import export_nir

__all__ = ["export_nir", "import_nir"]
