-- A relation in pg_catalog, whose schema the wire shortens to the empty string. (Only a superuser can make one.)
-- options: proto_version=1
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.oddity (id integer PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
INSERT INTO pg_catalog.oddity VALUES (1);
