"""What the pages know of runs, kept in memory between their questions."""
