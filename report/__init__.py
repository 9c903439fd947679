"""Finished runs to verdicts and tables; pure, takes plain records."""
