-- A prepared transaction for a slot without two_phase: it comes whole at COMMIT PREPARED; the one rolled back never.
-- options: proto_version=3
CREATE TABLE event (id integer PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO event VALUES (1);
PREPARE TRANSACTION 'first';
BEGIN;
INSERT INTO event VALUES (2);
PREPARE TRANSACTION 'second';
-- get
COMMIT PREPARED 'first';
ROLLBACK PREPARED 'second';
