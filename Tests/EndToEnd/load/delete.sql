\set seq :seq + 1
\if :deleted < :n
\set deleted :deleted + 1
DELETE FROM tb_order_line WHERE run = :run AND client = :client_id AND n = :deleted;
\else
SELECT 1;
\endif
