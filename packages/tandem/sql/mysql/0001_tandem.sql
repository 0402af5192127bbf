-- Tandem's tables in a service's own MySQL or MariaDB database.
-- Instants are in UTC by the database's clock, in milliseconds, but sent_at, which is the sender's.
-- Text is compared byte by byte. MariaDB calls that collation utf8mb4_nopad_bin; on MySQL utf8mb4_0900_bin stands in its place.
-- Each statement can be run again: MySQL commits each by itself, so what was killed half way is run from the beginning.
-- breaking: no

CREATE TABLE IF NOT EXISTS `tandem_schema_version` (
  `version` INT NOT NULL,
  `name` VARCHAR(127) NOT NULL,
  `checksum` VARCHAR(127) NOT NULL,
  `applied_at` DATETIME(3) NOT NULL,
  -- 1 if a package that does not know this version cannot work with it
  `breaking` TINYINT NOT NULL,
  PRIMARY KEY (`version`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Messages to publish. No index but the primary key: a row lives for milliseconds, and is written and deleted once.
CREATE TABLE IF NOT EXISTS `tandem_outbox` (
  `position` BIGINT NOT NULL AUTO_INCREMENT,
  `shard` SMALLINT NOT NULL,
  -- failed publications so far
  `attempts` INT NOT NULL DEFAULT 0,
  `written_at` DATETIME(3) NOT NULL,
  `first_failed_at` DATETIME(3) NULL,
  `id` VARCHAR(500) NOT NULL,
  `topic` VARCHAR(255) NOT NULL,
  `key` VARCHAR(255) NULL,
  `type` VARCHAR(255) NOT NULL,
  `headers` LONGTEXT NOT NULL,
  `body` LONGBLOB NOT NULL,
  PRIMARY KEY (`position`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Positions in the outbox that came back from outbox_held to their old places; messages of their key may wait behind them there.
CREATE TABLE IF NOT EXISTS `tandem_outbox_back` (
  `position` BIGINT NOT NULL,
  PRIMARY KEY (`position`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Messages out of the relay's way: delayed, waiting for another try, behind one of their key, unsendable.
CREATE TABLE IF NOT EXISTS `tandem_outbox_held` (
  `seq` BIGINT NOT NULL AUTO_INCREMENT,
  -- the place in the outbox that it left and comes back to; none for a delayed message
  `position` BIGINT NULL,
  `shard` SMALLINT NOT NULL,
  `attempts` INT NOT NULL DEFAULT 0,
  `written_at` DATETIME(3) NOT NULL,
  `first_failed_at` DATETIME(3) NULL,
  -- for delayed and waiting
  `due_at` DATETIME(3) NULL,
  `state` VARCHAR(16) NOT NULL,
  `error` LONGTEXT NULL,
  `id` VARCHAR(500) NOT NULL,
  `topic` VARCHAR(255) NOT NULL,
  `key` VARCHAR(255) NULL,
  -- what an index can hold of a key
  `key_hash` INT UNSIGNED GENERATED ALWAYS AS (crc32(`key`)) STORED,
  `type` VARCHAR(255) NOT NULL,
  `headers` LONGTEXT NOT NULL,
  `body` LONGBLOB NOT NULL,
  PRIMARY KEY (`seq`),
  KEY `by_position` (`position`),
  KEY `by_key` (`key_hash`, `position`),
  KEY `by_due` (`shard`, `due_at`),
  KEY `by_state` (`state`, `seq`),
  KEY `by_id` (`id`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS `tandem_half` (
  `seq` BIGINT NOT NULL AUTO_INCREMENT,
  `shard` SMALLINT NOT NULL,
  -- 1 if the local transaction writes a barrier
  `barrier` TINYINT NOT NULL,
  -- checks that were answered "unknown"
  `answered` INT NOT NULL DEFAULT 0,
  -- how often somebody tried to prepare it again
  `again` INT NOT NULL DEFAULT 0,
  `deliver_at` DATETIME(3) NULL,
  `prepared_at` DATETIME(3) NOT NULL,
  `next_check_at` DATETIME(3) NULL,
  `decided_at` DATETIME(3) NULL,
  `state` VARCHAR(16) NOT NULL,
  `last_error` LONGTEXT NULL,
  `id` VARCHAR(500) NOT NULL,
  `topic` VARCHAR(255) NOT NULL,
  `key` VARCHAR(255) NULL,
  `type` VARCHAR(255) NOT NULL,
  `headers` LONGTEXT NOT NULL,
  -- gone once it is decided
  `body` LONGBLOB NULL,
  PRIMARY KEY (`id`),
  KEY `by_seq` (`seq`),
  KEY `by_due` (`state`, `barrier`, `next_check_at`),
  KEY `by_type` (`state`, `barrier`, `type`, `next_check_at`),
  KEY `by_state` (`state`, `seq`),
  KEY `by_decision` (`decided_at`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Whether the local transaction of a half message has committed ("commit") or may not commit any more ("rollback").
CREATE TABLE IF NOT EXISTS `tandem_barrier` (
  `id` VARCHAR(500) NOT NULL,
  `at` DATETIME(3) NOT NULL,
  `decision` VARCHAR(16) NOT NULL,
  -- how often somebody came too late
  `again` INT NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  KEY `by_age` (`at`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- One row for each message and group.
CREATE TABLE IF NOT EXISTS `tandem_inbox` (
  `at` DATETIME(3) NOT NULL,
  `sent_at` DATETIME(3) NOT NULL,
  -- how often it came again
  `again` INT NOT NULL DEFAULT 0,
  `group_name` VARCHAR(127) NOT NULL,
  `message_id` VARCHAR(500) NOT NULL,
  `state` VARCHAR(16) NOT NULL,
  `type` LONGTEXT NOT NULL,
  `topic` LONGTEXT NOT NULL,
  `key` LONGTEXT NULL,
  `source` LONGTEXT NOT NULL,
  `causation_id` LONGTEXT NULL,
  `correlation_id` LONGTEXT NOT NULL,
  PRIMARY KEY (`group_name`, `message_id`),
  -- what is finished, by age
  KEY `by_age` (`state`, `at`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Messages that a group has not handled at the first attempt, until they are handled. seq is the order among those of one key.
CREATE TABLE IF NOT EXISTS `tandem_inbox_failure` (
  `seq` BIGINT NOT NULL AUTO_INCREMENT,
  `attempts` INT NOT NULL,
  `attempts_in_round` INT NOT NULL,
  -- each change adds 1
  `version` INT NOT NULL DEFAULT 1,
  -- 1 while it keeps back the later messages of its key
  `blocks` TINYINT NOT NULL,
  `sent_at` DATETIME(3) NOT NULL,
  `due_at` DATETIME(3) NULL,
  `died_at` DATETIME(3) NULL,
  `group_name` VARCHAR(127) NOT NULL,
  `message_id` VARCHAR(500) NOT NULL,
  `state` VARCHAR(16) NOT NULL,
  `topic` LONGTEXT NOT NULL,
  `key` LONGTEXT NULL,
  -- what an index can hold of a key
  `key_hash` INT UNSIGNED GENERATED ALWAYS AS (crc32(`key`)) STORED,
  `type` LONGTEXT NOT NULL,
  `source` LONGTEXT NOT NULL,
  `causation_id` LONGTEXT NULL,
  `correlation_id` LONGTEXT NOT NULL,
  -- the process that began the last attempt, until the attempt has ended
  `in_progress` LONGTEXT NULL,
  `reason` VARCHAR(127) NULL,
  `error` LONGTEXT NULL,
  `headers` LONGTEXT NOT NULL,
  `body` LONGBLOB NOT NULL,
  `original_body` LONGBLOB NULL,
  PRIMARY KEY (`group_name`, `message_id`),
  KEY `by_seq` (`seq`),
  KEY `by_due` (`group_name`, `state`, `due_at`),
  KEY `by_key` (`group_name`, `key_hash`, `blocks`, `seq`),
  KEY `by_death` (`state`, `died_at`, `seq`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Failed attempts.
CREATE TABLE IF NOT EXISTS `tandem_inbox_attempt` (
  `at` DATETIME(3) NOT NULL,
  `attempt` INT NOT NULL,
  `group_name` VARCHAR(127) NOT NULL,
  `message_id` VARCHAR(500) NOT NULL,
  `error` LONGTEXT NOT NULL,
  `stack` LONGTEXT NOT NULL,
  `process` LONGTEXT NOT NULL,
  PRIMARY KEY (`group_name`, `message_id`, `attempt`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS `tandem_lease` (
  `name` VARCHAR(255) NOT NULL,
  -- grows with every change of owner
  `token` BIGINT NOT NULL,
  `expires_at` DATETIME(3) NOT NULL,
  `owner` VARCHAR(127) NULL,
  PRIMARY KEY (`name`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS `tandem_process` (
  `id` VARCHAR(127) NOT NULL,
  `seen_at` DATETIME(3) NOT NULL,
  `expires_at` DATETIME(3) NOT NULL,
  `pid` INT NOT NULL,
  `host` LONGTEXT NOT NULL,
  -- JSON array: the first name of each group of leases that it wants
  `wanted` LONGTEXT NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Who decided what.
CREATE TABLE IF NOT EXISTS `tandem_audit` (
  `seq` BIGINT NOT NULL AUTO_INCREMENT,
  `at` DATETIME(3) NOT NULL,
  `actor` LONGTEXT NOT NULL,
  `action` VARCHAR(127) NOT NULL,
  `target` LONGTEXT NOT NULL,
  `reason` LONGTEXT NULL,
  PRIMARY KEY (`seq`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Rows that stand for something to lock until a transaction ends: those from 0 on for keys (by hash) in strict order, those below 0 for
-- shards of outbox_held. They are never changed, and there are always as many.
CREATE TABLE IF NOT EXISTS `tandem_turn` (
  `slot` INT NOT NULL,
  PRIMARY KEY (`slot`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

INSERT INTO `tandem_turn` (`slot`)
SELECT a.n + 16 * b.n + 256 * c.n + 4096 * d.n - 16
FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6
  UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10 UNION ALL SELECT 11 UNION ALL SELECT 12
  UNION ALL SELECT 13 UNION ALL SELECT 14 UNION ALL SELECT 15) a
CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5
  UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10 UNION ALL SELECT 11
  UNION ALL SELECT 12 UNION ALL SELECT 13 UNION ALL SELECT 14 UNION ALL SELECT 15) b
CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5
  UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10 UNION ALL SELECT 11
  UNION ALL SELECT 12 UNION ALL SELECT 13 UNION ALL SELECT 14 UNION ALL SELECT 15) c
CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) d
WHERE d.n >= 0
ON DUPLICATE KEY UPDATE `slot` = `tandem_turn`.`slot`;
