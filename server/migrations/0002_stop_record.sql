-- What early termination knew when it gave a run up, so that the verdict can be computed again.
ALTER TABLE runs ADD COLUMN stop_record TEXT;
