-- Types that are not built in are described before the relation that uses them: an enum, a domain, a composite; in
-- a schema of their own. The domain comes under its base type's name. A column list leaves a column out.
-- options: proto_version=1
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('calm', 'hasty');
CREATE DOMAIN shop.percentage AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE shop.point AS (x integer, y integer);
CREATE TABLE shop.visit (
    id bigint PRIMARY KEY, mood shop.mood, share shop.percentage, place shop.point, secret text, tags text[]);
CREATE PUBLICATION vectors FOR TABLE shop.visit (id, mood, share, place, tags);
-- slot
INSERT INTO shop.visit VALUES (1, 'hasty', 42, '(3,4)', 'not published', '{a,"b c"}');
