-- Run once, when PostgreSQL's volume is empty, behind demo.sql and role.sql.

-- The tables whose changes are events. Their owner makes it; the role `slotstream` needs to own nothing.
CREATE PUBLICATION shop FOR TABLE public.tb_order;

-- psql reads the secret: it stands in no file of the repository, and in no argument list.
\set password `cat /run/secrets/slotstream_password`
ALTER ROLE slotstream PASSWORD :'password';
