-- The relation is sent again after each change of it, and not otherwise.
-- options: proto_version=1
CREATE TABLE changing (id integer PRIMARY KEY, a text);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
INSERT INTO changing VALUES (1, 'x');
INSERT INTO changing VALUES (2, 'x');
ALTER TABLE changing ADD b integer DEFAULT 5;
INSERT INTO changing VALUES (3, 'x');
ALTER TABLE changing DROP a;
INSERT INTO changing VALUES (4);
ALTER TABLE changing RENAME b TO c;
INSERT INTO changing VALUES (5, 6);
