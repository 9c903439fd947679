"""Files to batches: catalog > fetch | synthetic > images > cache > splits > loader."""
