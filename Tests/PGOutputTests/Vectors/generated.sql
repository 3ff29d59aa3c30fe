-- Stored generated columns are published.
-- options: proto_version=4
-- servers: 18+
CREATE TABLE sized (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) STORED);
CREATE PUBLICATION vectors FOR ALL TABLES WITH (publish_generated_columns = stored);
-- slot
INSERT INTO sized VALUES (21);
