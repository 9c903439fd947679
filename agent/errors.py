"""What can go wrong in a run or on the command line that a user can mend."""


class AgentError(Exception):
    """The base of them all: shown as a sentence, without a traceback."""


class ConfigError(AgentError, ValueError):
    """Settings that no run can be made of; the message lists every problem at once."""


class HomeError(AgentError, OSError):
    """The folder for data and caches cannot be used."""


class NoRoomError(AgentError, OSError):
    """A disk takes nothing more; a run that meets it is interrupted, and has not failed."""


class DivergedError(AgentError, ArithmeticError):
    """The loss is no longer a finite number; going on would be a waste."""


class ServerError(AgentError, RuntimeError):
    """The embedded server cannot be started or does not answer."""


class WorkersError(AgentError, RuntimeError):
    """The processes that train died, and the work is not done."""


class TrackingError(AgentError, RuntimeError):
    """W&B, cloud or embedded, did not do what was asked."""


class ClientServiceError(TrackingError):
    """wandb-core, the process in which the wandb client does its work, has died."""
