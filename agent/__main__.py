"""`python -m bpsweep.agent`: what `wandb agent` starts; trains one configuration."""

import signal
import sys
from types import FrameType

from bpsweep.agent.errors import AgentError
from bpsweep.agent.runs.trial import run_trial
from bpsweep.agent.tracking.room import as_no_room
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.errors import DataError
from bpsweep.models import ModelError


def main() -> int:
    """Train one configuration; return the exit status."""
    came: list[int] = []

    def leave(signum: int, frame: FrameType | None) -> None:
        """Take SIGTERM as Ctrl-C, and remember that the machine is taken from the run."""
        came.append(signum)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    keep_freed_memory()
    try:
        run_trial(is_leaving=lambda: bool(came))
    except (AgentError, DataError, ModelError, OSError) as error:
        if isinstance(error, OSError) and as_no_room(error) is None:
            raise
        print(f"bpsweep: {as_no_room(error) or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bpsweep: stopped; the epochs logged so far are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
