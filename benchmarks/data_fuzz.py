"""Coverage-guided fuzzing of the TIFF reader: any bytes give pixels or an ImageError.

    pip install atheris     # not among bpsweep's requirements
    python benchmarks/data_fuzz.py CORPUS_DIR [--seconds 600] [--max-bytes 6000]

Fails at another exception, at more than 1 GiB of memory, or when one input takes over a second;
what decodes is also resized. CORPUS_DIR keeps the inputs that reached new code, for the next time;
an input that fails is left there too, as crash-*, oom-* or timeout-*. An empty one starts from a
single small image.
Prints the machine, then libFuzzer's log: inputs tried, code reached, and at the end the failing
input or "Done" with the number of runs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from machine import describe_machine

from bpsweep.data.geometry import fit_image

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("data_fuzz.py needs atheris, which is not installed; `pip install atheris`")

with atheris.instrument_imports(include=["data"]):
    from bpsweep.data.errors import ImageError
    from bpsweep.data.images import decode_image, write_image

_MAX_MEMORY_MIB = 1024
_MAX_SECONDS_AN_INPUT = 1


def try_input(content: bytes) -> None:
    """Decode and resize one input; anything but usable pixels or an ImageError is a failure."""
    try:
        pixels = decode_image(content)
    except ImageError:
        return
    assert pixels.dtype == np.uint16
    assert pixels.ndim == 2
    assert pixels.size
    fit_image(pixels, 16, "native")


def prepare_corpus(folder: Path) -> None:
    """Make the folder; put an image into it if it is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        pixels = np.random.default_rng(0).integers(0, 2**16, (24, 20), dtype=np.uint16)
        write_image(folder / "start.tif", pixels)


def main() -> None:
    """Hand the options to libFuzzer, which ends the process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus_dir", type=Path)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--max-bytes", type=int, default=6000, help="of an input")
    arguments = parser.parse_args()
    print(describe_machine("numpy", "imagecodecs", "atheris"), flush=True)
    prepare_corpus(arguments.corpus_dir)
    options = {
        "max_total_time": arguments.seconds,
        "max_len": arguments.max_bytes,
        "timeout": _MAX_SECONDS_AN_INPUT,
        "rss_limit_mb": _MAX_MEMORY_MIB,
        "artifact_prefix": f"{arguments.corpus_dir}/",
    }
    given = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *given, str(arguments.corpus_dir)], try_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
