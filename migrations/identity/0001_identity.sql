-- All times are Unix milliseconds, UTC. A database of the queue's schema 1 may hold these tables
-- already, hence IF NOT EXISTS.

-- Every anon id ever used here.
CREATE TABLE IF NOT EXISTS identities (
  anon_id      TEXT PRIMARY KEY,
  principal_id TEXT,
  credential   TEXT,             -- fingerprint: linked with it, or asked about
  spoke        INTEGER NOT NULL DEFAULT 0,  -- an event went out, or will, as this anon id
  aliased      INTEGER NOT NULL DEFAULT 0,  -- an alias was made, here or by another program
  created_at   INTEGER NOT NULL,
  retired_at   INTEGER
) STRICT;

-- One current identity.
CREATE UNIQUE INDEX IF NOT EXISTS identities_current ON identities ((retired_at IS NULL)) WHERE retired_at IS NULL;

-- What Arcade Cloud said about a credential, so that it is asked once.
CREATE TABLE IF NOT EXISTS principals (
  credential   TEXT PRIMARY KEY,
  principal_id TEXT NOT NULL,
  learned_at   INTEGER NOT NULL
) STRICT;

-- The digest of usage.json as it was last exported.
CREATE TABLE IF NOT EXISTS mirror (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  digest TEXT NOT NULL
) STRICT;
