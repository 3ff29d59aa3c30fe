\set seq :seq + 1
\set account :client_id * 1000 + random(0, 990)
BEGIN;
INSERT INTO tb_order_line (identifier, run, client, seq, quantity, tags) SELECT format('several-%s-%s-%s-%s', :run::int, :client_id::int, :seq::int, i), :run::int, :client_id::int, :seq::int, i, ARRAY['a', i::text] FROM generate_series(1, 3) AS i;
UPDATE tb_account SET run = :run, seq = :seq, balance = balance - 0.10 WHERE pk_account BETWEEN :account AND :account + 3;
UPDATE tb_order_line SET paid = true, price = NULL, note = 'paid', seq = :seq WHERE run = :run AND client = :client_id AND n = :n;
END;
