"""One run, a sweep worked off, and the command line.

Rooms, from the ground up: tracking and training, then runs, then sweep and verdict, then command.
"""
