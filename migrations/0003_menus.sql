-- Trigger menus: drafts and what activation froze.  At most one revision of one menu is active.
CREATE TABLE menus (
    name          TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    body          TEXT NOT NULL,
    resolved      TEXT,
    comment       TEXT,
    created_us    INTEGER NOT NULL,
    activated_us  INTEGER,
    active        INTEGER NOT NULL DEFAULT 0 CHECK (active IN (0, 1)),
    PRIMARY KEY (name, revision)
) STRICT;
CREATE UNIQUE INDEX menus_one_active ON menus (active) WHERE active = 1;
