-- A transaction that is streamed while it runs (as far as decoding knows), with a subtransaction that is rolled back and
-- one that is kept; then one that is rolled back wholly (18 asks the commit log and does not begin it). The filler is
-- not published: it only takes memory. What is decoded after a rollback may stream messages but no rows: those need the
-- catalog, and there decoding finds out.
-- Version 2: Stream Abort in its short shape.
-- options: proto_version=2 streaming=on messages=true
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
