-- What a submission with an Idempotency-Key was answered, written in the transaction that inserted its jobs.  Rows older
-- than a day are forgotten by the next submission that has a key.
CREATE TABLE submit_answers (
    route        TEXT NOT NULL,
    key          TEXT NOT NULL,
    body_sha256  TEXT NOT NULL,                       -- of the body as it was posted
    id           TEXT NOT NULL,                       -- of the job or pipeline; it may be deleted since
    answer       TEXT NOT NULL,
    created_us   INTEGER NOT NULL,
    PRIMARY KEY (route, key)
) STRICT;
CREATE INDEX submit_answers_by_age ON submit_answers (created_us);
