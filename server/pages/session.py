"""Who looks at a page: log in with the key, log out, and posts that only our own pages can send."""

from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bpsweep.server.auth import COOKIE, UnauthorizedError
from bpsweep.server.context import get_context
from bpsweep.server.errors import ServerError
from bpsweep.server.limits import read_body
from bpsweep.server.pages.html import render
from bpsweep.server.store import Row

router = APIRouter()

MAX_FORM_BYTES = 1_000_000
TOKEN_HEADER = "x-form-token"  # noqa: S105 - a name, not a secret


class ForeignFormError(ServerError):
    """A post that none of this session's pages has sent."""

    status = 403


@router.get("/login")
def get_login(request: Request) -> Response:
    """Ask for the key."""
    return render("login.html", next=safe_path(request.query_params.get("next", "/")), error="")


@router.post("/login")
async def post_login(request: Request) -> Response:
    """Start a session for whoever has the key."""
    context = get_context(request)
    refuse_foreign(request)
    form = await read_form(request)
    target = safe_path(form.get("next", "/"))
    user = context.auth.check_key(form.get("key", "").strip())
    if user is None:
        return render("login.html", 401, next=target, error="This is not the key of this server.")
    response = RedirectResponse(target, 303)
    context.auth.start_session(response, user)
    return response


@router.post("/logout")
def post_logout(request: Request) -> Response:
    """End the session of this browser."""
    refuse_foreign(request)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/authorize")
def get_authorize(request: Request) -> Response:
    """Say where the key is: the client points users here who have none."""
    return render("authorize.html", store=get_context(request).settings.store.name)


def find_user(request: Request) -> Row | None:
    """Return who looks at a page, or None."""
    return get_context(request).auth.find_page_user(request)


def require_user(request: Request) -> Row:
    """Return who asks for a page's data.

    Raises:
        UnauthorizedError: Nobody we know.
    """
    user = find_user(request)
    if user is None:
        raise UnauthorizedError("log in again: this page's session has ended")
    return user


def ask_to_log_in(request: Request) -> Response:
    """Send a browser to the login page and from there back."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(target)}", 303)


def render_missing(request: Request, user: Row, message: str) -> Response:
    """Return the page that says what is not here."""
    token = make_form_token(request)
    note = describe_disk(request)
    return render("missing.html", 404, user=user, disk_note=note, token=token, message=message)


def describe_disk(request: Request) -> str:
    """Return why nothing can be stored, and what to do; "" while all is well."""
    trouble = get_context(request).disk.trouble
    return "" if trouble is None else f"Runs wait: {trouble}"


def make_form_token(request: Request) -> str:
    """Return what a page's forms carry."""
    return get_context(request).auth.make_form_token(request)


async def read_form(request: Request) -> dict[str, str]:
    """Return a small form's fields.

    Raises:
        TooLargeError: It has more than a million bytes.
    """
    body = await read_body(request, MAX_FORM_BYTES)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


def require_own_form(request: Request, form: dict[str, str]) -> Row:
    """Return who posts a form, which carries the token that the page was given.

    The cookie alone proves nothing: other programs that serve pages on this machine's other ports
    are the same site to a browser, and it would send the cookie with their posts too.

    Raises:
        UnauthorizedError: Nobody we know.
        ForeignFormError: The form is not from one of this session's pages.
    """
    refuse_foreign(request)
    auth = get_context(request).auth
    user = require_user(request)
    token = request.headers.get(TOKEN_HEADER) or form.get("token", "")
    if auth.find_user(request) is None and not auth.check_form_token(request, token):
        raise ForeignFormError("this form belongs to another session: load its page again")
    return user


def refuse_foreign(request: Request) -> None:
    """Refuse a post from another site's page.

    Raises:
        ForeignFormError: The browser says that it comes from elsewhere.
    """
    origin = request.headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise ForeignFormError(f"a form is posted from this server's own pages, not from {origin}")


def safe_path(target: str) -> str:
    """Return a path on this server, never an address elsewhere."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_local else "/"
