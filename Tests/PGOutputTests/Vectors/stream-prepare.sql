-- A streamed transaction that is prepared, then committed.
-- options: proto_version=3 streaming=on two_phase=on
CREATE TABLE event (id integer PRIMARY KEY);
CREATE TABLE filler (id integer);
CREATE PUBLICATION vectors FOR TABLE event;
-- slot
BEGIN;
INSERT INTO event VALUES (1);
INSERT INTO filler SELECT generate_series(1, 1000);
INSERT INTO event VALUES (2);
PREPARE TRANSACTION 'streamed';
-- get
COMMIT PREPARED 'streamed';
