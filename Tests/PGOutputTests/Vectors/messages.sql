-- Logical messages: transactional ones among rows, one that is not and comes before them, bytes that are not text.
-- options: proto_version=1 messages=true
CREATE TABLE event (id integer PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO event VALUES (1);
SELECT pg_logical_emit_message(true, 'fraiseql_events', '{"entity_type":"Order"}');
SELECT pg_logical_emit_message(false, 'heartbeat', 'now');
SELECT pg_logical_emit_message(true, '', '\x00ff80'::bytea);
COMMIT;
