"""Records as plotly figures, each with the words that say the same; pure, JSON-able, no browser."""
