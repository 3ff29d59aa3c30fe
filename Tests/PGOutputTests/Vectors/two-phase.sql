-- Prepared transactions, sent at PREPARE: one is committed later, one rolled back.
-- options: proto_version=3 two_phase=on
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
