"""`[events.columns]`: what is left out or masked is nowhere, whatever happens to the column; and nothing else shifts by it."""

import hashlib
import hmac

import pytest

from tenants import record_entries, stopped, tenant_maker, tenants  # noqa: F401

KEY = b"not\nfor\0text\xff"

TABLE = ("DROP TABLE tb_item; CREATE TABLE tb_user (id INT PRIMARY KEY, email TEXT, phone TEXT, password_hash TEXT, note TEXT); "
         "ALTER TABLE tb_user REPLICA IDENTITY FULL")


def digest(text: str) -> str:
    """HMAC-SHA-256, by Python's own hands."""
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def _rules(folder, exclude=("password_hash",), mask=None, table="public.tb_user") -> dict:
    key = folder / "mask.key"
    # One trailing newline is the editor's, not the key's.
    key.write_bytes(KEY + b"\n")
    # A key that everybody may read is warned of.
    key.chmod(0o600)
    rules = {"events": {"mask_key_file": str(key)}, f'events.columns.mask."{table}"': mask or {"email": "hmac", "phone": "text:***"}}
    if exclude:
        rules["events.columns.exclude"] = {table: list(exclude)}
    return rules


def _tenant(tenants, pair, **options):
    tenant = tenants(pair, setup=False)
    tenant.overrides |= _rules(tenant.servers.folder, **options)
    tenant.streamer = tenant.another()
    tenant.run(TABLE)
    tenant.streamer.setup()
    return tenant


def test_masked_and_excluded_columns_are_hidden_in_every_part_of_an_event(pair, tenants):
    tenant = _tenant(tenants, pair)
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', '555-1', 's3cret', 'n')")
    tenant.run("UPDATE tb_user SET email = 'bob@example.org', password_hash = 's4cret'")
    tenant.run("UPDATE tb_user SET email = NULL, phone = NULL")
    tenant.run("DELETE FROM tb_user")
    tenant.wait_stored(4)
    events = tenant.events()
    for event in events:
        for value in (b"example.org", b"555-1", b"cret", b"password_hash"):
            assert value not in event.body and value.decode() not in event.subject
    insert, update, nulled, delete = (event.json for event in events)
    assert insert["entity"] == {"id": 1, "email": digest("ann@example.org"), "phone": "***", "note": "n"}
    assert update["before"] == insert["entity"] and update["entity"]["email"] == digest("bob@example.org")
    assert update["changes"] == {"email": {"old": digest("ann@example.org"), "new": digest("bob@example.org")}}
    assert nulled["entity"] == {"id": 1, "email": None, "phone": None, "note": "n"} == delete["entity"]
    said = tenant.streamer.log.read_text() + tenant.streamer.get("/status") + tenant.streamer.get("/metrics")
    assert "example.org" not in said and "cret" not in said
    shown = tenant.streamer.command("config").stdout
    assert "mask.key" in shown and "not\\nfor" not in shown


def test_ordinals_and_ids_do_not_shift_when_rules_change_between_two_starts(pair, tenants):
    # Pitfall 12: killed in the middle, started again under other rules.
    tenant = _tenant(tenants, pair)
    with tenant.connect() as connection, connection.transaction():
        for number in range(1, 21):
            connection.execute("INSERT INTO tb_user VALUES (%s, 'e', 'p', 'h', 'n')", (number,))
    tenant.streamer.start()
    tenant.wait_stored(20)
    # What is stored beyond the record could not be compared under other rules.
    tenant.wait_confirmed()
    tenant.streamer.kill()
    tenant.run("INSERT INTO tb_user SELECT n, 'e', 'p', 'h', 'n' FROM generate_series(21, 40) AS n; DELETE FROM tb_user WHERE id = 1")
    tenant.wait_free()
    other = tenant.another({"events": {"exclude": ["public.tb_user:DELETE"]}, "events.columns.exclude": {"public.tb_user": ["note"]},
                            'events.columns.mask."public.tb_user"': {"password_hash": "text:x"}})
    other.start()
    tenant.wait_stored(40)
    tenant.wait_confirmed()
    events = [event.json for event in tenant.events()]
    assert [event["entity"]["id"] for event in events] == list(range(1, 41))
    assert [event["transaction"]["ordinal"] for event in events] == list(range(1, 21)) * 2
    assert "note" in events[0]["entity"] and "note" not in events[20]["entity"]
    # The last of the transaction is left out: the one before it is the last that is published.
    assert [event["transaction"]["last"] for event in events] == ([False] * 19 + [True]) * 2


def test_a_ruled_column_that_is_renamed_while_it_streams_stops_before_a_row_goes_out(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac", "phone": "hmac"})
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', '555', 'h', 'n')")
    tenant.wait_stored(1)
    tenant.run("ALTER TABLE tb_user RENAME email TO mail")
    tenant.run("INSERT INTO tb_user VALUES (2, 'bob@example.org', '555', 'h', 'n')")
    said = stopped(tenant.streamer, 78, "configuration")
    assert "email" in said and "public.tb_user" in said and "example.org" not in said
    assert tenant.last_sequence() == 1
    # It says so again, whoever starts it; with both names it goes on, and the new one hides.
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    both = _with_mask(tenant, {"email?": "hmac", "mail": "hmac", "phone": "hmac"})
    both.start()
    tenant.wait_stored(2)
    assert tenant.events()[1].json["entity"]["mail"] == digest("bob@example.org")


def _with_mask(tenant, mask: dict, table: str = "public.tb_user"):
    """Another streamer, with this mask and no other."""
    tenant.overrides = {name: values for name, values in tenant.overrides.items() if not name.startswith("events.columns")}
    return tenant.another({f'events.columns.mask."{table}"': mask})


def test_rows_from_before_a_rename_that_are_read_after_it_are_hidden_too(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac"})
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n')")
    tenant.run("ALTER TABLE tb_user RENAME email TO mail")
    only_new = _with_mask(tenant, {"mail": "hmac"})
    only_new.start(wait=False)
    stopped(only_new, 78, "configuration")
    assert tenant.last_sequence() == 0
    both = _with_mask(tenant, {"email?": "hmac", "mail?": "hmac"})
    both.start()
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"]["email"] == digest("ann@example.org")


def test_a_column_that_takes_the_name_of_a_ruled_one_does_not_hide_the_renamed_one(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac"})
    tenant.run("ALTER TABLE tb_user RENAME email TO mail")
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n')")
    tenant.run("ALTER TABLE tb_user ADD email TEXT")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    assert tenant.last_sequence() == 0


def test_a_ruled_column_that_is_dropped_stops_until_it_is_marked(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac", "phone": "hmac"})
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', '555', 'h', 'n')")
    tenant.run("ALTER TABLE tb_user DROP email; INSERT INTO tb_user VALUES (2, '555', 'h', 'n')")
    stopped(tenant.streamer, 78, "configuration")
    marked = _with_mask(tenant, {"email?": "hmac", "phone": "hmac"})
    marked.start()
    tenant.wait_stored(2)
    assert [event.json["entity"].get("email") for event in tenant.events()] == [digest("ann@example.org"), None]


def test_a_column_list_that_leaves_a_ruled_column_out_is_no_rename(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac", "phone": "hmac"})
    tenant.run(f"ALTER TABLE tb_user REPLICA IDENTITY DEFAULT; ALTER PUBLICATION {tenant.name} SET TABLE tb_user (id, phone)")
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', '555', 'h', 'n')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"id": 1, "phone": digest("555")}


def test_a_rule_for_a_generated_column_is_no_false_alarm(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.overrides |= _rules(tenant.servers.folder, exclude=(), mask={"email": "hmac", "email_lower": "hmac"})
    tenant.streamer = tenant.another()
    tenant.run(TABLE + "; ALTER TABLE tb_user REPLICA IDENTITY DEFAULT, ADD email_lower TEXT GENERATED ALWAYS AS (lower(email)) STORED")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"]["email"] == digest("ann@example.org")
    assert "ann" not in tenant.events()[0].body.decode()


def test_a_partition_that_is_published_by_itself_is_ruled_under_its_own_name(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["public.tb_part_1"]}})
    tenant.overrides |= _rules(tenant.servers.folder, table="public.tb_part_1", exclude=("secret",), mask={"id": "hmac"})
    tenant.streamer = tenant.another()
    tenant.run("CREATE TABLE tb_part (id INT PRIMARY KEY, secret TEXT) PARTITION BY RANGE (id); "
               "CREATE TABLE tb_part_1 PARTITION OF tb_part FOR VALUES FROM (0) TO (10); "
               f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_part_1 WITH (publish_via_partition_root = true)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_part VALUES (1, 's3cret')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"id": digest("1")}


def test_a_ruled_table_that_is_renamed_stops_before_a_row_goes_out(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac"})
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n')")
    tenant.wait_stored(1)
    tenant.run("ALTER TABLE tb_user RENAME TO tb_person")
    tenant.run("INSERT INTO tb_person VALUES (2, 'bob@example.org', 'p', 'h', 'n')")
    said = stopped(tenant.streamer, 78, "configuration")
    assert "public.tb_person" in said and "example.org" not in said
    tenant.streamer.start(wait=False)
    assert "public.tb_user" in stopped(tenant.streamer, 78, "configuration")
    # A new name alone would not hide what was written under the old one.
    other = _with_mask(tenant, {"email": "hmac"}, "public.tb_person")
    other.start()
    tenant.wait_stored(2)
    assert tenant.events()[1].json["entity"]["email"] == digest("bob@example.org")


def test_rows_from_before_a_table_was_renamed_are_hidden_too(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=(), mask={"email": "hmac"})
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n'); ALTER TABLE tb_user RENAME TO tb_person")
    only_new = _with_mask(tenant, {"email": "hmac"}, "public.tb_person")
    only_new.start(wait=False)
    assert "public.tb_person" in stopped(only_new, 78, "configuration")
    assert tenant.last_sequence() == 0
    tenant.overrides['events.columns.mask."public.tb_user?"'] = {"email": "hmac"}
    both = tenant.another({'events.columns.mask."public.tb_person"': {"email": "hmac"}})
    both.start()
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"]["email"] == digest("ann@example.org")


def test_a_rule_for_a_column_or_a_table_that_is_not_there_is_a_configuration_error(pair, tenants):
    tenant = _tenant(tenants, pair, exclude=("pasword_hash",), mask={"email": "hmac", "e_mail": "text:x"})
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 78, "configuration")
    assert "e_mail, pasword_hash" in said and "public.tb_user" in said
    other = _with_mask(tenant, {"email": "hmac"}, "public.tb_usr")
    other.start(wait=False)
    assert "public.tb_usr" in stopped(other, 78, "configuration")


def test_a_table_that_is_made_later_has_its_rules_beforehand(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}})
    tenant.overrides |= _rules(tenant.servers.folder, table="public.tb_later?", exclude=(), mask={"email": "hmac"})
    tenant.streamer = tenant.another()
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("CREATE TABLE tb_later (id INT PRIMARY KEY, email TEXT); INSERT INTO tb_later VALUES (1, 'ann@example.org')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"]["email"] == digest("ann@example.org")


def test_rules_for_a_partitioned_table_want_its_root_published(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.overrides |= _rules(tenant.servers.folder, table="public.tb_part", exclude=("secret",), mask={"secret2": "text:x"})
    tenant.streamer = tenant.another()
    tenant.run("CREATE TABLE tb_part (id INT PRIMARY KEY, secret TEXT, secret2 TEXT) PARTITION BY RANGE (id); "
               f"CREATE TABLE tb_part_1 PARTITION OF tb_part FOR VALUES FROM (0) TO (10); CREATE PUBLICATION {tenant.name} FOR TABLE tb_part")
    tenant.streamer.setup()
    tenant.streamer.start(wait=False)
    assert "public.tb_part" in stopped(tenant.streamer, 78, "configuration")
    tenant.run(f"ALTER PUBLICATION {tenant.name} SET (publish_via_partition_root = true)")
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_part VALUES (1, 's3cret', 's3cret')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"id": 1, "secret2": "x"}
    # The root is no longer what is published: the partition comes under its own name, without rules.
    tenant.run(f"ALTER PUBLICATION {tenant.name} SET (publish_via_partition_root = false)")
    tenant.run("INSERT INTO tb_part VALUES (2, 's3cret', 's3cret')")
    assert "public.tb_part_1" in stopped(tenant.streamer, 78, "configuration")
    assert tenant.last_sequence() == 1


def test_a_masked_column_in_subject_and_identity_is_masked_there_too(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events.identity": {"public.tb_user": ["email"]}})
    tenant.overrides |= _rules(tenant.servers.folder)
    tenant.overrides["events"] |= {"subject": "{prefix}.{entity}.{column:email}.{column:password_hash}.{operation}"}
    tenant.streamer = tenant.another()
    tenant.run(TABLE)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_user VALUES (1, 'ann@example.org', 'p', 'h', 'n')")
    tenant.wait_stored(1)
    (event,) = tenant.events()
    assert event.subject == f"{tenant.prefix}.User.{digest('ann@example.org')}.%unknown.INSERT"
    assert event.json["entity_id"] == digest("ann@example.org")


def _differences(streamer) -> list[str]:
    """What the streamer found otherwise than configured, and goes on with."""
    return [entry["difference"] for entry in record_entries(streamer, "not as configured")]


@pytest.mark.parametrize("identity", [{"public.tb_item": ["n", "nn"]}, {"public.tb_items": ["n"]}, {"public.tb_item": ["N"]}])
def test_an_identity_of_what_is_not_there_is_told(identity, pair, tenants):
    tenant = tenants(pair, overrides={"events.identity": identity})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    (table,) = identity
    assert any("[events.identity] names" in said and table in said for said in _differences(tenant.streamer))


def test_an_identity_with_a_column_twice_is_a_configuration_error(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.overrides["events.identity"] = {"public.tb_item": ["n", "n"]}
    other = tenant.another()
    other.start(wait=False)
    assert other.wait(30) == 78 and "no column twice" in other.last_words()


def test_an_identity_survives_a_rename_when_both_names_are_marked(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events.identity": {"public.tb_item": ["was?", "code?"], "public.tb_later?": ["a"]}})
    tenant.run("ALTER TABLE tb_item ADD was TEXT")
    tenant.streamer.setup()
    tenant.run("INSERT INTO tb_item VALUES (1, NULL, 'x'); ALTER TABLE tb_item RENAME was TO code; INSERT INTO tb_item VALUES (2, NULL, 'y')")
    tenant.streamer.start()
    tenant.wait_stored(2)
    assert [event.json["entity_id"] for event in tenant.events()] == ["x", "y"]


def test_an_entity_for_a_table_that_is_not_there_is_told_unless_it_is_marked(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "events.entities": {"public.tb_later": "Chosen"}})
    tenant.streamer.start()
    assert any("[events.entities] names the table public.tb_later" in said for said in _differences(tenant.streamer))
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.overrides["events.entities"] = {"public.tb_later?": "Chosen"}
    marked = tenant.another()
    marked.start()
    tenant.run("CREATE TABLE tb_later (id INT PRIMARY KEY); INSERT INTO tb_later VALUES (1)")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity_type"] == "Chosen"
    assert not _differences(marked)


@pytest.mark.parametrize("section", ["events.columns.exclude", "events.identity", "events.entities"])
def test_a_rule_whose_table_is_two_by_its_joined_name_is_a_configuration_error(section, pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, section: {
        "a.b.c": "Chosen" if section == "events.entities" else ["secret"]}})
    tenant.run('CREATE SCHEMA "a.b"; CREATE SCHEMA a; CREATE TABLE "a.b".c (id INT PRIMARY KEY, secret TEXT)')
    tenant.streamer.setup()
    # One table alone is meant; another that comes later falls under its rule: too much is hidden, never too little.
    tenant.streamer.start()
    tenant.run('INSERT INTO "a.b".c VALUES (1, \'s\')')
    tenant.run('CREATE TABLE a."b.c" (id INT PRIMARY KEY, secret TEXT)')
    tenant.run('INSERT INTO a."b.c" VALUES (2, \'s\')')
    tenant.wait_stored(2)
    for event in tenant.events():
        said = event.json
        assert {"events.columns.exclude": "secret" not in said["entity"], "events.identity": said.get("entity_id") == "s",
                "events.entities": said["entity_type"] == "Chosen"}[section], said
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    # A rule that hides stops; what the others choose wrong is told.
    tenant.streamer.start(wait=False)
    if section == "events.columns.exclude":
        said = stopped(tenant.streamer, 78, "configuration")
    else:
        tenant.streamer.wait_ready()
        (said,) = _differences(tenant.streamer)[-1:]
    assert f"[{section.removesuffix('.exclude')}]" in said and '"a.b".c' in said and 'a."b.c"' in said


def test_a_column_whose_name_ends_in_the_mark_is_named_with_two(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events.columns.exclude": {"public.tb_odd??": ["sure??"]}})
    tenant.run('CREATE TABLE "tb_odd?" (id INT PRIMARY KEY, "sure?" TEXT)')
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO \"tb_odd?\" VALUES (1, 's')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"id": 1}


def test_masks_without_a_key_and_contradictions_are_complaints(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={
        'events.columns.mask."public.tb_user"': {"email": "hmac"}, "events.columns.exclude": {"public.tb_user": ["email"]}})
    done = tenant.streamer.command("config", expect=78)
    assert "events.columns.mask needs events.mask_key_file" in done.stderr and "excludes this column" in done.stderr


def test_a_hidden_column_whose_own_name_ends_with_the_mark_needs_a_second_one(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"events.columns.exclude": {"public.tb_sure": ["sure?"]}})
    tenant.run('CREATE TABLE tb_sure (id INT PRIMARY KEY, "sure?" TEXT)')
    tenant.streamer.setup()
    tenant.streamer.start(wait=False)
    assert "the table has a column with the name sure?" in stopped(tenant.streamer, 78, "configuration")
    tenant.overrides["events.columns.exclude"] = {"public.tb_sure": ["sure??"]}
    tenant.streamer = tenant.another()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_sure VALUES (1, 'secret')")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"id": 1}
