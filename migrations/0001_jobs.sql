-- Jobs, their committed units and checkpoints.  Times are unix microseconds.  `errors`, `needs` and `tags` are JSON
-- arrays, `spec` and `result` JSON objects; SQL looks into `errors` and `needs` only.
CREATE TABLE jobs (
    id                TEXT PRIMARY KEY NOT NULL,
    kind              TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('pending', 'scheduled', 'available', 'running', 'cancelling',
                                                     'retryable', 'completed', 'cancelled', 'discarded')),
    spec              TEXT NOT NULL,
    spec_sha256       TEXT NOT NULL,
    result            TEXT,
    errors            TEXT NOT NULL DEFAULT '[]',
    pipeline_id       TEXT,
    step              TEXT,
    needs             TEXT,
    tags              TEXT,
    priority          INTEGER NOT NULL,               -- 0 runs first
    attempt           INTEGER NOT NULL DEFAULT 0,
    max_attempts      INTEGER NOT NULL,
    crashes           INTEGER NOT NULL DEFAULT 0,     -- processes that ended under it since its last committed unit
    cancel_reason     TEXT CHECK (cancel_reason IN ('user', 'upstream')),
    cancel_at_us      INTEGER,                        -- when the cancel was asked for
    created_us        INTEGER NOT NULL,
    run_at_us         INTEGER NOT NULL,               -- not to be started before
    started_us        INTEGER,
    finished_us       INTEGER,
    worker            TEXT,
    boot              TEXT,                           -- of the process that runs it
    lease_token       TEXT,                           -- every write of a running job names it
    lease_expires_us  INTEGER,
    checkpoint_us     INTEGER,
    phase             TEXT,
    unit              TEXT,
    message           TEXT,
    done              INTEGER NOT NULL DEFAULT 0,
    total             INTEGER NOT NULL DEFAULT -1,    -- -1: unknown
    fraction          REAL NOT NULL DEFAULT 0,
    rate_per_second   REAL NOT NULL DEFAULT 0,
    UNIQUE (pipeline_id, step)
) STRICT;
CREATE INDEX jobs_queue ON jobs (state, priority, id);

-- A job starts when all that it needs are completed.
CREATE TABLE job_needs (
    job_id   TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    need_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (job_id, need_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_needs_down ON job_needs (need_id);

-- A unit is done when its row is here.
CREATE TABLE job_units (
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    phase         INTEGER NOT NULL,
    unit          INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    committed_us  INTEGER NOT NULL,
    result        BLOB NOT NULL,
    PRIMARY KEY (job_id, phase, unit)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_checkpoints (
    job_id    TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    saved_us  INTEGER NOT NULL,
    data      BLOB NOT NULL
) STRICT;

-- What a job says of itself along the way: loss by epoch.
CREATE TABLE job_metrics (
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    step    INTEGER NOT NULL,
    value   REAL NOT NULL,
    PRIMARY KEY (job_id, key, step)
) STRICT, WITHOUT ROWID;
