"""The networks a run can train; they know neither files nor wandb."""

from bpsweep.models.build import MODEL_NAMES, ModelConfig, build_model
from bpsweep.models.convpool import describe_cpu_step
from bpsweep.models.errors import ModelError

__all__ = ["MODEL_NAMES", "ModelConfig", "ModelError", "build_model", "describe_cpu_step"]
