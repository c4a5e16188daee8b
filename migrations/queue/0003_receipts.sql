-- What was learned about the endpoint that messages go to. Another endpoint begins anew.
ALTER TABLE delivery ADD COLUMN endpoint TEXT;
ALTER TABLE delivery ADD COLUMN accepted_at INTEGER;  -- it has accepted a message, first then
ALTER TABLE delivery ADD COLUMN batch_size INTEGER;   -- how many messages a request may carry
ALTER TABLE delivery ADD COLUMN memo TEXT;            -- the sink's own, such as the protocol
ALTER TABLE delivery ADD COLUMN memo_until INTEGER;

UPDATE delivery SET (endpoint, accepted_at) =
  (SELECT endpoint, accepted_at FROM endpoints ORDER BY accepted_at DESC LIMIT 1);
DROP TABLE endpoints;

-- In how many runs a message was refused alone by an endpoint that has not accepted anything, and
-- when first.
ALTER TABLE messages RENAME COLUMN probed TO refused_alone;
ALTER TABLE messages RENAME COLUMN probed_at TO refused_at;

-- The machines that this database is at home on: a salt, and a hash of it and the machine's id.
CREATE TABLE machines (
  mark    TEXT PRIMARY KEY,
  seen_at INTEGER NOT NULL
) STRICT;
INSERT INTO machines (mark, seen_at)
  SELECT machine, coalesce(last_success_at, 0) FROM delivery WHERE machine IS NOT NULL AND machine <> '';

-- The embedder's anonymous id of this installation, if it has asked for one.
ALTER TABLE delivery ADD COLUMN install_id TEXT;
