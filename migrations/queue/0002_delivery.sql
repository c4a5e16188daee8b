-- A message is held under a name until its distinct id is known.
ALTER TABLE messages RENAME COLUMN credential TO hold;

-- Where messages have been accepted: only such an endpoint can refuse one for good.
CREATE TABLE endpoints (
  endpoint    TEXT PRIMARY KEY,
  accepted_at INTEGER NOT NULL
) STRICT;

-- Until when a flusher sits out a back-off; NULL while none does.
ALTER TABLE delivery ADD COLUMN waiting_until INTEGER;

-- The same as last_error, as an identifier for programs.
ALTER TABLE delivery ADD COLUMN last_code TEXT;
-- The machine that this database is at home on: a salt, and a hash of it and the machine's id.
ALTER TABLE delivery ADD COLUMN machine TEXT;

-- In how many runs a message was refused alone by an endpoint that has not proved itself, and
-- when first.
ALTER TABLE messages ADD COLUMN probed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN probed_at INTEGER;
