-- The trigger of FraiseQL's "Advanced NATS Messaging Patterns", on slotstream.emit_event instead of pg_notify.
--
-- An example to copy, for a table OUTSIDE the publication: where tb_order is published, this trigger would announce
-- each order twice. It needs sql/emit_event.sql and a table tb_order; it may be run again.
--
-- The page's trigger also sent 'timestamp', NOW(). Left out, the event carries the time of the commit, as the events of
-- published tables do; the start of the transaction would be extra => jsonb_build_object('timestamp', now()).

CREATE OR REPLACE FUNCTION notify_order_created()
RETURNS TRIGGER AS $$
BEGIN
    PERFORM slotstream.emit_event('Order', 'INSERT', NEW.id::text);
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE TRIGGER tr_order_created
AFTER INSERT ON tb_order
FOR EACH ROW
EXECUTE FUNCTION notify_order_created();
