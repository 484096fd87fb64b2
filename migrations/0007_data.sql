-- What data is brought in by others: uploads and dropped files; and what lists and lineage say of an artifact, so that
-- they need not open its folder each time.

-- Artifacts never change, so what was read of one once holds: a JSON object, filled at the first request that needs it.
CREATE TABLE artifact_facts (
    id     TEXT PRIMARY KEY NOT NULL,
    facts  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER artifacts_forgotten AFTER DELETE ON artifacts BEGIN
    DELETE FROM artifact_facts WHERE id = OLD.id;
END;

-- An upload has the file uploads/ID while it grows and uploads/SHA256 when it is complete; names are never paths.
CREATE TABLE uploads (
    name        TEXT PRIMARY KEY NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    received    INTEGER NOT NULL DEFAULT 0,           -- bytes that are durable
    total       INTEGER,                              -- NULL: not stated yet
    sha256      TEXT,                                 -- NULL: not complete
    created_us  INTEGER NOT NULL,
    changed_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_sha256 ON uploads (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX uploads_unfinished ON uploads (changed_us) WHERE sha256 IS NULL;

-- Each state of a file in a drop folder is taken once, whatever becomes of its job.
CREATE TABLE dropped_files (
    path      TEXT NOT NULL,
    bytes     INTEGER NOT NULL,
    mtime_ns  INTEGER NOT NULL,
    label     TEXT,
    job_id    TEXT,                                   -- NULL: it was refused, `error` says why
    error     TEXT,
    seen_us   INTEGER NOT NULL,
    PRIMARY KEY (path, bytes, mtime_ns)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_files_by_time ON dropped_files (seen_us);
