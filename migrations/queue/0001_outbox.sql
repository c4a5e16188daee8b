-- All times are Unix milliseconds, UTC.

-- The queue. seq is the order of recording; AUTOINCREMENT so that a number is never used
-- again, even after the queue was erased while a flusher held some of its messages.
CREATE TABLE messages (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid        TEXT NOT NULL UNIQUE,
  kind        TEXT NOT NULL CHECK (kind IN ('capture', 'alias')),
  event       TEXT NOT NULL,
  anon_id     TEXT NOT NULL,
  distinct_id TEXT,              -- NULL: whose it is has not been decided
  credential  TEXT,              -- what the decision waits for; NULL once decided
  properties  TEXT NOT NULL,     -- a JSON object
  recorded_at INTEGER NOT NULL,
  state       TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts    INTEGER NOT NULL DEFAULT 0,  -- refusals by the server; an outage is not one
  last_error  TEXT,
  settled_at  INTEGER
) STRICT;

-- The oldest pending message, the newest receipt and their numbers are found in a backlog of
-- any length. One index and not a partial one for each state: SQLite uses a partial index only
-- where a query repeats its condition word for word.
CREATE INDEX messages_state ON messages (state, seq);
-- What is undecided is found in a backlog of any length.
CREATE INDEX messages_undecided ON messages (seq) WHERE distinct_id IS NULL;
-- One anon id is aliased once: a second alias could merge two people for ever.
CREATE UNIQUE INDEX messages_alias ON messages (anon_id) WHERE kind = 'alias';

CREATE TABLE delivery (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  failures        INTEGER NOT NULL DEFAULT 0,  -- consecutive
  failing_since   INTEGER,                     -- the first of them
  not_before      INTEGER NOT NULL DEFAULT 0,  -- our own back-off
  retry_after     INTEGER NOT NULL DEFAULT 0,  -- the server's Retry-After, as a time
  last_error      TEXT,
  last_success_at INTEGER,
  dropped         INTEGER NOT NULL DEFAULT 0,  -- by the caps
  erased          INTEGER NOT NULL DEFAULT 0,  -- by the user
  housekept_at    INTEGER
) STRICT;
INSERT INTO delivery (id) VALUES (1);

CREATE TABLE consent (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  tracking INTEGER NOT NULL,
  since    INTEGER NOT NULL
) STRICT;
