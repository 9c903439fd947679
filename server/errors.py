"""What can go wrong in the server, as one small tree.

ServerError
├── BadRequestError   the request cannot be understood or is not allowed (400)
├── NotFoundError     what the request names does not exist (404)
├── ConflictError     the request contradicts what is stored (409)
├── NotNowError       the request may succeed later, the client tries again (429)
├── TooLargeError     a body or a file beyond the limits (413)
├── NoRoomError       the store's disk takes nothing more; the client tries again (507)
└── StoreError   the folder or the database file cannot be used (ends the start)
"""


class ServerError(Exception):
    """An error with a message for the person at the client."""

    status = 500


class BadRequestError(ServerError):
    """The request cannot be understood or is not allowed."""

    status = 400


class NotFoundError(ServerError):
    """What the request names does not exist."""

    status = 404


class ConflictError(ServerError):
    """The request contradicts what is stored."""

    status = 409


class NotNowError(ServerError):
    """The request cannot be served now; the client tries again."""

    status = 429


class TooLargeError(ServerError):
    """A body or a file beyond the configured limit."""

    status = 413


class NoRoomError(ServerError):
    """The store's disk is full, read-only, over its quota or a limit; the client tries again."""

    status = 507


class StoreError(ServerError):
    """The store's folder or database file cannot be used."""
