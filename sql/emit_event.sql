-- slotstream.emit_event: publish an event from a trigger, a job or any transaction.
--
--   psql -X -v ON_ERROR_STOP=1 -d shop -f sql/emit_event.sql
--
-- The same call as pg_notify('fraiseql_events', json), without what is wrong with that one: the message is a record in
-- the WAL, so it is as durable as the transaction that wrote it, may be longer than 8,000 bytes, waits in the slot
-- while nobody listens, and takes its place in commit order among the changes of the published tables. A transaction
-- that rolls back emits nothing.
--
-- FOR TABLES OUTSIDE THE PUBLICATION. A row of a published table is an event already; a trigger that calls this
-- function on such a table announces each row twice.
--
-- May be run again. Needs no privilege but CREATE on the database.

CREATE SCHEMA IF NOT EXISTS slotstream;
COMMENT ON SCHEMA slotstream IS 'Functions that publish through Slotstream. Holds no data.';

-- The JSON of an event, with the arguments checked: each mistake would otherwise be found by the streamer only, which puts
-- what is no event into quarantine. Here it fails in the transaction that is wrong. `caller` is named in the errors.
CREATE OR REPLACE FUNCTION slotstream.event_body(
    caller text,
    entity_type text,
    operation text,
    entity_id text,
    entity jsonb,
    extra jsonb
)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
-- The caller's search_path must not decide which functions and operators are used here.
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    IF entity_type IS NULL OR entity_type = '' THEN
        RAISE EXCEPTION 'slotstream.%: entity_type must not be null or empty', caller
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'It names the entity in the subject, for example ''Order''.';
    END IF;
    IF operation IS NULL OR operation = '' THEN
        RAISE EXCEPTION 'slotstream.%: operation must not be null or empty', caller
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'It is the last token of the subject, for example ''INSERT'' or ''SHIPPED''.';
    END IF;
    IF extra IS NULL OR jsonb_typeof(extra) <> 'object' THEN
        RAISE EXCEPTION 'slotstream.%: extra must be a JSON object, not %', caller,
            CASE WHEN extra IS NULL THEN 'SQL NULL' ELSE 'a JSON ' || jsonb_typeof(extra) END
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Leave it out, or pass for example ''{"reason": "import"}''.';
    END IF;

    body := (extra - ARRAY['entity_type', 'operation', 'entity_id', 'entity'])
        || jsonb_build_object('entity_type', entity_type, 'operation', operation, 'entity_id', entity_id);
    IF entity IS NOT NULL THEN
        body := body || jsonb_build_object('entity', entity);
    END IF;
    IF lower(entity_type COLLATE "C") = '_slotstream' THEN
        RAISE EXCEPTION 'slotstream.%: the entity_type _slotstream is Slotstream''s own', caller
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose another name.';
    END IF;
    IF jsonb_path_exists(body, 'strict $.**{201}') THEN
        RAISE EXCEPTION 'slotstream.%: the event is nested deeper than 200', caller
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Send a flatter object.';
    END IF;
    IF (SELECT count(*) > 10000 OR max(octet_length(convert_to(key, 'UTF8'))) > 1024 FROM jsonb_object_keys(body) AS key) THEN
        RAISE EXCEPTION 'slotstream.%: extra has more than 10,000 members, or one whose name has more than 1,024 bytes', caller
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Put them into an object of their own.';
    END IF;
    -- Consumers may read names without regard to case. The two characters beside ASCII whose small form is an ASCII letter count too, as
    -- UTF-8 in octal digits.
    IF EXISTS (
        SELECT FROM jsonb_object_keys(body) AS key,
            LATERAL (SELECT replace(replace(encode(convert_to(lower(key COLLATE "C"), 'UTF8'), 'escape'),
                '\305\277', 's'), '\342\204\252', 'k')) AS folded (name)
        WHERE folded.name IN ('id', 'entity_type', 'operation', 'entity_id', 'timestamp', 'entity', 'before', 'changes',
                'unchanged', 'truncate', 'omitted', 'transaction', 'source')
            AND key <> folded.name
    ) THEN
        RAISE EXCEPTION 'slotstream.%: a member of extra differs from one of Slotstream''s in case only', caller
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Write it in small letters if it is the one, or choose another name.';
    END IF;
    -- As bytes: a text is sent in the database's encoding, whatever the client's, and JSON is UTF-8.
    RETURN convert_to(body::text, 'UTF8');
END;
$$;

-- Writes one transactional logical message with the prefix `fraiseql_events`, which the streamer publishes on
-- {prefix}.{entity_type}.{operation}.
--
--   entity_type, operation  the two last tokens of the subject, as they are (no table prefix is cut here); not empty
--   entity_id               NULL is published as null
--   entity                  NULL leaves `entity` out of the event
--   extra                   more members of the event, beside the four above, which win over members of the same name.
--                           `timestamp` (RFC 3339) replaces the commit's time; `id`, `transaction` and `source` are
--                           the streamer's and are replaced.
--
-- Returns the message's position in the WAL (not that of the commit, which `transaction.lsn` will be).
CREATE OR REPLACE FUNCTION slotstream.emit_event(
    entity_type text,
    operation text,
    entity_id text,
    entity jsonb DEFAULT NULL,
    extra jsonb DEFAULT '{}'
)
RETURNS pg_lsn
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_logical_emit_message(
        true, 'fraiseql_events',
        slotstream.event_body('emit_event', entity_type, operation, entity_id, entity, extra));
$$;

COMMENT ON FUNCTION slotstream.emit_event(text, text, text, jsonb, jsonb) IS
    'Publishes an event with the transaction: for tables outside the publication, jobs and functions.';

-- As emit_event, but outside the transaction: the event is published at once, and stays published when the transaction
-- rolls back. For what happened whatever becomes of the transaction: a refused login, a started job. Its event has
-- `transaction` without `id`.
CREATE OR REPLACE FUNCTION slotstream.emit_event_at_once(
    entity_type text,
    operation text,
    entity_id text,
    entity jsonb DEFAULT NULL,
    extra jsonb DEFAULT '{}'
)
RETURNS pg_lsn
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_logical_emit_message(
        false, 'fraiseql_events',
        slotstream.event_body('emit_event_at_once', entity_type, operation, entity_id, entity, extra));
$$;

COMMENT ON FUNCTION slotstream.emit_event_at_once(text, text, text, jsonb, jsonb) IS
    'Publishes an event at once, whatever becomes of the transaction.';

-- Triggers run as whoever changes the table. This gives nobody anything new: pg_logical_emit_message does the work, which is
-- everybody's unless sql/role.sql has taken it away. Then who emits needs EXECUTE on that function.
GRANT USAGE ON SCHEMA slotstream TO PUBLIC;
