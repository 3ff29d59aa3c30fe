-- The plain case: INSERT, UPDATE that leaves the key alone, DELETE; NULL, the empty text, multi-byte text, several
-- tables in one transaction, and a transaction of its own for each of the later statements.
-- options: proto_version=1
CREATE TABLE tb_order (id integer PRIMARY KEY, status varchar(20), note text, amount numeric(10,2));
CREATE TABLE "Odd Name" ("naïve ""column""" integer PRIMARY KEY);
CREATE TABLE columnless ();
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO tb_order VALUES (1, 'pending', NULL, 12.50), (2, '', 'größer 東京 🚀', NULL);
INSERT INTO "Odd Name" VALUES (-7);
INSERT INTO columnless DEFAULT VALUES;
COMMIT;
UPDATE tb_order SET status = 'paid' WHERE id = 1;
DELETE FROM tb_order WHERE id = 2;
