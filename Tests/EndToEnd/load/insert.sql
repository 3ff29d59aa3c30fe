\set seq :seq + 1
\set n :n + 1
\set kind random(0, 3)
INSERT INTO tb_order_line (identifier, run, client, seq, n, paid, price, note, tags, details) VALUES (format('line-%s-%s-%s', :run::int, :client_id::int, :n::int), :run, :client_id, :seq, :n, (ARRAY[true, false, NULL])[:kind::int], :seq::int / 7.0, (ARRAY['plain', E'two\nlines, a "quote", a \\ and a \t', 'Zażółć 🦄 '' it', NULL])[:kind::int + 1], (ARRAY['{}', '{red,"two words","a \"quote\"",NULL}', '{é,"NULL","{}"}', '{""}'])[:kind::int + 1]::text[], (ARRAY['{"b": [1, 2.50, null], "a": "x"}', '"scalar"', NULL, '12345678901234567890.5'])[:kind::int + 1]::jsonb);
