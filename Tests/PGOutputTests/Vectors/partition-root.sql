-- Rows of partitions published as the root's: the root's relation comes first, the partition's after it.
-- options: proto_version=1
CREATE TABLE visit (id integer, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE visit_north (note text, region text NOT NULL, id integer NOT NULL);
ALTER TABLE visit ATTACH PARTITION visit_north FOR VALUES IN ('north');
CREATE PUBLICATION vectors FOR TABLE visit WITH (publish_via_partition_root = true);
-- slot
INSERT INTO visit VALUES (1, 'north', 'x');
UPDATE visit SET note = 'y';
DELETE FROM visit;
