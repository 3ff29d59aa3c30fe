-- A transaction that was replayed from another server, and one of our own after it.
-- options: proto_version=1
CREATE TABLE event (id integer PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
SELECT pg_replication_origin_create('elsewhere');
-- slot
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2026-01-02 03:04:05+00');
INSERT INTO event VALUES (1);
COMMIT;
SELECT pg_replication_origin_session_reset();
INSERT INTO event VALUES (2);
-- get
SELECT pg_replication_origin_drop('elsewhere');
