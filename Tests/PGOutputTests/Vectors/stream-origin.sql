-- A streamed transaction from another server: Origin stands inside the block, without an xid.
-- options: proto_version=2 streaming=on
CREATE TABLE event (id integer PRIMARY KEY);
CREATE TABLE filler (id integer);
CREATE PUBLICATION vectors FOR TABLE event;
SELECT pg_replication_origin_create('elsewhere');
-- slot
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2026-01-02 03:04:05+00');
INSERT INTO event VALUES (1);
INSERT INTO filler SELECT generate_series(1, 1000);
COMMIT;
SELECT pg_replication_origin_session_reset();
-- get
SELECT pg_replication_origin_drop('elsewhere');
