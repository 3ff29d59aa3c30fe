-- The role that `slotstream run` connects as, with nothing more than it needs.
--
--   psql -X -v ON_ERROR_STOP=1 -d shop -f sql/role.sql
--   psql -X -v ON_ERROR_STOP=1 -d shop -v role=shop_events -v database=shop -f sql/role.sql
--
-- Run it as a superuser. It may be run again. The password is not in this file, so that it is in no shell history,
-- server log or repository either: set it afterwards with psql's \password, or use a client certificate.
--
-- What needs which privilege (each line tried on PostgreSQL 15, in the order of a first start):
--
--   what is done                              who may do it
--   ----------------------------------------  ------------------------------------------------------------------
--   CREATE PUBLICATION … FOR TABLE            CREATE on the database, and ownership of every table named
--   CREATE PUBLICATION … FOR ALL TABLES       superuser
--   ALTER PUBLICATION … ADD TABLE             owner of the publication and of the table
--   replication slot: create, copy, peek,     REPLICATION
--     advance, drop; START_REPLICATION
--   read pg_replication_slots, pg_publication anybody who can connect
--   SET wal_sender_timeout                    anybody, for the own session
--   pg_logical_emit_message                   whom this file lets (below)
--
-- So only the publication asks for more than REPLICATION. Let the tables' owner make it once, with every table that
-- source.tables matches (or narrow that: setup adds what is missing, and may not), and this role never needs to own anything:
--
--   CREATE PUBLICATION fraiseql_events FOR TABLE public.tb_order, public.tb_user;
--
-- `slotstream setup --print-sql` prints that statement for the configured tables, and beneath it one that makes the slot: leave
-- that one out, and the role does the rest of the setup itself, the slot and everything in NATS. (Whoever ran both takes the
-- slot with `slotstream setup --adopt-slot`.) (If it is to make the publication too: GRANT CREATE ON DATABASE, and
-- membership in the role that owns the tables. With that it can also read and change them.)
--
-- A type with a cast to json (CREATE CAST (t AS json) WITH FUNCTION …) is shown through it, as to_json does: the function then
-- runs as this role, each time a value of the type is published. Such a function should name schemas or SET its search_path,
-- and who may create one for a published table's type is as trusted as the role.
--
-- No SELECT is granted: pgoutput does not ask for any. The other side of it: a role with REPLICATION can read every
-- change in every database that it may connect to, in or out of the publication, and take a base backup of the whole
-- cluster. Guard its password like a superuser's and let it in from the streamer's address only (pg_hba.conf):
--
--   hostssl  shop  slotstream  10.1.2.3/32  scram-sha-256
--
-- The database is named there, not the word `replication`: that word stands for physical replication only.

-- Logical messages are unauthenticated: by PostgreSQL's default whoever may connect may publish an event of any entity, with a
-- message of prefix `fraiseql_events`. So PUBLIC loses pg_logical_emit_message in this database, which sql/emit_event.sql
-- needs: name the roles that are to emit events, else their transactions fail (permission denied):
--
--   psql -X -v ON_ERROR_STOP=1 -d shop -v emitters='shop_app, shop_jobs' -f sql/role.sql
--
-- `-v emitters=PUBLIC` leaves it with everybody.

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role slotstream
\endif
\if :{?database}
\else
    \set database :DBNAME
\endif

SELECT pg_catalog.format('CREATE ROLE %I', :'role')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role')
\gexec

-- An existing role may have been made for something else: it gains these two and loses nothing.
ALTER ROLE :"role" LOGIN REPLICATION;

-- PUBLIC has CONNECT on a new database; where that was revoked, the role needs its own.
GRANT CONNECT ON DATABASE :"database" TO :"role";

-- Whoever has been granted it by name keeps it. (PostgreSQL 17 gave the function another argument.)
SELECT pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc
WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::pg_catalog.regnamespace
\gexec
\if :{?emitters}
SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO ', oid::pg_catalog.regprocedure) || :'emitters'
FROM pg_catalog.pg_proc
WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::pg_catalog.regnamespace
\gexec
\endif
