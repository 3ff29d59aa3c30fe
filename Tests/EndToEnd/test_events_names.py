"""Names that would break a subject, a header or JSON: each is told as it is, reversibly, and never as another's."""

import re
from urllib.parse import unquote_to_bytes

import pytest

from tenants import tenant_maker, tenants  # noqa: F401

NAMES = {
    "dots": "a.b", "a_space": "a b", "a_star": "a*b", "a_greater_than": "a>b", "quotes": 'a"b\'c', "a_newline": "a\nb",
    "a_carriage_return_and_a_header": "a\r\nNats-Msg-Id: forged", "an_emoji": "😀", "63_bytes_of_multibyte_text": "漢" * 21,
    "braces": "{prefix}", "a_percent_sign": "100%", "an_encoding_of_its_own": "%41", "the_word_for_empty": "%empty", "a_dollar": "$JS",
    "a_backslash": "a\\b", "a_tab": "a\tb", "capitals": "ORDER", "a_combining_mark": "e\u0301", "a_control_character": "a\x01b",
    "only_underscores": "___", "a_comma": "a,b", "wildcards_only": ">", "a_dash": "a-b",
}

_TEMPLATE = "{prefix}.{schema}.{table}.{entity}.{operation}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decoded(token: str) -> str:
    """What a subject token stands for."""
    return "" if token == "%empty" else unquote_to_bytes(token).decode()


@pytest.mark.parametrize("case", NAMES)
def test_a_name_with(case, one_pair, tenants):
    name = NAMES[case]
    tenant = tenants(one_pair, setup=False, overrides={"source": {"tables": ["*"]}, "events": {"subject": _TEMPLATE}})
    quoted = _quoted(name)
    tenant.run(f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} INT PRIMARY KEY, v TEXT)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run(f"INSERT INTO {quoted}.{quoted} VALUES (1, 'v'); UPDATE {quoted}.{quoted} SET {quoted} = 2; TRUNCATE {quoted}.{quoted}")
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    events = tenant.events()
    for event, operation in zip(events, ("INSERT", "UPDATE", "TRUNCATE"), strict=True):
        said = event.json
        assert (said["source"]["schema"], said["source"]["table"]) == (name, name)
        tokens = event.subject.removeprefix(tenant.prefix + ".").split(".")
        assert [_decoded(token) for token in tokens] == [name, name, said["entity_type"], operation]
        assert re.fullmatch(r"[A-Za-z0-9_%-]+(\.[A-Za-z0-9_%-]+)*", event.subject.removeprefix(tenant.prefix + "."))
        # A header that a name injected would have taken the id's place, or stand beside it.
        assert re.fullmatch(r"\d+\.\d+\.1\.\d+\.[0-9A-F]{16}\.\d", event.id) and said["id"] == event.id
    assert events[0].json["entity"] == {name: 1, "v": "v"}
    assert events[1].json["changes"] == {name: {"old": 1, "new": 2}}


def test_names_that_differ_by_case_only_do_not_collide(pair, tenants):
    # Pitfall 24.
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "events": {"subject": _TEMPLATE}})
    tenant.run('CREATE TABLE "Tb_a" (id INT PRIMARY KEY, "A" INT, a INT); CREATE TABLE tb_a (id INT PRIMARY KEY, "A" INT, a INT)')
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run('INSERT INTO "Tb_a" VALUES (1, 2, 3)')
    tenant.run("INSERT INTO tb_a VALUES (4, 5, 6)")
    tenant.wait_stored(2)
    upper, lower = tenant.events()
    assert (upper.json["entity"], lower.json["entity"]) == ({"id": 1, "A": 2, "a": 3}, {"id": 4, "A": 5, "a": 6})
    assert upper.subject != lower.subject and upper.subject.casefold() == lower.subject.casefold().replace(".a.", ".tba.")


def test_schemas_that_differ_by_case_only_do_not_collide(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={
        "source": {"tables": ["*"]}, "events": {"subject": "{prefix}.{schema}.{table}.{operation}"},
        "events.entities": {"App.tb_a": "Upper", "app.tb_a": "Lower"}, "events.columns.exclude": {"App.tb_a": ["secret"]}})
    schemas = ["app", "App", "APP"]
    for schema in schemas:
        tenant.run(f'CREATE SCHEMA "{schema}"; CREATE TABLE "{schema}".tb_a (id INT PRIMARY KEY, secret TEXT)')
    tenant.streamer.setup()
    tenant.streamer.start()
    for number, schema in enumerate(schemas):
        tenant.run(f"INSERT INTO \"{schema}\".tb_a VALUES ({number}, 's')")
    tenant.wait_stored(3)
    events = tenant.events()
    assert [event.subject for event in events] == [f"{tenant.prefix}.{schema}.tb_a.INSERT" for schema in schemas]
    assert [event.json["source"]["schema"] for event in events] == schemas
    assert [event.json["entity_type"] for event in events] == ["Lower", "Upper", "A"]
    assert [event.json["entity"] for event in events] == [{"id": 0, "secret": "s"}, {"id": 1}, {"id": 2, "secret": "s"}]


def test_a_name_in_two_spellings_of_unicode_is_two_names(pair, tenants):
    # One é as one character and as two: PostgreSQL compares bytes.
    one, two = "tb_\u00e9", "tb_e\u0301"
    tenant = tenants(pair, setup=False, overrides={
        "source": {"tables": ["*"]}, "events": {"subject": _TEMPLATE}, "events.entities": {f"public.{one}": "One"}, "events.columns.exclude": {f"public.{one}": ["secret"]}})
    for name in (one, two):
        tenant.run(f"CREATE TABLE {_quoted(name)} (id INT PRIMARY KEY, secret TEXT)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run(f"INSERT INTO {_quoted(one)} VALUES (1, 's')")
    tenant.run(f"INSERT INTO {_quoted(two)} VALUES (2, 's')")
    tenant.wait_stored(2)
    first, second = (event.json for event in tenant.events())
    assert (first["source"]["table"], first["entity_type"], first["entity"]) == (one, "One", {"id": 1})
    assert (second["source"]["table"], second["entity_type"], second["entity"]) == (two, "E\u0301", {"id": 2, "secret": "s"})


def test_all_these_names_beside_one_another_do_not_collide(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "events": {"subject": _TEMPLATE}})
    columns = ", ".join(f"{_quoted(name)} INT" for name in NAMES.values())
    for name in NAMES.values():
        tenant.run(f"CREATE TABLE {_quoted(name)} (id INT PRIMARY KEY, {columns})")
    tenant.streamer.setup()
    tenant.streamer.start()
    for number, name in enumerate(NAMES.values()):
        tenant.run(f"INSERT INTO {_quoted(name)} VALUES ({number}, {', '.join(str(at) for at in range(len(NAMES)))})")
    tenant.wait_stored(len(NAMES))
    events = tenant.events()
    assert len({event.subject for event in events}) == len(NAMES)
    expected = {name: at for at, name in enumerate(NAMES.values())}
    for number, (event, name) in enumerate(zip(events, NAMES.values(), strict=True)):
        assert event.json["entity"] == {"id": number} | expected and event.json["source"]["table"] == name


def test_values_in_subjects_are_encoded_and_null_and_untouched_are_told(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events": {"subject": "{prefix}.{entity}.{column:t}.{operation}"}})
    tenant.run("DROP TABLE tb_item; CREATE TABLE tb_x (id INT PRIMARY KEY, t TEXT, a INT); ALTER TABLE tb_x ALTER t SET STORAGE EXTERNAL; "
               "CREATE TABLE tb_y (id INT PRIMARY KEY); CREATE TABLE tb_z (id INT PRIMARY KEY, t TEXT); ALTER TABLE tb_z REPLICA IDENTITY FULL")
    tenant.streamer.setup()
    tenant.streamer.start()
    for statement in ("INSERT INTO tb_x VALUES (1, 'eu.west *>')", "INSERT INTO tb_x VALUES (2, '')", "INSERT INTO tb_x VALUES (3, NULL)",
                      "INSERT INTO tb_x VALUES (4, '%null')", "DELETE FROM tb_x WHERE id = 1", "INSERT INTO tb_y VALUES (1)", "TRUNCATE tb_x",
                      "INSERT INTO tb_z VALUES (1, 'old')", "UPDATE tb_z SET t = 'new'", "UPDATE tb_z SET t = NULL", "UPDATE tb_z SET t = 'last'",
                      "DELETE FROM tb_z"):
        tenant.run(statement)
    tenant.wait_stored(12)
    assert [event.subject.removeprefix(tenant.prefix + ".") for event in tenant.events()] == [
        "X.eu%2Ewest%20%2A%3E.INSERT", "X.%empty.INSERT", "X.%null.INSERT", "X.%25null.INSERT",
        # The old row of a DELETE has its key only; another table has no such column; a TRUNCATE has no row.
        "X.%unknown.DELETE", "Y.%unknown.INSERT", "X.%unknown.TRUNCATE",
        # With the whole old row beside it an UPDATE still takes the new row's text; a DELETE takes the old row's.
        "Z.old.INSERT", "Z.new.UPDATE", "Z.%null.UPDATE", "Z.last.UPDATE", "Z.last.DELETE"]


def test_a_value_in_the_subject_that_is_untouched_toast_is_unknown(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events": {"subject": "{prefix}.{entity}.{column:t}.{operation}"}})
    tenant.run("DROP TABLE tb_item; CREATE TABLE tb_x (id INT PRIMARY KEY, t TEXT, filler TEXT, a INT); "
               "ALTER TABLE tb_x ALTER t SET STORAGE EXTERNAL, ALTER filler SET STORAGE PLAIN")
    tenant.streamer.setup()
    tenant.streamer.start()
    # What fits into a subject goes out of line only with a filler beside it.
    tenant.run("INSERT INTO tb_x VALUES (1, repeat('x', 1500), repeat('y', 1000), 1)")
    tenant.run("UPDATE tb_x SET a = 2")
    tenant.wait_stored(2)
    first, second = tenant.events()
    assert first.subject == f"{tenant.prefix}.X.{'x' * 1500}.INSERT"
    assert second.subject == f"{tenant.prefix}.X.%unknown.UPDATE"
    assert second.json["unchanged"] == ["t"]


def test_a_subject_column_that_no_table_has_is_a_configuration_error(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"subject": "{prefix}.{entity}.{column:nope}.{operation}"}})
    tenant.streamer.start(wait=False)
    assert tenant.streamer.wait(30) == 78
    assert "{column:nope}" in tenant.streamer.last_words()


def test_entities_and_identities_are_overridden_by_table(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={
        "events": {"table_prefixes": ["tb_", "tb_app_"]}, "events.entities": {"public.tb_special": "Very.Special"},
        "events.identity": {"public.tb_special": ["b", "a"]}})
    tenant.run("CREATE TABLE tb_special (id INT PRIMARY KEY, a TEXT, b INT); CREATE TABLE tb_app_order_line (id INT PRIMARY KEY); "
               "CREATE TABLE tb_ (id INT PRIMARY KEY)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_special VALUES (1, 'x', 7)")
    tenant.run("INSERT INTO tb_app_order_line VALUES (2)")
    tenant.run("INSERT INTO tb_ VALUES (3)")
    tenant.wait_stored(3)
    events = tenant.events()
    assert [event.json["entity_type"] for event in events] == ["Very.Special", "OrderLine", "Tb"]
    assert events[0].subject == f"{tenant.prefix}.Very%2ESpecial.INSERT" and events[0].json["entity_id"] == "x,7"
