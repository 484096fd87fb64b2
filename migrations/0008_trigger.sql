-- What ran when, and why: each activation, rollback and change of the prescale column.  The last row is the running menu.
CREATE TABLE menu_activations (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT NOT NULL,
    revision         INTEGER NOT NULL,
    prescale_column  TEXT,
    action           TEXT NOT NULL CHECK (action IN ('activate', 'rollback', 'column')),
    reason           TEXT,
    at_us            INTEGER NOT NULL
) STRICT;
INSERT INTO menu_activations (name, revision, prescale_column, action, at_us)
    SELECT name, revision, json_extract(resolved, '$.prescale_column'), 'activate', coalesce(activated_us, created_us)
    FROM menus WHERE active = 1;
