"""One run and the command line: config > engine > train > cli."""
