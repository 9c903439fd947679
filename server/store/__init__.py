"""All SQL of the server: one module per noun, each a set of functions over a connection."""

from bpsweep.server.store.database import Connection, Database, Row

__all__ = ["Connection", "Database", "Row"]
