-- Runs once, when the cluster is made, before PostgreSQL takes connections over TCP: Slotstream finds role and publication.
\set password `cat /run/secrets/slotstream/postgres/password`
CREATE ROLE slotstream LOGIN REPLICATION PASSWORD :'password';
CREATE TABLE customers (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE invoices (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer BIGINT NOT NULL, total NUMERIC NOT NULL);
CREATE PUBLICATION shop FOR TABLE customers, invoices;
