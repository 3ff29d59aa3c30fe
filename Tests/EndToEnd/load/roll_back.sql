\set seq :seq + 1
\set account :client_id * 1000 + random(0, 999)
BEGIN;
INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('rolled back', :run, :client_id, :seq);
UPDATE tb_account SET run = :run, seq = :seq WHERE pk_account = :account;
ROLLBACK;
