\set seq :seq + 1
\set account :client_id * 1000 + random(0, 999)
BEGIN;
INSERT INTO tb_order_line (identifier, run, client, seq, note) VALUES ('before the savepoint', :run, :client_id, :seq, 'kept');
SAVEPOINT one;
UPDATE tb_account SET run = :run, seq = :seq, balance = -1 WHERE pk_account = :account;
INSERT INTO tb_order_line (identifier, run, client, seq, note) VALUES ('after the savepoint', :run, :client_id, :seq, 'gone');
ROLLBACK TO SAVEPOINT one;
UPDATE tb_account SET run = :run, seq = :seq, balance = balance * 1.01 WHERE pk_account = :account;
END;
