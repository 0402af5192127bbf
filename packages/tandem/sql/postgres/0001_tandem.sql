-- Tandem's tables in a service's own PostgreSQL database, in a schema of their own.
-- Instants are by the database's clock, in whole milliseconds, but sent_at, which is the sender's.
-- Text that an index holds is compared byte by byte (collation "C"), so that no index depends on the operating system's collations.
-- breaking: no

CREATE TABLE tandem.schema_version (
  version int PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL,
  -- true if a package that does not know this version cannot work with it
  breaking boolean NOT NULL
);

-- Places in the outbox. A place is never given twice.
CREATE SEQUENCE tandem.outbox_position;

-- Messages to publish. The default of the position gives the transaction its id before it gives the place: the relay's reading rests on
-- a transaction that got its id later having later places.
CREATE TABLE tandem.outbox (
  position bigint PRIMARY KEY DEFAULT CASE
    WHEN pg_current_xact_id() IS NOT NULL THEN nextval('tandem.outbox_position')
  END,
  shard smallint NOT NULL,
  -- failed publications so far
  attempts int NOT NULL DEFAULT 0,
  -- whether it came back from outbox_held to its old place, and messages of its key may wait behind it there
  releases boolean NOT NULL DEFAULT false,
  written_at timestamptz NOT NULL,
  first_failed_at timestamptz,
  id text NOT NULL,
  topic text COLLATE "C" NOT NULL,
  key text COLLATE "C",
  type text NOT NULL,
  headers text NOT NULL,
  body bytea NOT NULL
) WITH (
  -- Rows live for milliseconds: what is dead goes soon, whatever the table once held, and the file is not cut, which would lock it.
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false,
  toast.autovacuum_vacuum_threshold = 1000,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.vacuum_truncate = false
);

ALTER SEQUENCE tandem.outbox_position OWNED BY tandem.outbox.position;

CREATE INDEX outbox_back ON tandem.outbox (position) WHERE releases;

-- Messages out of the relay's way: delayed, waiting for another try, behind one of their key, unsendable.
CREATE TABLE tandem.outbox_held (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- the place in the outbox that it left and comes back to; none for a delayed message
  position bigint,
  shard smallint NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  written_at timestamptz NOT NULL,
  first_failed_at timestamptz,
  -- for delayed and waiting
  due_at timestamptz,
  state text COLLATE "C" NOT NULL,
  error text,
  id text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  key text COLLATE "C",
  type text NOT NULL,
  headers text NOT NULL,
  body bytea NOT NULL
) WITH (vacuum_truncate = false);

CREATE UNIQUE INDEX outbox_held_position ON tandem.outbox_held (position) WHERE position IS NOT NULL;

CREATE INDEX outbox_held_key ON tandem.outbox_held (topic, key, position) WHERE position IS NOT NULL;

CREATE INDEX outbox_held_due ON tandem.outbox_held (shard, due_at) WHERE due_at IS NOT NULL;

CREATE INDEX outbox_held_state ON tandem.outbox_held (state, seq);

CREATE INDEX outbox_held_id ON tandem.outbox_held (id);

CREATE TABLE tandem.half (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard smallint NOT NULL,
  -- whether the local transaction writes a barrier
  barrier boolean NOT NULL,
  -- checks that were answered "unknown"
  answered int NOT NULL DEFAULT 0,
  deliver_at timestamptz,
  prepared_at timestamptz NOT NULL,
  next_check_at timestamptz,
  decided_at timestamptz,
  state text COLLATE "C" NOT NULL,
  last_error text,
  id text COLLATE "C" NOT NULL,
  topic text NOT NULL,
  key text,
  type text COLLATE "C" NOT NULL,
  headers text NOT NULL,
  -- gone once it is decided
  body bytea
) WITH (vacuum_truncate = false);

CREATE UNIQUE INDEX half_id ON tandem.half (id);

CREATE INDEX half_due ON tandem.half (type, next_check_at) WHERE state = 'prepared' AND NOT barrier;

CREATE INDEX half_barrier_due ON tandem.half (next_check_at) WHERE state = 'prepared' AND barrier;

CREATE INDEX half_state ON tandem.half (state, seq);

CREATE INDEX half_decided ON tandem.half (decided_at) WHERE decided_at IS NOT NULL;

-- Whether the local transaction of a half message has committed ("commit") or may not commit any more ("rollback").
CREATE TABLE tandem.barrier (
  id text COLLATE "C" PRIMARY KEY,
  at timestamptz NOT NULL,
  decision text NOT NULL
);

CREATE INDEX barrier_at ON tandem.barrier (at);

-- One row for each message and group.
CREATE TABLE tandem.inbox (
  at timestamptz NOT NULL,
  sent_at timestamptz NOT NULL,
  group_name text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  state text NOT NULL,
  type text NOT NULL,
  topic text NOT NULL,
  key text,
  source text NOT NULL,
  causation_id text,
  correlation_id text NOT NULL,
  PRIMARY KEY (group_name, message_id)
) WITH (
  autovacuum_vacuum_scale_factor = 0.05,
  vacuum_truncate = false
);

-- What is finished, by age.
CREATE INDEX inbox_finished ON tandem.inbox (at) WHERE state IN ('handled', 'discarded');

-- Messages that a group has not handled at the first attempt, until they are handled. seq is the order among those of one key.
CREATE TABLE tandem.inbox_failure (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  attempts int NOT NULL,
  attempts_in_round int NOT NULL,
  -- each change adds 1
  version int NOT NULL DEFAULT 1,
  -- grows when a message is set aside behind it or another of its key is settled; whoever settles this one looks again then
  touched int NOT NULL DEFAULT 0,
  -- while it keeps back the later messages of its key
  blocks boolean NOT NULL,
  sent_at timestamptz NOT NULL,
  due_at timestamptz,
  died_at timestamptz,
  group_name text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  key text COLLATE "C",
  type text NOT NULL,
  source text NOT NULL,
  causation_id text,
  correlation_id text NOT NULL,
  -- the process that began the last attempt, until the attempt has ended
  in_progress text,
  reason text,
  error text,
  headers text NOT NULL,
  body bytea NOT NULL,
  original_body bytea
) WITH (fillfactor = 80, vacuum_truncate = false);

CREATE UNIQUE INDEX inbox_failure_message ON tandem.inbox_failure (group_name, message_id);

CREATE INDEX inbox_failure_due ON tandem.inbox_failure (group_name, due_at) WHERE state = 'retrying';

CREATE INDEX inbox_failure_key ON tandem.inbox_failure (group_name, topic, left(key, 200), seq) WHERE blocks;

CREATE INDEX inbox_failure_dead ON tandem.inbox_failure (died_at, seq) WHERE state = 'dead';

-- Failed attempts.
CREATE TABLE tandem.inbox_attempt (
  at timestamptz NOT NULL,
  attempt int NOT NULL,
  group_name text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  error text NOT NULL,
  stack text NOT NULL,
  process text NOT NULL,
  PRIMARY KEY (group_name, message_id, attempt)
);

-- Few rows that change all the time: room on each page, so that no index has to follow.
CREATE TABLE tandem.lease (
  name text COLLATE "C" PRIMARY KEY,
  -- grows with every change of owner
  token bigint NOT NULL,
  expires_at timestamptz NOT NULL,
  owner text
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0, vacuum_truncate = false);

CREATE TABLE tandem.process (
  id text COLLATE "C" PRIMARY KEY,
  seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  pid int NOT NULL,
  host text NOT NULL,
  -- JSON array: the first name of each group of leases that it wants
  wanted text NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0, vacuum_truncate = false);

-- Who decided what.
CREATE TABLE tandem.audit (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  reason text
);

-- A plan that PostgreSQL makes while a table is empty may be kept until it is full. Files that are never cut, and large enough from the
-- beginning, make an index the better way at any time.
INSERT INTO tandem.outbox (position, shard, written_at, id, topic, type, headers, body)
SELECT -n, 0, now(), '', '', '', repeat('x', 1900), '' FROM generate_series(1, 512) n;

INSERT INTO tandem.outbox_held (shard, written_at, state, id, topic, type, headers, body)
SELECT 0, now(), '', n::text, '', '', repeat('x', 1900), '' FROM generate_series(1, 128) n;

INSERT INTO tandem.half (shard, barrier, prepared_at, state, id, topic, type, headers)
SELECT 0, false, now(), '', n::text, '', '', repeat('x', 1900) FROM generate_series(1, 128) n;

INSERT INTO tandem.inbox_failure
  (attempts, attempts_in_round, blocks, sent_at, group_name, message_id, state, topic, type, source, correlation_id, headers, body)
SELECT 0, 0, false, now(), '', n::text, '', '', '', '', '', repeat('x', 1400), '' FROM generate_series(1, 128) n;

DELETE FROM tandem.outbox;

DELETE FROM tandem.outbox_held;

DELETE FROM tandem.half;

DELETE FROM tandem.inbox_failure;

ANALYZE tandem.outbox, tandem.outbox_held, tandem.half, tandem.inbox_failure;
