"""Runs from beginning to end, and the processes that train them."""
