-- What happened to a job, in the order of `seq`, for followers and logs: every change of its state (in the transaction
-- that changes it), every point of a metric, every line it logged.  `data` is a JSON object.
CREATE TABLE job_events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,        -- never given twice
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at_us   INTEGER NOT NULL,                         -- of states: in whole milliseconds
    type    TEXT NOT NULL CHECK (type IN ('state', 'metric', 'log')),
    data    TEXT NOT NULL
) STRICT;
CREATE INDEX job_events_by_job ON job_events (job_id, seq);

-- No JSON functions in here: SQLite refuses them in a trigger of a schema that is not trusted.
CREATE TRIGGER jobs_state_event AFTER UPDATE OF state ON jobs WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO job_events (job_id, at_us, type, data)
    VALUES (NEW.id, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000, 'state',
            '{"state":"' || NEW.state || '","attempt":' || NEW.attempt || '}');
END;

-- What made the result: build and threads of the last attempt, and the artifacts that it read.
ALTER TABLE jobs ADD COLUMN run_build TEXT;
ALTER TABLE jobs ADD COLUMN run_threads INTEGER;
CREATE TABLE job_inputs (
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    ref     TEXT NOT NULL,                            -- as the spec has it: "topology-hlf@champion"
    id      TEXT NOT NULL,                            -- what it stood for: "topology-hlf@3"
    sha256  TEXT,
    PRIMARY KEY (job_id, kind, ref)
) STRICT, WITHOUT ROWID;
