-- Times are seconds since the epoch (UTC). JSON columns hold text exactly as the client sent it.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    key_hash   TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL
);

CREATE TABLE projects (
    id          INTEGER PRIMARY KEY,
    entity      TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    created_at  REAL NOT NULL,
    UNIQUE (entity, name)
);

CREATE TABLE sweeps (
    id             INTEGER PRIMARY KEY,
    project_id     INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    display_name   TEXT,
    description    TEXT,
    config         TEXT NOT NULL,
    method         TEXT NOT NULL,
    state          TEXT NOT NULL
                   CHECK (state IN ('PENDING', 'RUNNING', 'PAUSED', 'FINISHED', 'CANCELED')),
    state_reason   TEXT,
    exhausted      INTEGER NOT NULL DEFAULT 0,
    controller     TEXT,
    scheduler      TEXT,
    seed           INTEGER NOT NULL,
    cursor         INTEGER NOT NULL DEFAULT 0,
    run_count_expected INTEGER,
    created_at     REAL NOT NULL,
    updated_at     REAL NOT NULL,
    heartbeat_at   REAL,
    UNIQUE (project_id, name)
);

CREATE TABLE agents (
    id           INTEGER PRIMARY KEY,
    sweep_id     INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    name         TEXT NOT NULL UNIQUE,
    host         TEXT NOT NULL,
    created_at   REAL NOT NULL,
    heartbeat_at REAL NOT NULL
);
CREATE INDEX agents_by_sweep ON agents (sweep_id);

CREATE TABLE runs (
    id              INTEGER PRIMARY KEY,
    project_id      INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    sweep_id        INTEGER REFERENCES sweeps (id) ON DELETE SET NULL,
    agent_id        INTEGER REFERENCES agents (id) ON DELETE SET NULL,
    user_id         INTEGER REFERENCES users (id),
    name            TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN (
                        'pending', 'running', 'finished', 'failed', 'crashed', 'killed',
                        'preempting', 'preempted')),
    state_reason    TEXT,
    config          TEXT NOT NULL DEFAULT '{}',
    summary_metrics TEXT NOT NULL DEFAULT '{}',
    system_metrics  TEXT NOT NULL DEFAULT '{}',
    history_keys    TEXT NOT NULL DEFAULT '{}',
    last_step       INTEGER NOT NULL DEFAULT -1,
    history_lines   INTEGER NOT NULL DEFAULT 0,
    event_lines     INTEGER NOT NULL DEFAULT 0,
    output_lines    INTEGER NOT NULL DEFAULT 0,
    group_name      TEXT,
    job_type        TEXT,
    host            TEXT,
    program         TEXT,
    repo            TEXT,
    commit_hash     TEXT,
    description     TEXT,
    notes           TEXT,
    tags            TEXT NOT NULL DEFAULT '[]',
    exit_code       INTEGER,
    created_at      REAL NOT NULL,
    updated_at      REAL NOT NULL,
    started_at      REAL,
    finished_at     REAL,
    heartbeat_at    REAL,
    stop_requested_at REAL,
    stop_reason     TEXT,
    UNIQUE (project_id, name)
);
CREATE INDEX runs_by_sweep ON runs (sweep_id, created_at);
CREATE INDEX runs_open ON runs (sweep_id)
    WHERE state IN ('pending', 'running', 'preempting', 'preempted');
CREATE INDEX runs_by_agent ON runs (agent_id, state);

-- What the search suggested and who works on it; one row per attempt at a configuration.
CREATE TABLE trials (
    id           INTEGER PRIMARY KEY,
    sweep_id     INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    run_id       INTEGER UNIQUE REFERENCES runs (id) ON DELETE SET NULL,
    config_key   TEXT NOT NULL,
    attempt      INTEGER NOT NULL DEFAULT 1,
    retry_of     INTEGER REFERENCES trials (id) ON DELETE SET NULL,
    ordinal      INTEGER NOT NULL,
    args         TEXT NOT NULL,
    reason       TEXT NOT NULL,
    seen_runs    TEXT,
    queued       INTEGER NOT NULL DEFAULT 0,
    delivered_at REAL,
    delivered_boot TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    created_at   REAL NOT NULL,
    UNIQUE (sweep_id, config_key, attempt)
);
CREATE INDEX trials_queued ON trials (sweep_id) WHERE queued = 1;
CREATE UNIQUE INDEX trials_one_retry ON trials (retry_of) WHERE retry_of IS NOT NULL;

CREATE TABLE prior_runs (
    sweep_id INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    run_id   INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (sweep_id, run_id)
) WITHOUT ROWID;

CREATE TABLE history (
    run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    line   INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    metric REAL,
    data   TEXT NOT NULL,
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;
CREATE INDEX history_by_step ON history (run_id, step);

CREATE TABLE events (
    run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    line   INTEGER NOT NULL,
    data   TEXT NOT NULL,
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;

CREATE TABLE output (
    run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    line   INTEGER NOT NULL,
    data   TEXT NOT NULL,
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;

CREATE TABLE files (
    id         INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    size       INTEGER,
    md5        TEXT,
    mimetype   TEXT,
    updated_at REAL,
    created_at REAL NOT NULL,
    UNIQUE (run_id, name)
);

CREATE TABLE artifact_types (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    description TEXT,
    created_at  REAL NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE collections (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    type_id     INTEGER NOT NULL REFERENCES artifact_types (id),
    kind        TEXT NOT NULL CHECK (kind IN ('ArtifactSequence', 'ArtifactPortfolio')),
    name        TEXT NOT NULL,
    description TEXT,
    client_id   TEXT,
    tags        TEXT NOT NULL DEFAULT '[]',
    created_at  REAL NOT NULL,
    updated_at  REAL NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE artifacts (
    id            INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    run_id        INTEGER REFERENCES runs (id) ON DELETE SET NULL,
    state         TEXT NOT NULL CHECK (state IN ('PENDING', 'COMMITTED', 'DELETED')),
    digest        TEXT NOT NULL,
    digest_algorithm TEXT NOT NULL DEFAULT 'MANIFEST_MD5',
    client_id     TEXT,
    distributed_id TEXT,
    description   TEXT,
    metadata      TEXT,
    tags          TEXT NOT NULL DEFAULT '[]',
    wanted_aliases TEXT NOT NULL DEFAULT '[]',
    history_step  INTEGER,
    ttl_seconds   INTEGER NOT NULL DEFAULT -1,
    size          INTEGER NOT NULL DEFAULT 0,
    file_count    INTEGER NOT NULL DEFAULT 0,
    created_at    REAL NOT NULL,
    updated_at    REAL NOT NULL
);
CREATE INDEX artifacts_by_digest ON artifacts (collection_id, digest);
CREATE UNIQUE INDEX artifacts_by_client ON artifacts (client_id) WHERE client_id IS NOT NULL;

CREATE TABLE memberships (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    artifact_id   INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    version_index INTEGER NOT NULL,
    created_at    REAL NOT NULL,
    PRIMARY KEY (collection_id, artifact_id),
    UNIQUE (collection_id, version_index)
) WITHOUT ROWID;

CREATE TABLE aliases (
    id            INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    alias         TEXT NOT NULL,
    artifact_id   INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    UNIQUE (collection_id, alias)
);

CREATE TABLE manifests (
    id          INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    type        TEXT NOT NULL,
    name        TEXT NOT NULL,
    digest      TEXT,
    base_artifact_id INTEGER,
    uploaded    INTEGER NOT NULL DEFAULT 0,
    created_at  REAL NOT NULL
);
CREATE INDEX manifests_by_artifact ON manifests (artifact_id);

CREATE TABLE artifact_files (
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    size        INTEGER NOT NULL DEFAULT 0,
    ref         TEXT,
    PRIMARY KEY (artifact_id, name)
) WITHOUT ROWID;

CREATE TABLE artifact_uses (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    used_as     TEXT,
    created_at  REAL NOT NULL,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;
