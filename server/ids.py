"""Names and identifiers: run names, GraphQL ids, cursors and timestamps."""

import base64
import binascii
import random
import secrets
import string
from datetime import UTC, datetime

from bpsweep.server.errors import BadRequestError

_ALPHABET = string.ascii_lowercase + string.digits
# Half a nickname each.
_ADJECTIVES = (
    *("amber", "bright", "calm", "clear", "crisp", "deft", "early", "fair", "fleet", "gentle"),
    *("golden", "keen", "lively", "lucid", "mellow", "merry", "noble", "patient", "polished"),
    *("prime", "quiet", "rapid", "serene", "silver", "steady", "sunny", "swift", "tidy", "vivid"),
)
_NOUNS = (
    *("atom", "beam", "cell", "comet", "field", "focus", "gamma", "halo", "helix", "ion"),
    *("lattice", "lens", "muon", "nebula", "nova", "nucleus", "orbit", "photon", "plate"),
    *("prism", "proton", "pulse", "quark", "ray", "signal", "spark", "track", "wave", "well"),
)


def make_name(length: int = 8) -> str:
    """Return a random name as W&B gives them to runs and sweeps."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def make_display_name(number: int, *, in_sweep: bool) -> str:
    """Return a readable name for a run, e.g. "swift-photon-12" or "swift-sweep-12"."""
    rng = random.Random(number * 7919)  # noqa: S311 - a nickname, not a secret
    noun = "sweep" if in_sweep else rng.choice(_NOUNS)
    return f"{rng.choice(_ADJECTIVES)}-{noun}-{number}"


def encode_id(kind: str, number: int) -> str:
    """Return the GraphQL id of a row. Artifact ids must be base64: clients turn them into hex."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def decode_id(kind: str, value: str) -> int:
    """Return the row number in a GraphQL id of the given kind.

    Raises:
        BadRequestError: The text is not such an id.
    """
    try:
        found, _, number = base64.b64decode(value, validate=True).decode().partition(":")
        if found == kind:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise BadRequestError(f"{value!r} is no id of the kind {kind}")


def encode_cursor(offset: int) -> str:
    """Return the cursor of the row at this offset of a listing."""
    return encode_id("Cursor", offset)


def decode_cursor(value: str | None) -> int:
    """Return the offset at which a listing goes on after this cursor (0 without one)."""
    return decode_id("Cursor", value) + 1 if value else 0


def format_time(seconds: float | None) -> str | None:
    """Return seconds since the epoch as the ISO text that the client parses."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> float:
    """Return an ISO time as seconds since the epoch; without a zone it is UTC.

    Raises:
        BadRequestError: The text is not an ISO time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequestError(f"{text!r} is not an ISO time like 2026-01-31T12:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
