-- A program has begun anew under the name of a run that had ended; its first lines replace the old.
ALTER TABLE runs ADD COLUMN restarting INTEGER NOT NULL DEFAULT 0;
