"""The C++ file behind the convolutions: built once on this machine, kept, checked, loaded.

Built at first use, not at installation: an installation may be made on another processor, and a
machine without a compiler is no error, only slower. The library lies in a folder of the user
alone, under a name made from source, flags, compiler and processor.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import platformdirs
import torch

SWITCH: Final = "BPSWEEP_COMPILED"
"""The variable that, at 0, has every layer computed by torch in its own way."""

_SOURCE: Final = Path(__file__).with_name("convpool.cpp")
_FLAGS: Final = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC")
_TIMEOUT_S: Final = 120.0
_VECTORS: Final = {16: "AVX-512", 8: "AVX"}


class CompileError(Exception):
    """Why the compiled step cannot be had here; torch does the same, slower."""


@dataclass(frozen=True)
class Compiled:
    """The loaded library, or None; and what is in use, in words."""

    library: ctypes.CDLL | None
    description: str


def is_switched_on() -> bool:
    """Tell whether layers may leave torch's own ways; BPSWEEP_COMPILED=0 says no."""
    return os.environ.get(SWITCH, "1") != "0"


@cache
def load_compiled() -> Compiled:
    """Load the library of this machine, built where it is not there yet (about a second).

    Whatever stands in the way is told in the description, never raised: torch takes over.
    """
    try:
        if not is_switched_on():
            raise CompileError(f"{SWITCH}=0")
        compiler, version = find_compiler()
        library = _open_library(build_library(compiler, version, library_folder()))
    except (CompileError, OSError, subprocess.SubprocessError) as error:
        return Compiled(None, f"torch ({error})")
    vectors = _VECTORS.get(library.vector_lanes(), "128 bits")
    return Compiled(library, f"compiled (g++ {version}, {vectors})")


def find_compiler() -> tuple[str, str]:
    """Return path and version of GNU C++, whose OpenMP is the one that torch brings.

    Raises:
        CompileError: There is none.
    """
    if not sys.platform.startswith("linux"):
        raise CompileError(f"the compiled step is made for Linux, this is {sys.platform}")
    for name in (os.environ.get("CXX"), "g++", "c++"):
        path = shutil.which(name) if name else None
        if path is None:
            continue
        said = _run([path, "--version"])
        if "Free Software Foundation" in said:
            return path, _run([path, "-dumpfullversion"]).strip()
    raise CompileError("no GNU C++ compiler found: install g++, or name one in CXX")


def library_folder() -> Path:
    """Return the folder for the library: in BPSWEEP_HOME, else in the user's cache folder."""
    given = os.environ.get("BPSWEEP_HOME")
    home = Path(given).expanduser() if given else platformdirs.user_cache_path("bpsweep")
    return home / "compiled"


def build_library(compiler: str, version: str, folder: Path) -> Path:
    """Return the library's file, compiled first if it is not there; one process builds it.

    Raises:
        CompileError: The folder is open to other users, or the compiler refuses.
        OSError: The folder cannot be written.
    """
    runtime = _find_openmp()
    source = _SOURCE.read_bytes()
    made_from = (*_FLAGS, compiler, version, str(runtime), torch.__version__, _name_processor())
    key = hashlib.sha256(source + "\n".join(made_from).encode()).hexdigest()[:24]
    path = folder / f"convpool-{key}.so"
    with _lock_private(folder):
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                # Linked to torch's own OpenMP by file: two runtimes would fight for the cores
                _run([compiler, *_FLAGS, "-c", str(_SOURCE), "-o", f"{part}.o"])
                _run([compiler, "-shared", f"{part}.o", str(runtime), "-o", str(part)])
                part.rename(path)
            finally:
                part.unlink(missing_ok=True)
                Path(f"{part}.o").unlink(missing_ok=True)
    return path


def _find_openmp() -> Path:
    """Return the file of the OpenMP runtime that torch has loaded.

    Its wheels bring one of their own, named libgomp.so.1 or libgomp-HASH.so.1, as scikit-learn's
    do; a torch built by a distribution uses the system's.
    """
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    mapped = {Path(line.split(maxsplit=5)[-1]) for line in lines if "/libgomp" in line}
    of_torch = [path for path in mapped if Path(torch.__file__).parent in path.parents]
    of_system = [path for path in mapped if path.name.startswith("libgomp.so")]
    if found := sorted(of_torch) or sorted(of_system):
        return found[0]
    raise CompileError("torch runs without GNU OpenMP here")


def _name_processor() -> str:
    """Return what the compiler's "native" depends on."""
    listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    named = ("model name", "flags", "Features", "CPU part")  # x86 and ARM
    return platform.machine() + "\n".join(
        sorted({line for line in listing if line.startswith(named)})
    )


@contextmanager
def _lock_private(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that this user alone can write: its library will be run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise CompileError(f"others can write {str(folder)!r}: remove that folder")
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, errors="replace"
    )
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise CompileError(f"{command[0]} failed: {said}")
    return done.stdout


def _open_library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, integer, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.middle_stride.restype = library.codes_stride.restype = long
    library.forward.argtypes = [pointer, long, integer, *[pointer] * 8, integer]
    library.forward.restype = None
    library.backward.argtypes = [pointer, long, integer, *[pointer] * 9, integer]
    return library
