"""`slotstream check` of the publication and its tables: each fault is made, found, mended as printed, and found no more."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from doctor import Person, found
from tenants import tenant_maker, tenants  # noqa: F401


@dataclass(frozen=True)
class Fault:
    """`sql` makes it, behind `setup`; `about`: a word of the finding's object or message. `overrides`: of the streamer that looks."""

    identifier: str
    sql: str
    about: str = ""
    overrides: dict = field(default_factory=dict)
    # What else is done before it is looked for.
    more: Callable | None = None

    def __str__(self) -> str:
        return f"{self.identifier} {self.about}".strip()


_EMITTING = "CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {call}; RETURN NULL; END $$; " \
            "CREATE TRIGGER announces AFTER INSERT ON tb_item FOR EACH ROW EXECUTE FUNCTION announce()"

FAULTS = [
    Fault("E010", "SELECT", "public.tb_itm", {"source": {"tables": ["public.tb_itm"]}}),
    Fault("E011", "SELECT", "public.tb_itmes", {"source": {"tables": ["public.tb_item", "public.tb_itmes"]}}),
    Fault("E012", "CREATE TABLE tb_log (note TEXT); ALTER PUBLICATION {name} ADD TABLE tb_log", "public.tb_log"),
    Fault("E012", 'CREATE TABLE "tb_LÖG" (note TEXT); ALTER PUBLICATION {name} ADD TABLE "tb_LÖG"', "LÖG"),
    Fault("W013", "CREATE TABLE tb_order (pk_order INT PRIMARY KEY, id UUID NOT NULL UNIQUE); ALTER PUBLICATION {name} ADD TABLE tb_order",
          "public.tb_order"),
    Fault("W013", "CREATE TABLE tb_keyless (pk_k INT PRIMARY KEY, id UUID); ALTER PUBLICATION {name} ADD TABLE tb_keyless", "public.tb_keyless"),
    Fault("W014", "ALTER PUBLICATION {name} SET (publish = 'insert'); ALTER TABLE tb_item REPLICA IDENTITY NOTHING", "public.tb_item"),
    Fault("E015", "DROP PUBLICATION {name}", "{name}"),
    Fault("E017", "ALTER PUBLICATION {name} DROP TABLE tb_item", "{name}"),
    Fault("W018", "CREATE TABLE tb_later (n INT PRIMARY KEY)", "public.tb_later"),
    Fault("W019", "ALTER PUBLICATION {name} SET (publish = 'insert, update')", "DELETE, TRUNCATE"),
    Fault("W019", "ALTER PUBLICATION {name} SET TABLE tb_item WHERE (n > 0)", "rows"),
    Fault("W019", "ALTER PUBLICATION {name} SET TABLE tb_item (n)", "columns"),
    Fault("W020", "CREATE TABLE tb_part (n INT PRIMARY KEY) PARTITION BY RANGE (n); CREATE TABLE tb_part_1 PARTITION OF tb_part DEFAULT; "
          "ALTER PUBLICATION {name} ADD TABLE tb_part", "public.tb_part"),
    Fault("W021", "CREATE UNLOGGED TABLE tb_fast (n INT PRIMARY KEY)", "public.tb_fast"),
    Fault("W021", "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; "
          "CREATE FOREIGN TABLE tb_far (n INT) SERVER nowhere", "public.tb_far"),
    Fault("W034", "CREATE TABLE tb_wide (n INT PRIMARY KEY, body TEXT); ALTER TABLE tb_wide ALTER body SET STORAGE EXTERNAL; INSERT INTO tb_wide "
          "SELECT n, repeat('x', 1500000) FROM generate_series(1, 3) AS n; ALTER PUBLICATION {name} ADD TABLE tb_wide",
          "public.tb_wide", more=lambda tenant: tenant.run("VACUUM ANALYZE tb_wide")),
    Fault("W035", "SELECT", "fraiseql_events"),
    Fault("W036", _EMITTING.format(call="slotstream.emit_event('Item', 'ADDED', '1')"), "emit_event"),
    Fault("W036", _EMITTING.format(call="pg_notify('fraiseql_events', '{{}}')"), "pg_notify"),
    Fault("W052", "CREATE ROLE {name}_author; CREATE TYPE colour AS ENUM ('red'); CREATE FUNCTION to_j(colour) RETURNS json LANGUAGE sql "
          "AS 'SELECT ''1''::json'; CREATE CAST (colour AS json) WITH FUNCTION to_j(colour); ALTER FUNCTION to_j OWNER TO {name}_author; "
          "ALTER TABLE tb_item ADD shade colour", "colour"),
    Fault("W053", 'CREATE TABLE "tb_größe" (n INT PRIMARY KEY); ALTER PUBLICATION {name} ADD TABLE "tb_größe"', "größe"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_found_and_mended_as_printed(fault, one_pair, tenants):
    tenant = tenants(one_pair)
    about = fault.about.format(name=tenant.name)
    streamer = tenant.another(fault.overrides) if fault.overrides else tenant.streamer
    if fault.sql != "SELECT":
        assert not found(streamer, fault.identifier, about), "it is not there yet"
        tenant.run(fault.sql.format(name=tenant.name))
    if fault.more:
        fault.more(tenant)
    told = found(streamer, fault.identifier, about)
    assert told and all(each["why"] and each["message"] for each in told)
    person = Person(tenant, streamer)
    for each in told:
        person.carry_out(each["fix"])
    assert not found(streamer, fault.identifier, about)


def test_rows_from_before_the_slot_are_told(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    tenant.run(f"INSERT INTO tb_item SELECT generate_series(1, 500); CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    tenant.run("ANALYZE tb_item")
    (told,) = found(tenant.streamer, "I044", "", "--before-start")
    assert told["severity"] == "note" and "about 500 in 1 tables" in told["message"] and told["fix"] == ""
    tenant.streamer.setup()
    assert not found(tenant.streamer, "I044")
