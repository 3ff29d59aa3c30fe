-- The demo schema: orders, in FraiseQL's conventions.
--
--   psql -X -v ON_ERROR_STOP=1 -d shop -f sql/demo.sql
--
-- tb_ is a table, v_ the view that GraphQL reads (`id`, `data`), fn_ a function that a mutation calls. pk_order is the
-- internal key and never leaves the database through the API; `id` is the public one. May be run again; keeps rows.
--
-- tb_order is meant to be published. So it has no trigger that emits events (sql/trigger_example.sql is for tables
-- outside the publication).

CREATE TABLE IF NOT EXISTS tb_order (
    pk_order         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               UUID NOT NULL DEFAULT gen_random_uuid(),
    identifier       TEXT NOT NULL,
    items            TEXT[] NOT NULL,
    shipping_address TEXT NOT NULL,
    status           TEXT NOT NULL,
    total_amount     NUMERIC(12, 2) NOT NULL DEFAULT 0,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT tb_order_id_key UNIQUE (id),
    CONSTRAINT tb_order_identifier_key UNIQUE (identifier)
);

-- A DELETE is logged with the columns of the replica identity and nothing else. By default that is the primary key:
-- consumers would learn that pk_order 42 is gone, a number which they have never seen. With the index on `id` they learn
-- which order. (REPLICA IDENTITY FULL would log the whole old row: also `before` and `changes` in an UPDATE's event, at
-- the price of more WAL for each UPDATE and DELETE.)
ALTER TABLE tb_order REPLICA IDENTITY USING INDEX tb_order_id_key;

CREATE OR REPLACE VIEW v_order AS
SELECT
    id,
    jsonb_build_object(
        'id', id,
        'identifier', identifier,
        'items', items,
        'shipping_address', shipping_address,
        'status', status,
        'total_amount', total_amount,
        'created_at', created_at
    ) AS data
FROM tb_order;

-- What FraiseQL's mutation functions return, with the eight members that its page on NATS fills. A database that
-- FraiseQL has set up has its own, which is left as it is. (CREATE TYPE knows no IF NOT EXISTS.)
DO $$
BEGIN
    IF to_regtype('mutation_response') IS NULL THEN
        CREATE TYPE mutation_response AS (
            status         TEXT,
            message        TEXT,
            entity_id      UUID,
            entity_type    TEXT,
            entity         JSONB,
            updated_fields TEXT[],
            cascade        JSONB,
            metadata       JSONB
        );
    END IF;
END;
$$;

-- Creates a pending order. As FraiseQL's page prints it.
CREATE OR REPLACE FUNCTION fn_create_order(
    p_items TEXT[],
    p_shipping_address TEXT
)
RETURNS mutation_response LANGUAGE plpgsql AS $$
DECLARE
    v_id UUID;
    v_pk BIGINT;
    v_slug TEXT := gen_random_uuid()::text;
BEGIN
    INSERT INTO tb_order (identifier, items, shipping_address, status)
    VALUES (v_slug, p_items, p_shipping_address, 'pending')
    RETURNING pk_order, id INTO v_pk, v_id;
    RETURN ROW(
        'success', NULL, v_id, 'Order',
        (SELECT data FROM v_order WHERE id = v_id),
        NULL, NULL, NULL
    )::mutation_response;
END;
$$;

-- Sets the status and, where given, the amount. The status of the response is 'not_found' when there is no such order.
CREATE OR REPLACE FUNCTION fn_update_order(
    p_id UUID,
    p_status TEXT,
    p_total_amount NUMERIC DEFAULT NULL
)
RETURNS mutation_response LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tb_order
    SET status = p_status, total_amount = coalesce(p_total_amount, total_amount)
    WHERE id = p_id;
    IF NOT FOUND THEN
        RETURN ROW('not_found', format('no order %s', p_id), p_id, 'Order', NULL, NULL, NULL, NULL)::mutation_response;
    END IF;
    RETURN ROW(
        'success', NULL, p_id, 'Order',
        (SELECT data FROM v_order WHERE id = p_id),
        CASE WHEN p_total_amount IS NULL THEN ARRAY['status'] ELSE ARRAY['status', 'total_amount'] END,
        NULL, NULL
    )::mutation_response;
END;
$$;

-- Deletes an order; the response carries it as it was. 'not_found' when there is no such order.
CREATE OR REPLACE FUNCTION fn_delete_order(p_id UUID)
RETURNS mutation_response LANGUAGE plpgsql AS $$
DECLARE
    v_data JSONB;
BEGIN
    SELECT data INTO v_data FROM v_order WHERE id = p_id;
    DELETE FROM tb_order WHERE id = p_id;
    IF NOT FOUND THEN
        RETURN ROW('not_found', format('no order %s', p_id), p_id, 'Order', NULL, NULL, NULL, NULL)::mutation_response;
    END IF;
    RETURN ROW('success', NULL, p_id, 'Order', v_data, NULL, NULL, NULL)::mutation_response;
END;
$$;
