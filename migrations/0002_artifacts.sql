-- Published folders: datasets, models, evaluations.  What is in them describes itself.
CREATE TABLE artifacts (
    id          TEXT PRIMARY KEY NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('dataset', 'model', 'evaluation')),
    name        TEXT,                                 -- model: registered name; evaluation: "model@version"
    version     INTEGER NOT NULL DEFAULT 0,           -- models: 1, 2, ... per name
    job_id      TEXT NOT NULL,
    sha256      TEXT,
    created_us  INTEGER NOT NULL
) STRICT;
CREATE INDEX artifacts_by_name ON artifacts (kind, name, version);
CREATE UNIQUE INDEX artifacts_model_version ON artifacts (name, version) WHERE kind = 'model';

-- Folders that a job is about to move to their places: written before the first is moved, gone with the commit that
-- completes the job.  What is left here after a crash is moved back.
CREATE TABLE job_publications (
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    id      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    name    TEXT,
    sha256  TEXT,
    staged  TEXT NOT NULL,                            -- absolute, inside the job's work folder
    PRIMARY KEY (job_id, id)
) STRICT, WITHOUT ROWID;

-- A job asks once for the number of its model and keeps it in every attempt; numbers are never given twice.
CREATE TABLE model_versions (
    name     TEXT NOT NULL,
    version  INTEGER NOT NULL,
    job_id   TEXT NOT NULL,
    PRIMARY KEY (name, version),
    UNIQUE (job_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_aliases (
    name      TEXT NOT NULL,
    alias     TEXT NOT NULL,
    version   INTEGER NOT NULL,
    moved_us  INTEGER NOT NULL,
    PRIMARY KEY (name, alias)
) STRICT, WITHOUT ROWID;
