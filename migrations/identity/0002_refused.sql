-- What Arcade Cloud did not accept, and when (Unix milliseconds, UTC), so that it is not asked
-- with the same again for an hour.
CREATE TABLE refused (
  credential TEXT PRIMARY KEY,   -- fingerprint
  token      TEXT NOT NULL,      -- a hash of what was shown: a login has a new one each hour
  refused_at INTEGER NOT NULL
) STRICT;
