"""The command line `bpsweep`: one file for each group of commands."""
