"""The networks a run can train; they know neither files nor wandb."""
