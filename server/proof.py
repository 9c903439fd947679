"""The proof that this server holds the store's key, given before any client sends a key.

The same lines are in `agent/tracking/proof.py`: server and agent share no code.
"""

import hashlib
import hmac
import re

from bpsweep.server.errors import BadRequestError

_NONCE = re.compile(r"[0-9a-f]{32,128}")


def prove(key: str, nonce: str, port: int) -> str:
    """Return HMAC-SHA256 of a nonce under the key, in hex.

    The port is part of it: a program at another port cannot pass our proof on as its own.

    Raises:
        BadRequestError: The nonce is not one.
    """
    if not _NONCE.fullmatch(nonce):
        raise BadRequestError(f"a nonce is 32 to 128 hex digits, got {nonce[:140]!r}")
    text = f"bpsweep server at port {port} {nonce}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
