\set seq :seq + 1
\set account :client_id * 1000 + random(0, 999)
UPDATE tb_account SET run = :run, seq = :seq, balance = balance + 1.25, updated_at = clock_timestamp() WHERE pk_account = :account;
