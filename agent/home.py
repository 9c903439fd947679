"""Where bpsweep keeps images, caches and the embedded server's store: one folder, BPSWEEP_HOME."""

import errno
import os
from pathlib import Path

import platformdirs

from bpsweep.agent.errors import HomeError
from bpsweep.report.disk import name_trouble


def named_home() -> Path:
    """Return the folder for everything bpsweep keeps, be it there or not."""
    given = os.environ.get("BPSWEEP_HOME")
    folder = Path(given).expanduser() if given else platformdirs.user_cache_path("bpsweep")
    return folder.resolve()


def home() -> Path:
    """Return the folder for everything bpsweep keeps, made if it is not there.

    Raises:
        HomeError: It cannot be made or written.
    """
    folder = named_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            raise OSError(errno.EROFS if is_read_only else errno.EACCES, "it cannot be written")
    except OSError as error:
        reason = name_trouble(error, folder) or f"{error.strerror or error}."
        raise HomeError(
            f"bpsweep cannot keep its data and caches in {str(folder)!r}: {reason} "
            "Set BPSWEEP_HOME to a folder you may write to."
        ) from error
    return folder


def data_dir(given: Path | None = None) -> Path:
    """Return the image folder: given, else BPSWEEP_DATA_DIR, else what was fetched, else made."""
    if given is not None:
        return given
    if named := os.environ.get("BPSWEEP_DATA_DIR"):
        return Path(named).expanduser()
    fetched = fetched_data_dir()
    return fetched if (fetched / "meta.csv").is_file() else embedded_data_dir()


def fetched_data_dir() -> Path:
    """Return the folder that the published images are fetched to."""
    return home() / "data" / "bps"


def embedded_data_dir() -> Path:
    """Return the folder of the embedded synthetic set."""
    return home() / "data" / "synthetic"


def cache_root() -> Path:
    """Return the folder that holds the image caches."""
    return home() / "cache"


def users_dir() -> Path:
    """Return the folder in which the processes that use the embedded server are present."""
    return store_dir() / "users"


def store_dir() -> Path:
    """Return the folder of the embedded server's database and uploads."""
    return home() / "server"
