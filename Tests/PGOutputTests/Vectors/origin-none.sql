-- Option origin=none: the transaction from elsewhere is left out.
-- options: proto_version=4 origin=none
-- servers: 16+
CREATE TABLE event (id integer PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
SELECT pg_replication_origin_create('elsewhere');
-- slot
SELECT pg_replication_origin_session_setup('elsewhere');
INSERT INTO event VALUES (1);
SELECT pg_replication_origin_session_reset();
INSERT INTO event VALUES (2);
-- get
SELECT pg_replication_origin_drop('elsewhere');
