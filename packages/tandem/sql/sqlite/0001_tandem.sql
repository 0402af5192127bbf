-- Tandem's tables in a service's own SQLite database.
-- Instants are milliseconds since the epoch by SQLite's clock, but sent_at, which is the sender's.
-- breaking: no

CREATE TABLE tandem_schema_version (
  version INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  applied_at INTEGER NOT NULL,
  -- 1 if a package that does not know this version cannot work with it
  breaking INTEGER NOT NULL
) STRICT;

-- Messages to publish. AUTOINCREMENT: a position is never given twice, also when the table was empty in between. No index by shard:
-- every page that a message touches is written again by each of the user's commits.
CREATE TABLE tandem_outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  shard INTEGER NOT NULL,
  id TEXT NOT NULL,
  topic TEXT NOT NULL,
  key TEXT,
  type TEXT NOT NULL,
  -- failed publications so far
  attempts INTEGER NOT NULL DEFAULT 0,
  first_failed_at INTEGER,
  -- 1 if messages of its key may wait behind it in outbox_held
  releases INTEGER NOT NULL DEFAULT 0,
  written_at INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- Messages out of the relay's way: delayed, waiting for another try, behind one of their key, unsendable.
CREATE TABLE tandem_outbox_held (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  -- the place in the outbox that it left and comes back to; none for a delayed message
  position INTEGER,
  shard INTEGER NOT NULL,
  id TEXT NOT NULL,
  topic TEXT NOT NULL,
  key TEXT,
  type TEXT NOT NULL,
  state TEXT NOT NULL,
  -- for delayed and waiting
  due_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  first_failed_at INTEGER,
  error TEXT,
  written_at INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX tandem_outbox_held_position ON tandem_outbox_held (position) WHERE position IS NOT NULL;

CREATE INDEX tandem_outbox_held_key ON tandem_outbox_held (topic, key, position) WHERE position IS NOT NULL;

CREATE INDEX tandem_outbox_held_due ON tandem_outbox_held (shard, due_at) WHERE due_at IS NOT NULL;

CREATE INDEX tandem_outbox_held_state ON tandem_outbox_held (state);

CREATE INDEX tandem_outbox_held_id ON tandem_outbox_held (id);

CREATE TABLE tandem_half (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  key TEXT,
  type TEXT NOT NULL,
  deliver_at INTEGER,
  state TEXT NOT NULL,
  -- 1 if the local transaction writes a barrier
  barrier INTEGER NOT NULL,
  -- checks that were answered "unknown"
  answered INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  prepared_at INTEGER NOT NULL,
  next_check_at INTEGER,
  decided_at INTEGER,
  headers TEXT NOT NULL,
  -- gone once it is decided
  body BLOB
) STRICT;

CREATE INDEX tandem_half_due ON tandem_half (type, next_check_at) WHERE state = 'prepared' AND barrier = 0;

CREATE INDEX tandem_half_barrier_due ON tandem_half (next_check_at) WHERE state = 'prepared' AND barrier = 1;

CREATE INDEX tandem_half_state ON tandem_half (state);

CREATE INDEX tandem_half_decided ON tandem_half (decided_at) WHERE decided_at IS NOT NULL;

-- Whether the local transaction of a half message has committed ("commit") or may not commit any more ("rollback").
CREATE TABLE tandem_barrier (
  id TEXT PRIMARY KEY,
  decision TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tandem_barrier_at ON tandem_barrier (at);

-- One row for each message and group. seq is above 0 for what is finished (handled, discarded), in the order in which it was
-- finished, so that expiry reads the oldest rows alone; it is below 0 for everything else.
CREATE TABLE tandem_inbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  group_name TEXT NOT NULL,
  message_id TEXT NOT NULL,
  state TEXT NOT NULL,
  type TEXT NOT NULL,
  topic TEXT NOT NULL,
  key TEXT,
  source TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  causation_id TEXT,
  correlation_id TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX tandem_inbox_message ON tandem_inbox (group_name, message_id);

-- Messages that a group has not handled at the first attempt, until they are handled. seq is the order among those of one key.
CREATE TABLE tandem_inbox_failure (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  group_name TEXT NOT NULL,
  message_id TEXT NOT NULL,
  state TEXT NOT NULL,
  -- 1 while it keeps back the later messages of its key
  blocks INTEGER NOT NULL,
  topic TEXT NOT NULL,
  key TEXT,
  type TEXT NOT NULL,
  source TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  causation_id TEXT,
  correlation_id TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  attempts_in_round INTEGER NOT NULL,
  -- each change adds 1
  version INTEGER NOT NULL DEFAULT 1,
  due_at INTEGER,
  -- the process that began the last attempt, until the attempt has ended
  in_progress TEXT,
  reason TEXT,
  error TEXT,
  died_at INTEGER,
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  original_body BLOB
) STRICT;

CREATE UNIQUE INDEX tandem_inbox_failure_message ON tandem_inbox_failure (group_name, message_id);

CREATE INDEX tandem_inbox_failure_due ON tandem_inbox_failure (group_name, state, due_at);

CREATE INDEX tandem_inbox_failure_key ON tandem_inbox_failure (group_name, topic, key, seq) WHERE blocks = 1;

CREATE INDEX tandem_inbox_failure_dead ON tandem_inbox_failure (died_at) WHERE state = 'dead';

-- Failed attempts.
CREATE TABLE tandem_inbox_attempt (
  seq INTEGER PRIMARY KEY,
  group_name TEXT NOT NULL,
  message_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  error TEXT NOT NULL,
  stack TEXT NOT NULL,
  process TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX tandem_inbox_attempt_message ON tandem_inbox_attempt (group_name, message_id, attempt);

CREATE TABLE tandem_lease (
  name TEXT PRIMARY KEY,
  owner TEXT,
  -- grows with every change of owner
  token INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tandem_process (
  id TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  -- JSON array: the first name of each group of leases that it wants
  wanted TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who decided what.
CREATE TABLE tandem_audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  reason TEXT
) STRICT;
