"""Who asks: the API key (HTTP Basic or Bearer), a page's session cookie, or a signed link."""

import base64
import binascii
import hashlib
import hmac
import time
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import Response

from bpsweep.server import folder, proof
from bpsweep.server.errors import ServerError
from bpsweep.server.settings import Settings
from bpsweep.server.store import Database, Row, users

COOKIE = "bpsweep_session"


class UnauthorizedError(ServerError):
    """No key, or not one of ours."""

    status = 401


class Auth:
    """Checks keys, sessions and links against one store."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Read the store's signing secrets, making them at the first start."""
        self._settings = settings
        self._database = database
        with database.write() as db:
            self._link_secret = users.get_secret(db, "links")
            self._session_secret = users.get_secret(db, "sessions")

    def find_user(self, request: Request) -> Row | None:
        """Return the user whose API key a request carries, or None."""
        key = read_key(request)
        return self.check_key(key) if key else None

    def check_key(self, key: str) -> Row | None:
        """Return the user with this API key, or None."""
        with self._database.read() as db:
            return users.find_user(db, key)

    def require_user(self, request: Request) -> Row:
        """Return the user whose API key a request carries.

        Raises:
            UnauthorizedError: There is no key, or it is nobody's.
        """
        user = self.find_user(request)
        if user is None:
            raise UnauthorizedError(
                "invalid API key: set WANDB_API_KEY to the key that the server printed at its"
                " start (it is also in the file api_key of the server's folder)"
            )
        return user

    def find_page_user(self, request: Request) -> Row | None:
        """Return the user of a page: by session cookie, or by key."""
        number, _, rest = request.cookies.get(COOKIE, "").partition(".")
        expires, _, signature = rest.partition(".")
        if number.isdecimal() and expires.isdecimal() and int(expires) > time.time():
            with self._database.read() as db:
                user = users.get_user(db, int(number))
            if user and hmac.compare_digest(self._sign_session(user, expires), signature):
                return user
        return self.find_user(request)

    def prove(self, nonce: str, port: int) -> str:
        """Return the proof that this server holds the store's own key; see `server/proof.py`.

        Raises:
            BadRequestError: The nonce is not one.
            StoreError: The store's key cannot be read.
        """
        return proof.prove(folder.ensure_key(self._settings.store), nonce, port)

    def start_session(self, response: Response, user: Row) -> None:
        """Give a browser the cookie that lets it see the pages."""
        expires = str(int(time.time()) + self._settings.session_seconds)
        response.set_cookie(
            COOKIE,
            f"{user['id']}.{expires}.{self._sign_session(user, expires)}",
            max_age=self._settings.session_seconds,
            httponly=True,
            samesite="strict",
        )

    def make_form_token(self, request: Request) -> str:
        """Return what the forms of a session's pages carry and no other page can know."""
        return _sign(self._session_secret, f"form {request.cookies.get(COOKIE, '')}")

    def check_form_token(self, request: Request, token: str) -> bool:
        """Return whether a form's token is that of the session it is posted in."""
        return hmac.compare_digest(self.make_form_token(request).encode(), token.encode())

    def _sign_session(self, user: Row, expires: str) -> str:
        # The hash is part of it: a session ends with the key that it was opened with.
        return _sign(self._session_secret, f"{user['id']}.{expires}.{user['key_hash']}")

    def sign_link(self, method: str, path: str) -> str:
        """Return a path with a signature that lets anyone use it with this method for a while."""
        expires = str(int(time.time()) + self._settings.link_seconds)
        signature = _sign(self._link_secret, f"{method} {path} {expires}")
        return f"{path}?{urlencode({'expires': expires, 'signature': signature})}"

    def require_link(self, request: Request) -> None:
        """Let a request pass that carries a valid signature, a key, or a session.

        Raises:
            UnauthorizedError: It carries none of them.
        """
        expires = request.query_params.get("expires", "")
        signature = request.query_params.get("signature", "")
        method = "GET" if request.method == "HEAD" else request.method
        path = request.scope["path"]
        wanted = _sign(self._link_secret, f"{method} {path} {expires}")
        if (
            hmac.compare_digest(wanted, signature)
            and expires.isdecimal()
            and int(expires) > time.time()
        ):
            return
        user = self.find_page_user(request) if method == "GET" else self.find_user(request)
        if user is None:
            raise UnauthorizedError("this link has expired or is not signed by this server")


def read_key(request: Request) -> str | None:
    """Return the API key in a request's Authorization header, or None."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password or None


def _sign(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
