"""`tail`: one event a line whatever it holds, and the right events whoever asks for them."""

import json
import re
import subprocess

from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401

# What ends a line or steers a terminal, as far as PostgreSQL and JSON let it through.
_STEERING = "\x7f\x85\x9b31m\u2028\u2029\u202e"
_FORGED = b'{"id":"1"}\n7 rules.t1.Item.DELETE {"id":"forged"}\n\x1b[2J'


def _lines(text: str) -> list[str]:
    """As whatever reads lines may split them: at each of Unicode's breaks too."""
    assert text.endswith("\n")
    return text[:-1].splitlines()


def test_tail_writes_one_event_a_line_whatever_it_holds(pair, tenants):
    tenant = tenants(pair)
    tenant.run("ALTER TABLE tb_item ADD document json")
    tenant.streamer.start()
    document = '{\n\t"a": [1,\r\n 2],\n"id": "no\\nbreak"\n}'
    with tenant.connect() as connection:
        connection.execute("INSERT INTO tb_item VALUES (1, %s, %s)", (f"plain {_STEERING}\n\x1b[2J", document))
    tenant.wait_stored(1)
    for subject in (f"{tenant.prefix}.Item.INSERT", f"{tenant.prefix}.x\x1b[31m"):
        tenant.administrator.publish(subject, _FORGED)
    tenant.commit(2)
    tenant.wait_stored(4)
    stored = tenant.administrator.messages(tenant.name)
    assert b"\n" in stored[0].body, "PostgreSQL keeps a json's line breaks"

    said = tenant.streamer.command("tail", "--from", "first", "--count", "4", "--json").stdout
    lines = _lines(said)
    assert len(lines) == 4 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", said), said
    told = [json.loads(line) for line in lines]
    assert [told[0], told[3]] == [stored[0].json, stored[3].json]
    assert told[0]["entity"]["document"] == json.loads(document)
    assert [(stray["sequence"], stray["body"]) for stray in told[1:3]] == [(2, _FORGED.decode()), (3, _FORGED.decode())]

    said = tenant.streamer.command("tail", "--from", "first", "--count", "4").stdout
    lines = _lines(said)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", said), said
    assert [line.split()[1] for line in lines] == ["#1", "#2", "#3", "#4"]


def test_tail_finds_an_entity_in_another_case_and_by_its_table(pair, tenants):
    tenant = tenants(pair)
    tenant.run("CREATE TABLE tb_order_line (n BIGINT PRIMARY KEY)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_order_line")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.run("INSERT INTO tb_order_line VALUES (2)")
    tenant.wait_stored(2)
    for name in ("orderline", "ORDERLINE", "order_line", "tb_order_line", "public.tb_order_line"):
        done = tenant.streamer.command("tail", "--from", "first", "--count", "1", "--json", "--entity", name)
        assert json.loads(done.stdout)["entity"] == {"n": 2}
        assert "OrderLine" in done.stderr, "it says that it is written otherwise"
    done = tenant.streamer.command("tail", "--from", "first", "--count", "1", "--json", "--entity", "OrderLine", "--operation", "insert")
    assert json.loads(done.stdout)["entity"] == {"n": 2}


def test_tail_of_what_is_not_there_says_what_is(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    for flag, name, there in (("--entity", "Invoice", "Item"), ("--operation", "INSRT", "INSERT")):
        done = tenant.streamer.command("tail", flag, name, expect=64)
        assert name in done.stderr and there in done.stderr and not done.stdout, done


def test_tail_leaves_the_choice_to_the_server(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    streamer = tenant.streamer
    for arguments, subject in ((["--entity", "item"], f"{tenant.prefix}.Item.*"), (["--operation", "UPDATE"], f"{tenant.prefix}.*.UPDATE"),
                               (["--entity", "Item", "--operation", "delete"], f"{tenant.prefix}.Item.DELETE"),
                               (["--operation", "GAP"], f"{tenant.prefix}.*.GAP")):
        process = subprocess.Popen([str(streamer.binary), "tail", *arguments, "--config", str(streamer.config)],
                                   env=streamer.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def filters() -> list[str]:
                consumers = tenant.administrator.api(f"CONSUMER.LIST.{tenant.name}").get("consumers") or []
                return [consumer["config"].get("filter_subject") for consumer in consumers]

            wait_until(lambda: process.poll() is None and subject in filters(), 30, f"a consumer of {subject}")
        finally:
            process.kill()
            process.wait()


def test_tail_filters_where_subjects_do_not_tell(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"subject": "{prefix}.{table}.{entity}_{operation}"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.run("UPDATE tb_item SET note = 'n'")
    tenant.wait_stored(2)
    done = tenant.streamer.command("tail", "--from", "first", "--count", "1", "--json", "--entity", "item", "--operation", "update")
    assert json.loads(done.stdout)["operation"] == "UPDATE"
