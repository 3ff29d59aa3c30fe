-- What the load is run on. Two tables in FraiseQL's conventions, one of each kind of replica identity that carries `id`:
-- an index, and the whole row. Values that JSON must escape, NULLs, arrays and documents are among the rows.
--
-- `run`, `client` and `seq` say who wrote a row last: the transaction number `seq` of pgbench's client `client`, in the
-- pgbench run `run`.

CREATE TABLE tb_account (
    pk_account BIGINT PRIMARY KEY,
    id         UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    identifier TEXT NOT NULL,
    run        INTEGER NOT NULL DEFAULT 0,
    client     INTEGER NOT NULL,
    seq        INTEGER NOT NULL DEFAULT 0,
    balance    NUMERIC(14, 2) NOT NULL DEFAULT 0,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE tb_account REPLICA IDENTITY USING INDEX tb_account_id_key;

CREATE TABLE tb_order_line (
    pk_order_line BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    identifier    TEXT NOT NULL,
    run           INTEGER NOT NULL,
    client        INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    n             INTEGER,
    quantity      SMALLINT NOT NULL DEFAULT 1,
    paid          BOOLEAN,
    price         NUMERIC(12, 2),
    note          TEXT,
    tags          TEXT[] NOT NULL DEFAULT '{}',
    details       JSONB,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX ON tb_order_line (run, client, n);
ALTER TABLE tb_order_line REPLICA IDENTITY FULL;

-- A thousand accounts a client, so that a client writes to rows of its own and an UPDATE always finds its row. Inserted
-- here, before any slot: they are not in the stream until they are updated.
INSERT INTO tb_account (pk_account, identifier, client)
SELECT client * 1000 + number, format('account-%s-%s', client, number), client
FROM generate_series(0, 7) AS client, generate_series(0, 999) AS number;
