"""Which unit reaches which, how strongly and when."""

from lambent.connections.connections import Connections
from lambent.connections.dense import Dense
from lambent.connections.sparse import Sparse

CONNECTIONS: tuple[type[Connections], ...] = (Dense, Sparse)
"""Every kind of connections, for the tests that all of them pass."""

__all__ = ["CONNECTIONS", "Connections", "Dense", "Sparse"]
