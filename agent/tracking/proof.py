"""Whether what listens at an address is our server: it proves that it holds the store's key.

After a server has ended any program may listen at its address. It is asked for the HMAC of a nonce
before a key is sent to it. The same lines are in `server/proof.py`: they share no code.
"""

import hashlib
import hmac
import http.client
import json
import os
import secrets
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit

MUST_PROVE: Final = "BPSWEEP_SERVER_PROVES"
"""Set to 1 beside WANDB_BASE_URL where that is the embedded server, whose key is WANDB_API_KEY."""
_MAX_ANSWER: Final = 4096


def is_proven(url: str, key: str, timeout_s: float = 5.0) -> bool:
    """Tell whether the server at an address holds a key; the key itself is not sent.

    Raises:
        OSError: Nothing answers there.
    """
    nonce = secrets.token_hex(32)
    text = f"bpsweep server at port {urlsplit(url).port} {nonce}"
    wanted = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/healthz?nonce={nonce}", timeout=timeout_s) as answer:
            found = json.loads(answer.read(_MAX_ANSWER))
    except urllib.error.HTTPError:
        return False  # something else answers
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer from {url}: {error!r}") from error
    except ValueError:
        return False
    proof = found.get("proof") if isinstance(found, dict) else None
    return isinstance(proof, str) and hmac.compare_digest(wanted.encode(), proof.encode())


def is_stranger(url: str) -> bool:
    """Tell whether what listens where the embedded server was in use is not that server.

    Any other server need not prove anything, and what does not answer is no stranger yet.
    """
    if os.environ.get(MUST_PROVE) != "1":
        return False
    try:
        return not is_proven(url, os.environ["WANDB_API_KEY"])
    except OSError:
        return False


def describe_stranger(url: str) -> str:
    """Say that what listens at an address has not proved to be ours, and what to do."""
    return (
        f"what listens at {url} does not prove that it holds the key of this machine's store: it "
        "is another program, or a bpsweep server of an older version. No key was sent to it. End "
        "it, or start an older server again with this version (`bpsweep serve`)"
    )
