"""`bpsweep data`: what it writes, and errors as sentences with exit code 2."""

from pathlib import Path

import pytest
from test_data_catalog import make_set
from typer.testing import CliRunner

from bpsweep.agent.command.data import app


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_make_cache_split(tmp_path: Path) -> None:
    code, output = run("make", "--data-dir", "set", "--n-images", 130)
    assert (code, output) == (0, "130 synthetic images in set\n")
    code, output = run("cache", "--data-dir", "set", "--image-size", 32)
    assert code == 0
    assert Path(output.split()[3].rstrip(",")).parent == tmp_path / "home" / "cache"
    code, output = run("split", "--data-dir", "set", "--by", "well", "--out", "split")
    assert code == 0
    assert "Cannot answer: whether it is the radiation" in output
    assert sorted(path.name for path in Path("split").iterdir()) == [
        "split.json",
        "train.csv",
        "val.csv",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cache", "--data-dir", "none"], "no meta.csv in 'none'"),
        (["cache", "--subset", "hi4h"], "did you mean 'hi-4h'?"),
        (["split", "--out", "x", "--by", "wells"], "split 'wells' is unknown"),
        (["cache", "--image-size", "2"], "image_size 2 is not between"),
        (["make", "--hours", "5h"], "did you mean"),
        (["make"], "remove it or choose another folder"),
    ],
)
def test_errors_are_sentences(arguments: list[str], message: str, tmp_path: Path) -> None:
    make_set(tmp_path / "set")
    if "--data-dir" not in arguments:
        arguments = [*arguments, "--data-dir", "set"]
    code, output = run(*arguments)
    assert code == 2
    assert output.startswith("error: ")
    assert message in output
    assert "Traceback" not in output
