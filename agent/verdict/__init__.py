"""What a finished sweep is worth: the runs that test it, and what is printed and written of it."""
