-- Each replica identity, with INSERT, UPDATE and DELETE where it allows them; a key that changes and one that does not.
-- options: proto_version=1
CREATE TABLE by_default (id integer PRIMARY KEY, code text NOT NULL UNIQUE, note text);
CREATE TABLE by_index (id integer PRIMARY KEY, code text NOT NULL, note text);
CREATE UNIQUE INDEX by_index_code ON by_index (code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE by_full (id integer PRIMARY KEY, code text, note text);
ALTER TABLE by_full REPLICA IDENTITY FULL;
CREATE TABLE by_nothing (id integer PRIMARY KEY, code text, note text);
ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO by_default VALUES (1, 'a', 'x');
UPDATE by_default SET note = 'y';
UPDATE by_default SET id = 2;
DELETE FROM by_default;
INSERT INTO by_index VALUES (1, 'a', 'x');
UPDATE by_index SET id = 2;
UPDATE by_index SET code = 'b';
DELETE FROM by_index;
INSERT INTO by_full VALUES (1, NULL, 'x');
UPDATE by_full SET note = 'y';
DELETE FROM by_full;
INSERT INTO by_nothing VALUES (1, 'a', 'x');
COMMIT;
