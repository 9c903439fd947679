"""Everything said to W&B, cloud or embedded; the one place that imports wandb."""
