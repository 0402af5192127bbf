-- The queue of all services: a log per topic, cut into 8 partitions, and how far each consumer group is in each.
-- All instants are milliseconds since the epoch, by this database's clock.

CREATE TABLE broker_topic (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- SQLite has one writer, so a lower sequence never commits after a higher one. AUTOINCREMENT, because the number of a
-- deleted message must not come back: positions would be past it.
CREATE TABLE broker_message (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  id TEXT,
  key TEXT,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE INDEX broker_message_partition ON broker_message (topic, partition);

-- The version grows whenever somebody joins or leaves the group or gives a partition up.
CREATE TABLE broker_group (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE broker_member (
  id TEXT PRIMARY KEY,
  group_name TEXT NOT NULL,
  topics TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far a group is in a partition (it has passed everything up to "position"), and which member reads on from there.
-- Messages up to "suspect" may have been delivered "redelivered" times since the position last moved.
CREATE TABLE broker_position (
  group_name TEXT NOT NULL,
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  position INTEGER NOT NULL,
  redelivered INTEGER NOT NULL,
  suspect INTEGER NOT NULL,
  owner TEXT,
  token INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (group_name, topic, partition)
) STRICT, WITHOUT ROWID;

-- What one process at a time does now and then.
CREATE TABLE broker_chore (
  name TEXT PRIMARY KEY,
  due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
