-- Values in binary, beside NULL, and text for a type that has no send function (aclitem).
-- options: proto_version=1 binary=true
CREATE TABLE measure (id integer PRIMARY KEY, at timestamptz, value double precision, note text, acl aclitem);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO measure VALUES (258, '2000-01-01 00:00:00.000001+00', 1.5, 'x', '=r/postgres'), (2, NULL, NULL, '', NULL);
UPDATE measure SET id = 259 WHERE id = 258;
DELETE FROM measure WHERE id = 2;
COMMIT;
