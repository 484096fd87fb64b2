-- Queues, priorities that change, tags to filter by, limits of time, reuse of finished work, webhooks, and the history of
-- who held which job when.

-- A queue that nobody has configured has no row: no limit, not paused.
CREATE TABLE queues (
    name         TEXT PRIMARY KEY NOT NULL,
    concurrency  INTEGER CHECK (concurrency >= 0),    -- NULL: as many as there are workers
    paused       INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    revision     INTEGER NOT NULL DEFAULT 1,
    changed_us   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
UPDATE jobs SET queue = kind;
ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;      -- counted up when somebody changes a job by hand
ALTER TABLE jobs ADD COLUMN timeout_us INTEGER;                       -- of one attempt; NULL: none
ALTER TABLE jobs ADD COLUMN outcome TEXT CHECK (outcome IN ('ok', 'partial'));
UPDATE jobs SET outcome = 'ok' WHERE state = 'completed';
ALTER TABLE jobs ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;        -- cancelled without having stopped
ALTER TABLE jobs ADD COLUMN traceparent TEXT;
ALTER TABLE jobs ADD COLUMN tracestate TEXT;
ALTER TABLE jobs ADD COLUMN cache_mode TEXT CHECK (cache_mode IN ('off'));
ALTER TABLE jobs ADD COLUMN cache_key TEXT;       -- SHA-256 of kind, spec, what was read and build; once it is known
ALTER TABLE jobs ADD COLUMN reused_from TEXT;     -- the job whose result this is
ALTER TABLE jobs ADD COLUMN verify_of TEXT;       -- runs that job again, compares, publishes nothing
ALTER TABLE jobs ADD COLUMN verification TEXT;    -- JSON object: what the comparison said
ALTER TABLE jobs ADD COLUMN metrics_thinned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_by_queue ON jobs (state, queue, priority, id);
CREATE INDEX jobs_by_end ON jobs (finished_us) WHERE finished_us IS NOT NULL;
CREATE INDEX jobs_by_cache_key ON jobs (cache_key) WHERE cache_key IS NOT NULL;

CREATE TABLE job_tags (
    tag     TEXT NOT NULL,
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (tag, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_tags_by_job ON job_tags (job_id);
INSERT OR IGNORE INTO job_tags (tag, job_id) SELECT t.value, j.id FROM jobs j, json_each(j.tags) t WHERE j.tags IS NOT NULL;

-- One row each time that a worker took a job, written by triggers in the transaction that changes the job: at most one
-- row of a job has no end.
CREATE TABLE job_runs (
    seq         INTEGER PRIMARY KEY,
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    token       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    worker      TEXT,
    boot        TEXT,
    build       TEXT,
    threads     INTEGER,
    started_us  INTEGER NOT NULL,
    ended_us    INTEGER,
    ended       TEXT                                  -- the state that the job then had
) STRICT;
CREATE INDEX job_runs_by_job ON job_runs (job_id, seq);
CREATE UNIQUE INDEX job_runs_one_open ON job_runs (job_id) WHERE ended_us IS NULL;
INSERT INTO job_runs (job_id, token, attempt, worker, boot, build, threads, started_us)
    SELECT id, lease_token, attempt, worker, boot, run_build, run_threads, coalesce(started_us, created_us) FROM jobs
    WHERE lease_token IS NOT NULL;
CREATE TRIGGER jobs_run_ends AFTER UPDATE OF lease_token ON jobs
    WHEN OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT OLD.lease_token BEGIN
    UPDATE job_runs SET ended = NEW.state,
        ended_us = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000
    WHERE job_id = NEW.id AND ended_us IS NULL;
END;
CREATE TRIGGER jobs_run_begins AFTER UPDATE OF lease_token ON jobs
    WHEN NEW.lease_token IS NOT NULL AND NEW.lease_token IS NOT OLD.lease_token BEGIN
    INSERT INTO job_runs (job_id, token, attempt, worker, boot, build, threads, started_us)
    VALUES (NEW.id, NEW.lease_token, NEW.attempt, NEW.worker, NEW.boot, NEW.run_build, NEW.run_threads,
            coalesce(NEW.started_us, NEW.created_us));
END;

-- Who wants to be told of a job or of a pipeline, and what was told.  The secret itself is in the configuration.
CREATE TABLE webhooks (
    id           TEXT PRIMARY KEY NOT NULL,
    job_id       TEXT REFERENCES jobs (id) ON DELETE CASCADE,
    pipeline_id  TEXT,
    url          TEXT NOT NULL,
    events       TEXT NOT NULL,                       -- JSON array of states, or of "end"
    secret_ref   TEXT,
    created_us   INTEGER NOT NULL,
    CHECK ((job_id IS NULL) <> (pipeline_id IS NULL))
) STRICT;
CREATE INDEX webhooks_by_job ON webhooks (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX webhooks_by_pipeline ON webhooks (pipeline_id) WHERE pipeline_id IS NOT NULL;
CREATE TABLE webhook_deliveries (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id    TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    event         TEXT NOT NULL,
    state         TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts      INTEGER NOT NULL DEFAULT 0,
    next_us       INTEGER NOT NULL,                   -- of the next attempt
    http_status   INTEGER,                            -- of the last one
    error         TEXT,
    created_us    INTEGER NOT NULL,
    finished_us   INTEGER
) STRICT;
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (next_us) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_by_job ON webhook_deliveries (job_id, seq);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id);

-- Random keys that the service gives itself: what signs the cursors of lists.
CREATE TABLE secrets (
    name        TEXT PRIMARY KEY NOT NULL,
    value       BLOB NOT NULL,
    created_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Kinds of artifacts are the engine's to know: a job kind that publishes another one needs no new table.
CREATE TABLE artifacts_any (
    id          TEXT PRIMARY KEY NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT,                                 -- model: registered name; evaluation: "model@version"
    version     INTEGER NOT NULL DEFAULT 0,           -- models: 1, 2, ... per name
    job_id      TEXT NOT NULL,
    sha256      TEXT,
    created_us  INTEGER NOT NULL
) STRICT;
INSERT INTO artifacts_any SELECT id, kind, name, version, job_id, sha256, created_us FROM artifacts ORDER BY rowid;
DROP TABLE artifacts;
ALTER TABLE artifacts_any RENAME TO artifacts;
CREATE INDEX artifacts_by_name ON artifacts (kind, name, version);
CREATE UNIQUE INDEX artifacts_model_version ON artifacts (name, version) WHERE kind = 'model';
CREATE INDEX artifacts_by_job ON artifacts (job_id);
