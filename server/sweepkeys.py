"""Every key of a W&B sweep file: what this server does with it, or why it does not take it.

The keys are those of the schemas of W&B's `sweeps` 0.2 and 0.3, and those that W&B's server or this
one reads beside them. docs/SWEEP_KEYS.md is written from here and held to both by a test.
"""

import difflib
import sys
from collections.abc import Iterable

_NO_LAUNCH = "this server has no Launch: agents on your machines start the runs"

# Keys of the file that are served, each with what it does.
SERVED = {
    "apiVersion": "Accepted; says nothing that a search needs.",
    "kind": "Accepted; the one kind is `sweep`.",
    "name": "The sweep's name.",
    "description": "The sweep's description.",
    "entity": "Whose project it goes to, unless the command names another.",
    "project": "The project it goes to, unless the command names another.",
    "program": "What agents start.",
    "command": "How agents start it.",
    "method": "`grid`, `random`, `bayes`; `custom` with a `scheduler`.",
    "parameters": "The search space; may be left out where `scheduler.search_space` gives it.",
    "metric": "What is judged: needed by `bayes` and `early_terminate`.",
    "metric.name": "The metric's name as the program logs it.",
    "metric.goal": "`minimize` (the default) or `maximize`.",
    "metric.target": "The sweep ends once a run has reached this value.",
    "metric.impute": "What `bayes` takes for runs that failed: `latest`, `best`, `worst`.",
    "metric.impute_while_running": (
        "`latest`, `best` or `worst`: `bayes` takes runs at work into account by that value of"
        " what they have logged; `false` (the default) by its own prediction."
    ),
    "metrics": "Two or more metrics, for `method: custom` alone.",
    "early_terminate": "Ends runs early; not together with a `scheduler`, which does that itself.",
    "early_terminate.type": "`hyperband`.",
    "early_terminate.min_iter": "The first band: how many values a run logs before it is judged.",
    "early_terminate.max_iter": "The last value that counts, with `s`.",
    "early_terminate.s": "How many bands there are below `max_iter`.",
    "early_terminate.eta": "Each band keeps one run in `eta`, and is `eta` times the one before.",
    "early_terminate.strict": (
        "`true` (the default, as in `sweeps` 0.3) judges a run by its value at the band, `false`"
        " by its best so far."
    ),
    "scheduler": "Runs come from `wandb sweep-scheduler`; agents get what it queues, nothing else.",
    "scheduler.engine": "`optuna` or `ax` with `method: custom`; `wandb` with the other methods.",
    "scheduler.source": "The Python file with your own functions.",
    "scheduler.optimizer": "Names the function that makes the study or client.",
    "scheduler.search_space": "Names the function that draws a configuration.",
    "controller": "Accepted as `type: cloud`.",
    "controller.type": "`cloud`: this server searches. `local` is refused.",
    "run_cap": "How many configurations are tried at most.",
    "seed": "Of this server alone: the same seed and results give the same suggestions.",
}
# Keys of the file that are refused, each with the reason.
REFUSED = {
    "job": _NO_LAUNCH,
    "image_uri": _NO_LAUNCH,
    "queue": _NO_LAUNCH,
    "launch": _NO_LAUNCH,
    "scheduler.job": _NO_LAUNCH,
    "scheduler.name": _NO_LAUNCH,
}
# Keys that are taken with a warning, since they change nothing here.
WITHOUT_EFFECT = {"settings": "has no effect here: give run settings as WANDB_* variables"}


def list_keys(section: str = "") -> list[str]:
    """Return the names of a section's served keys; those of the file for no section."""
    start = f"{section}." if section else ""
    names = [key.removeprefix(start) for key in SERVED if key.startswith(start)]
    return [name for name in names if "." not in name]


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for a name like a known one, else an empty text."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def write_table() -> str:
    """Return docs/SWEEP_KEYS.md as the tables of keys make it."""
    lines = [
        "# Keys of a sweep file",
        "",
        "Every key of W&B's sweep schema, and what the embedded server does with it. Held to the",
        "schema by a test, written by `python -m bpsweep.server.sweepkeys > docs/SWEEP_KEYS.md`.",
        "What a parameter takes is in [W&B's own documentation]"
        "(https://docs.wandb.ai/models/sweeps/sweep-config-keys): all of its distributions are"
        " served.",
        "",
        "| key | served | how |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | yes | {text} |" for key, text in SERVED.items()]
    lines += [f"| `{key}` | without effect | It {text}. |" for key, text in WITHOUT_EFFECT.items()]
    lines += [
        f"| `{key}` | no | Refused: {text}. |" for key, text in REFUSED.items() if "." not in key
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_table())
