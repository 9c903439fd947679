"""What the request handlers share: settings, store, uploads, keys and the scheduler."""

from dataclasses import dataclass

from fastapi import Request

from bpsweep.server.auth import Auth
from bpsweep.server.disk import Disk
from bpsweep.server.parts import Parts
from bpsweep.server.scheduler import Scheduler
from bpsweep.server.settings import Settings
from bpsweep.server.store import Database
from bpsweep.server.uploads import Uploads


@dataclass(frozen=True)
class Context:
    """The parts of one server; made by the app factory, kept on the app, never global."""

    settings: Settings
    disk: Disk
    database: Database
    uploads: Uploads
    parts: Parts
    auth: Auth
    scheduler: Scheduler
    started_at: float


def get_context(request: Request) -> Context:
    """Return the context of the app that serves a request."""
    context: Context = request.app.state.context
    return context
