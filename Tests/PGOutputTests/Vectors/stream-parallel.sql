-- As stream.sql, with streaming=parallel: Stream Abort says where and when.
-- options: proto_version=4 streaming=parallel messages=true
-- servers: 16+
CREATE TYPE mood AS ENUM ('calm', 'hasty');
CREATE TABLE event (id integer PRIMARY KEY, mood mood);
CREATE TABLE filler (id integer);
CREATE PUBLICATION vectors FOR TABLE event;
-- slot
BEGIN;
INSERT INTO event VALUES (1, 'calm');
SAVEPOINT lost;
SELECT pg_logical_emit_message(true, 'lost', 'rolled back');
INSERT INTO filler SELECT generate_series(1, 1000);
INSERT INTO event VALUES (2, 'calm');
ROLLBACK TO lost;
SAVEPOINT kept;
INSERT INTO event VALUES (3, 'hasty');
UPDATE event SET id = 4 WHERE id = 3;
RELEASE kept;
INSERT INTO filler SELECT generate_series(1, 1000);
SELECT pg_logical_emit_message(true, 'kept', 'committed');
DELETE FROM event WHERE id = 4;
TRUNCATE event;
INSERT INTO event VALUES (5, NULL);
COMMIT;
BEGIN;
SELECT pg_logical_emit_message(true, 'aborted', 'rolled back');
INSERT INTO filler SELECT generate_series(1, 1000);
ROLLBACK;
-- A rollback is not flushed: a commit after it takes it along.
INSERT INTO event VALUES (6, NULL);
