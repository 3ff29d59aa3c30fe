-- TRUNCATE: one table, several, CASCADE, RESTART IDENTITY, both.
-- options: proto_version=1
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent);
CREATE TABLE numbered (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE PUBLICATION vectors FOR ALL TABLES;
-- slot
TRUNCATE numbered;
TRUNCATE numbered RESTART IDENTITY;
TRUNCATE parent CASCADE;
TRUNCATE numbered, parent, child RESTART IDENTITY CASCADE;
