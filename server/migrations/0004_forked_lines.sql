-- A fork begins with lines of another run; its own program counts its lines from 0 behind them.
ALTER TABLE runs ADD COLUMN forked_lines INTEGER NOT NULL DEFAULT 0;
