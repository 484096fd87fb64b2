-- Where each alias of a model pointed when, and why.  An alias that was removed has a last row without a version.
CREATE TABLE alias_moves (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL,
    alias    TEXT NOT NULL,
    version  INTEGER,
    reason   TEXT,
    at_us    INTEGER NOT NULL
) STRICT;
CREATE INDEX alias_moves_by_name ON alias_moves (name, alias, seq);
INSERT INTO alias_moves (name, alias, version, at_us) SELECT name, alias, version, moved_us FROM model_aliases;
