"""How one server is set up."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_ENTITY = "bpsweep"
DEFAULT_PROJECT = "bpsweep"


@dataclass(frozen=True)
class Settings:
    """Settings of one server.

    Attributes:
        store: Folder of the database, the uploads and the key.
        lease_seconds: A run of which nothing is heard for this long has crashed. The client's file
            stream speaks at least every 30 s, an agent every 5 s.
        max_attempts: How often a crashed configuration is tried without anyone asking; 1 is once.
        entity: The user that the store's own key belongs to.
        max_body_bytes: Longest request body, packed or unpacked. The client sends up to 10 MiB.
        max_upload_bytes: Largest uploaded file.
        hosts: Names that the server answers to, beside those of loopback and addresses in digits.
        any_address: Whether it answers to every address in digits, not only to loopback.
        link_seconds: How long a signed upload or download link works.
        while_used: End when no process is present in the store's folder users/ any more.
    """

    store: Path
    lease_seconds: float = 90.0
    max_attempts: int = 1
    entity: str = DEFAULT_ENTITY
    max_body_bytes: int = 64 << 20
    max_upload_bytes: int = 64 << 30
    hosts: frozenset[str] = frozenset({"localhost"})
    any_address: bool = False
    link_seconds: int = 7 * 86_400
    session_seconds: int = 30 * 86_400
    while_used: bool = False

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.store / "bpsweep.sqlite3"

    @property
    def uploads(self) -> Path:
        """The folder of uploaded bytes."""
        return self.store / "uploads"
