-- A run logged a version that was there already, with the same files; its own are artifacts.run_id.
CREATE TABLE artifact_outputs (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    created_at  REAL NOT NULL,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;
CREATE INDEX artifact_outputs_by_artifact ON artifact_outputs (artifact_id);
