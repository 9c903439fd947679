"""Finished runs to verdicts, tables, figures and one page; pure, takes plain records.

Rooms, from the ground up: statistics, then text, then figures, then page.
"""
