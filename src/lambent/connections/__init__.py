"""Which unit reaches which, how strongly and when."""

from lambent.connections.connections import Connections
from lambent.connections.conv import AvgPool2d, Conv1d, Conv2d, SumPool2d
from lambent.connections.dense import Dense
from lambent.connections.sparse import Sparse

CONNECTIONS: tuple[type[Connections], ...] = (Dense, Sparse, Conv1d, Conv2d, SumPool2d, AvgPool2d)
"""Every kind of connections, for the tests that all of them pass."""

__all__ = ["CONNECTIONS", "AvgPool2d", "Connections", "Conv1d", "Conv2d", "Dense", "Sparse", "SumPool2d"]
