-- A TOASTed value that an UPDATE does not touch: not sent under the default identity; under FULL it is in the old row.
-- options: proto_version=1
CREATE TABLE document (id integer PRIMARY KEY, body text, title text);
ALTER TABLE document ALTER body SET STORAGE EXTERNAL;
CREATE TABLE document_full (id integer PRIMARY KEY, body text, title text);
ALTER TABLE document_full ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
BEGIN;
INSERT INTO document VALUES (1, repeat('toast', 500), 'a');
UPDATE document SET title = 'b';
UPDATE document SET id = 2;
INSERT INTO document_full VALUES (1, repeat('toast', 500), 'a');
UPDATE document_full SET title = 'b';
COMMIT;
