"""Large files that come in parts, in any order; joined when the client says that all are here.

The client cuts files of 2 GiB and more into parts of 100 MiB: a broken connection then costs one
part and not the file. An upload's id begins with the MD5 that the whole has to have.
"""

import re
import secrets
import shutil
import threading
import time
from pathlib import Path

from bpsweep.server.errors import BadRequestError
from bpsweep.server.uploads import Uploads

MAX_PARTS = 10_000
_UPLOAD_ID = re.compile(r"([0-9a-f]{32})-[0-9a-f]{32}")


class Parts:
    """The parts that have come, in a folder for each upload."""

    def __init__(self, uploads: Uploads, keep_s: float) -> None:
        """Delete the parts of uploads that were given up.

        Args:
            uploads: Where whole files go.
            keep_s: How long an upload may take, as long as its links work.
        """
        self._uploads = uploads
        self._folder = uploads.folder / "parts"
        # A client that got no answer in time asks again, while the first call is still at work.
        self._joining = threading.Lock()
        for folder in self._folder.glob("*-*"):
            if folder.stat().st_mtime < time.time() - keep_s:
                shutil.rmtree(folder, ignore_errors=True)

    def start(self, md5: str) -> str:
        """Return the id of a new upload of a file with this MD5 (hex)."""
        return f"{md5}-{secrets.token_hex(16)}"

    def locate(self, upload_id: str, number: int) -> Path:
        """Return where a part lies; parts count from 1.

        Raises:
            BadRequestError: The id is not one of an upload, or the number of no part.
        """
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise BadRequestError(f"{upload_id!r} is not the id of an upload")
        if not 1 <= number <= MAX_PARTS:
            raise BadRequestError(f"parts are numbered from 1 to {MAX_PARTS:,}, got {number}")
        return self._folder / upload_id / str(number)

    def join(self, upload_id: str, numbers: list[int], md5: str) -> None:
        """Make the whole file of its parts; once it is there, asking again changes nothing.

        Raises:
            BadRequestError: A part is missing, or the whole has not the announced MD5.
        """
        if numbers != list(range(1, len(numbers) + 1)):
            raise BadRequestError(f"parts are numbered 1, 2, 3 and so on, got {numbers[:20]}")
        if not numbers or not upload_id.startswith(f"{md5}-"):
            raise BadRequestError(f"upload {upload_id!r} is not one of parts of {md5}")
        pieces = [self.locate(upload_id, number) for number in numbers]
        target = self._uploads.locate_blob(md5)
        with self._joining:
            if not target.exists():
                missing = [piece.name for piece in pieces if not piece.is_file()]
                if missing:
                    raise BadRequestError(f"parts {', '.join(missing[:20])} have not been uploaded")
                try:
                    self._uploads.join(target, pieces, md5=md5)
                except BadRequestError:
                    self._forget(upload_id)  # the client starts anew, under another id
                    raise
            self._forget(upload_id)

    def _forget(self, upload_id: str) -> None:
        shutil.rmtree(self._folder / upload_id, ignore_errors=True)
