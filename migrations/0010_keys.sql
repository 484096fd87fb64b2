-- Who may do what.  Of a key only its SHA-256 is kept.
CREATE TABLE keys (
    id               TEXT PRIMARY KEY NOT NULL,
    name             TEXT NOT NULL,
    sha256           TEXT NOT NULL UNIQUE,
    scopes           TEXT NOT NULL,                   -- separated by spaces
    rate_per_second  REAL CHECK (rate_per_second > 0),
    created_us       INTEGER NOT NULL,
    expires_us       INTEGER,
    revoked_us       INTEGER
) STRICT;

-- Who changed what: keys, menus, aliases, queues, what an administrator does.
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us       INTEGER NOT NULL,
    key_id      TEXT,                                 -- NULL: no keys were configured, or the command line
    action      TEXT NOT NULL,                        -- the route's operation id
    target      TEXT NOT NULL,                        -- path as sent
    status      INTEGER NOT NULL,
    request_id  TEXT
) STRICT;
