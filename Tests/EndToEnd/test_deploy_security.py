"""deploy/docs/security.md: its block of NATS permissions is enough and no line of it is idle, both connections with certificates
on both sides, what is rotated while it streams, and that no log has data.

Passwords, tokens, credentials and authorities that are rotated: test_rules_credentials.py. Rights that are taken away while it
streams: there, and test_rules_permissions.py."""

import asyncio
import re
import subprocess

import pytest

import stream
from conftest import PAIRS
from servers.tools import CHECKOUT, free_port, observer_binary, slotstream_binary, wait_until
from streamer import Streamer
from tenants import Tenant, own, record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401
from test_rules_credentials import Certificates, Role, _present, _replace, _tls

_PAGE = (CHECKOUT / "deploy" / "docs" / "security.md").read_text()
_SECRET = "s3cret-Pa55word"


def _block() -> str:
    """The page's block, as `setup --print-nats-permissions` prints it for the page's names."""
    return re.search(r"```\n(# The rights of Slotstream's users.*?)```", _PAGE, re.DOTALL)[1]


def _rights(user: str) -> tuple[list[str], int]:
    """What a user of the block may publish to, and how many of the lines are there after the first setup."""
    own = re.search(r"\{ user: " + user + r",.*?publish: \[\n(.*?)\n +\]", _block(), re.DOTALL)[1]
    lasting = own.partition("# Only until")[0]
    return re.findall(r'"([^"]+)"', own), len(re.findall(r'"([^"]+)"', lasting))


# Of the stream shop and the consumer worker.
_RIGHTS, _LASTING = _rights("slotstream")


def _of(subject: str, name: str) -> str:
    """A subject of the block for another stream and prefix."""
    return re.sub(r"(?<![a-z_])shop(?![a-z_])", name, subject)


def _user(name: str, publish: list[str], subscribe: str = "_INBOX.>") -> str:
    subjects = ", ".join(f'"{subject}"' for subject in publish)
    return f'  {{ user: {name}, password: "{_SECRET}", permissions: {{ publish: [{subjects}], subscribe: ["{subscribe}"] }} }}'


def _open_to(*users: str) -> tuple[str, ...]:
    """nats-server's configuration with these users; the tests' own hands give no name and may do everything."""
    return ("authorization { users = [", "  { user: admin, password: admin }", *users, "] }", "no_auth_user: admin")


class Shop:
    """Streamers of one tenant whose stream and prefix are called `name`, its consumer `worker`."""

    def __init__(self, tenant: Tenant, name: str):
        self.tenant = tenant
        self.name = name
        self._password = tenant.servers.folder / "shop-password"
        self._password.touch(mode=0o600)
        self._password.write_text(_SECRET + "\n")

    def streamer(self, user: str, **tables: dict) -> Streamer:
        """One as this user, with these tables in its configuration."""
        nats = {"stream_name": self.name, "subject_prefix": self.name, "consumer_name": "worker", "user": user,
                "password_file": str(self._password)}
        return self.tenant.another({"transport.nats": nats} | tables)

    def last(self) -> int:
        """The stream's last sequence."""
        return self.tenant.administrator.state(self.name)["last_seq"]

    def commit_and_wait(self, first: int, last: int) -> None:
        self.tenant.commit_each(first, last)
        wait_until(lambda: self.last() >= last, 30, f"{last} events are stored", 0.05)
        self.tenant.wait_confirmed()

    def refusals(self) -> str:
        """What nats-server has refused to anybody, by its own log; but for the end of a consumer that it drops by itself, which is left out on
        purpose: whoever may delete that may delete others."""
        (server,) = self.tenant.nats.servers
        return "".join(line for line in server.log.read_text().splitlines(keepends=True)
                       if "Violation" in line and not re.search(r"CONSUMER\.DELETE\.shop\.\w{8}\"$", line.strip()))


@pytest.mark.parametrize("each, atomic", [(PAIRS[0], "off"), (PAIRS[1], "off"), (PAIRS[1], "auto")], ids=str)
def test_with_the_block_everything_works_and_nothing_is_refused(each, atomic, own):
    """As it stands on the page, in an account, with passwords in it. nats-server's own log says what it has refused."""
    users = _block().replace('"PASSWORD"', f'"{_SECRET}"').replace("users: [", "users: [\n{ user: admin, password: admin }", 1)
    account = f"accounts {{ SHOP {{\njetstream: enabled\n{users}}} }}"
    tenant = own(each, nats_lines=(account, "no_auth_user: admin"), setup=False)
    shop = Shop(tenant, "shop")
    window = {"replay": {"window": "10m"}, "delivery": {"atomic": atomic}}
    streamer = shop.streamer("slotstream", **window)
    assert "note:" not in streamer.command("setup", "--dry-run").stdout, "whether there is room was tried"
    streamer.setup()
    streamer.start()
    shop.commit_and_wait(1, 5)
    _looks(shop, streamer)
    streamer.kill()
    tenant.wait_free()
    # What no record tells of is compared by reading headers.
    unrecorded = shop.streamer("slotstream", replay={"window": "10m"}, delivery={"checkpoint_interval": "1h"})
    unrecorded.start()
    tenant.commit_each(6, 60)
    wait_until(lambda: shop.last() == 60, 30, "they are stored")
    unrecorded.kill()
    tenant.wait_free()
    streamer.start()
    shop.commit_and_wait(61, 61)
    _reads_the_consumer(tenant.nats.url)
    assert streamer.terminate() == 0
    tenant.wait_free()
    streamer.command("mend", "--dry-run")
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    streamer.start(wait=False)
    stopped(streamer, 73, "slot_missing")
    assert re.search(r"STOPPED .*ago +slot_missing", streamer.command("status", expect=1).stdout), "and since when"
    streamer.command("slot", "advance", "--accept-gap", "--by", "test")
    assert "GAP" in streamer.command("tail", "--from", "first", "--operation", "GAP", "--count", "1").stdout
    assert shop.refusals() == ""


def _looks(shop: Shop, streamer: Streamer) -> None:
    """Commands that read, by the streamer's user and by the reader of the block."""
    for who in (streamer, shop.streamer("slotstream_reader", replay={"window": "10m"})):
        assert who.command("tail", "--from", "first", "--count", "5", "--json").stdout.count("\n") == 5
        who.command("tail", "--from", "1h", "--entity", "Item", "--count", "1")
        assert "5 events" in who.command("verify", "--from-sequence", "1").stdout
        assert "STREAMING" in streamer.command("status").stdout
    assert not [line for line in streamer.command("check", expect=None).stdout.splitlines() if line.startswith("  E")]


def _reads_the_consumer(url: str) -> None:
    """As the block's third user: what the durable consumer has, acknowledged."""

    async def read() -> None:
        connection = await stream.connect(url.replace("nats://", f"nats://worker:{_SECRET}@"))
        try:
            durable = await connection.jetstream().pull_subscribe_bind(durable="worker", stream="shop")
            for message in await durable.fetch(50, timeout=5):
                await message.ack_sync(timeout=5)
            assert (await durable.consumer_info()).ack_floor.stream_seq == 50
        finally:
            await connection.close()

    asyncio.run(read())


def test_the_block_is_printed_for_the_names_of_the_configuration(one_pair, tenants):
    """And asks no server."""
    tenant = tenants(one_pair, setup=False)
    nowhere = f"host=127.0.0.1 port={free_port()}"

    def printed(**names: str) -> str:
        names = {"stream_name": "shop", "subject_prefix": "shop", "consumer_name": "worker", "url": f"nats://127.0.0.1:{free_port()}"} | names
        return tenant.another({"transport.nats": names}, conninfo=nowhere).command("setup", "--print-nats-permissions").stdout

    assert printed() == _block()
    assert "worker" not in printed(consumer_name="") and "slotstream_reader" in printed(consumer_name="")
    other = printed(stream_name="orders", subject_prefix="shop.orders")
    assert '"shop.orders.>"' in other and '"$JS.API.STREAM.INFO.orders"' in other and "STREAM.INFO.shop" not in other


def test_after_the_setup_the_lines_for_the_setup_may_go(pair, own):
    tenant = own(pair, nats_lines=_open_to(_user("slotstream", _RIGHTS), _user("later", _RIGHTS[:_LASTING])), setup=False)
    shop = Shop(tenant, "shop")
    shop.streamer("slotstream").setup()
    streamer = shop.streamer("later")
    streamer.start()
    shop.commit_and_wait(1, 3)
    assert not [line for line in streamer.command("check", expect=None).stdout.splitlines() if line.startswith("  E")]
    assert streamer.terminate() == 0
    assert shop.refusals() == ""


# Without one line. A leader is asked to step down by replicated servers of 2.10 and 2.11 only (test_rules_stored.py).


def _without(subject: str) -> tuple[str, str]:
    """The user who lacks this line of the block, and its stream."""
    number = _RIGHTS.index(subject)
    return f"without_{number}", f"lacking{number}"


_BUCKET = [subject for subject in _RIGHTS if subject.endswith(".KV_slotstream")]
# Without these setup makes nothing.
_FOR_SETUP = ["shop.>", "$KV.slotstream.shop", "$JS.API.STREAM.INFO.shop", "$JS.API.STREAM.MSG.GET.shop", *_BUCKET,
              "$JS.API.STREAM.CREATE.shop", "$JS.API.CONSUMER.INFO.shop.worker", "$JS.API.CONSUMER.DURABLE.CREATE.shop.worker"]
# Of these, what is there already needs no right to be made.
_FOR_MAKING = [subject for subject in _FOR_SETUP if "CREATE" in subject or ".CONSUMER." in subject]
_FOR_HEADERS = [subject for subject in _RIGHTS if subject.endswith(".slotstream_headers")]
# Without the second, tail waits for ever: the page says so.
_FOR_LOOKING = ["$JS.API.CONSUMER.CREATE.shop", "$JS.API.CONSUMER.MSG.NEXT.shop.*"]
# What is missing without these is told where it is missed; nothing stops.
_FOR_TELLING = ["$KV.slotstream.shop.last_stop", "$KV.slotstream.shop.backfill", "$JS.API.CONSUMER.LIST.shop",
                "$JS.API.STREAM.LEADER.STEPDOWN.shop", "$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.slotstream_dry_run", "$JS.API.STREAM.DELETE.slotstream_dry_run"]


def _without_line(lacking: str) -> str:
    """The user who lacks it. What is for looking would do for headers too."""
    user, name = _without(lacking)
    missing = {lacking, *(_FOR_LOOKING if lacking in _FOR_HEADERS else [])}
    return _user(user, [_of(subject, name) for subject in _RIGHTS if subject not in missing])


_LACKING = _open_to(*map(_without_line, _RIGHTS), _user("silent", [_of(subject, "silent") for subject in _RIGHTS], "nothing"))


def test_every_line_of_the_block_is_tried_without():
    assert sorted(_RIGHTS) == sorted([*_FOR_SETUP, *_FOR_HEADERS, *_FOR_LOOKING, *_FOR_TELLING])


@pytest.mark.parametrize("lacking", _FOR_SETUP)
def test_without_a_line_that_a_start_needs_the_error_names_it(pair, tenants, lacking):
    user, name = _without(lacking)
    tenant = tenants(pair, nats_lines=_LACKING, setup=False)
    shop = Shop(tenant, name)
    if "KV_slotstream" in tenant.administrator.names():
        tenant.administrator.delete("KV_slotstream")
    streamer = shop.streamer(user)
    subject = _of(lacking, name)
    assert subject in refused(streamer, 77, "permission_nats", "setup")
    streamer.start(wait=False)
    assert subject in stopped(streamer, 77, "permission_nats")
    # Set up by somebody else, it stops where it needs the right.
    tenant.another({"transport.nats": {"stream_name": name, "subject_prefix": name, "consumer_name": "worker"}}).setup()
    tenant.commit(1)
    streamer.start(wait=False)
    if lacking in _FOR_MAKING:
        shop.commit_and_wait(2, 2)
    elif lacking == "$JS.API.STREAM.INFO.KV_slotstream":
        wait_until(lambda: _denied(streamer, subject), 30, "it is told")
        shop.commit_and_wait(2, 2)
    else:
        assert subject.removesuffix(">") in stopped(streamer, 77, "permission_nats")


def _denied(streamer: Streamer, subject: str) -> bool:
    """Whether it warns of exactly this."""
    return any(f'"{subject}"' in entry["error"] for entry in record_entries(streamer, "NATS denies a permission"))


@pytest.mark.parametrize("lacking", _FOR_HEADERS)
def test_without_a_line_for_headers_it_compares_all_the_same_and_names_it(pair, tenants, lacking):
    user, name = _without(lacking)
    tenant = tenants(pair, nats_lines=_LACKING, setup=False)
    shop = Shop(tenant, name)
    unrecorded = shop.streamer(user, delivery={"checkpoint_interval": "1h"})
    unrecorded.start()
    tenant.commit_each(1, 30)
    wait_until(lambda: shop.last() == 30, 30, "they are stored")
    unrecorded.kill()
    tenant.wait_free()
    streamer = shop.streamer(user)
    streamer.start()
    shop.commit_and_wait(31, 31)
    wait_until(lambda: _denied(streamer, _of(lacking, name)), 30, "it is told")
    assert [event.json["entity"]["n"] for event in tenant.administrator.messages(name)] == list(range(1, 32))


@pytest.mark.parametrize("lacking", _FOR_LOOKING)
def test_without_a_right_to_read_tail_and_verify_name_it(pair, tenants, lacking):
    user, name = _without(lacking)
    tenant = tenants(pair, nats_lines=_LACKING, setup=False)
    streamer = Shop(tenant, name).streamer(user, replay={"window": "10m"})
    streamer.start()
    Shop(tenant, name).commit_and_wait(1, 1)
    for command in (["tail", "--from", "first", "--count", "1"], ["verify", "--from-sequence", "1"]):
        # The consumer's name is the server's choice.
        assert f'"{_of(lacking, name).removesuffix("*")}' in refused(streamer, 77, "permission_nats", *command)


@pytest.mark.parametrize("lacking", _FOR_TELLING)
def test_without_a_line_of_help_it_streams(pair, tenants, lacking):
    user, name = _without(lacking)
    tenant = tenants(pair, nats_lines=_LACKING, setup=False)
    shop = Shop(tenant, name)
    streamer = shop.streamer(user)
    dry_run = streamer.command("setup", "--dry-run").stdout
    assert ("slotstream_dry_run" in dry_run) == lacking.endswith("slotstream_dry_run"), dry_run
    streamer.setup()
    streamer.start()
    shop.commit_and_wait(1, 2)
    if lacking == "$JS.API.CONSUMER.LIST.shop":
        wait_until(lambda: _denied(streamer, _of(lacking, name)), 30, "it is told")
    assert streamer.terminate() == 0


def test_without_the_inbox_the_error_names_it(pair, tenants):
    tenant = tenants(pair, nats_lines=_LACKING, setup=False)
    streamer = Shop(tenant, "silent").streamer("silent")
    assert '"_INBOX.' in refused(streamer, 77, "permission_nats", "setup")
    streamer.start(wait=False)
    assert '"_INBOX.' in stopped(streamer, 77, "permission_nats")


def test_replay_needs_the_lines_of_the_page_for_its_target(pair, own):
    target = re.findall(r'"([^"]+)"', re.search(r'^"shop_again.*$', _PAGE, re.MULTILINE)[0])
    looking, _ = _rights("slotstream_reader")
    users = _user("slotstream", _RIGHTS), _user("again", [*looking, *target]), *(
        _user(f"again_{number}", [*looking, *(subject for subject in target if subject != lacking)]) for number, lacking in enumerate(target))
    tenant = own(pair, nats_lines=_open_to(*users), setup=False)
    shop = Shop(tenant, "shop")
    streamer = shop.streamer("slotstream", replay={"window": "10m"})
    streamer.start()
    shop.commit_and_wait(1, 3)
    replay = ["replay", "--from-sequence", "1", "--into-stream", "shop_again"]
    for number, lacking in enumerate(target):
        said = refused(shop.streamer(f"again_{number}", replay={"window": "10m"}), 77, "permission_nats", *replay)
        assert lacking.removesuffix(">") in said
        if "shop_again" in tenant.administrator.names():
            tenant.administrator.delete("shop_again")
    before = shop.refusals()
    shop.streamer("again", replay={"window": "10m"}).command(*replay)
    assert [event.json["entity"]["n"] for event in tenant.administrator.messages("shop_again")] == [1, 2, 3]
    assert shop.refusals() == before


# TLS and certificates


def test_with_certificates_on_both_sides_there_is_no_password_and_all_are_rotated_while_it_streams(own):
    """As the page has it: `cert` in pg_hba.conf, `verify_and_map` in nats-server. Debian's PostgreSQL speaks TLS, those of PyPI do not."""
    user = _user("slotstream", _RIGHTS).replace("user: slotstream", 'user: "CN=slotstream"').replace(f'password: "{_SECRET}", ', "")
    tenant = own(PAIRS[0], setup=False)
    (server,) = tenant.nats.servers
    plain = server.config.read_text()
    folder = tenant.servers.folder
    role = Role(tenant)
    role.admit("cert", "hostssl")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    files = {name: folder / f"{name}.pem" for name in ("ca", "certificate", "key", "pg_certificate", "pg_key")}
    trusted = folder / "trusted.pem"
    trusted.touch()

    def rotate(name: str) -> None:
        """A new authority, which both sides trust beside the one before, and of it a certificate for each of the four ends; both servers
        read theirs again."""
        authority = Certificates(folder / name)
        trusted.write_text(trusted.read_text() + authority.ca.read_text())
        client, key = authority.issue("slotstream", "extendedKeyUsage=clientAuth")
        in_postgres, postgres_key = authority.issue(role.name, "extendedKeyUsage=clientAuth")
        for file, source in zip(files.values(), (trusted, client, key, in_postgres, postgres_key)):
            _replace(file, source.read_text())
        _present(tenant, *authority.issue("server"), trusted)
        guard = "\n".join(_tls(*authority.issue("nats"), trusted)).replace("verify: true", "verify_and_map: true")
        server.config.write_text(f"{plain}{guard}\nauthorization {{ users = [\n{user}\n] }}\n")

    def restart_nats() -> None:
        server.kill()
        server.launch()
        wait_until(lambda: "Server is ready" in server.log.read_text().rpartition("Starting nats-server")[2], 30, "it listens")

    rotate("first")
    restart_nats()
    conninfo = (f"{role.conninfo} sslmode=verify-full sslrootcert={files['ca']} sslcert={files['pg_certificate']} "
                f"sslkey={files['pg_key']}")
    tls = {"ca_file": str(files["ca"]), "certificate_file": str(files["certificate"]), "key_file": str(files["key"])}
    url = tenant.nats.url.replace("nats://", "tls://")
    streamer = tenant.another({"transport.nats": {"url": url, "stream_name": "shop", "subject_prefix": "shop", "consumer_name": "worker"},
                               "transport.nats.tls": tls, "delivery": {"checkpoint_interval": "50ms"}}, conninfo=conninfo)
    streamer.setup()
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    assert tenant.value("SELECT client_dn FROM pg_stat_ssl WHERE pid = %s", (tenant.holder(),)) == f"/CN={role.name}"
    findings = streamer.command("check", expect=None).stdout
    assert "W009" not in findings and "W031" not in findings and "\n  E" not in findings, findings
    serial = "SELECT client_serial FROM pg_stat_ssl WHERE pid = %s"
    first = tenant.value(serial, (tenant.holder(),))
    rotate("second")
    restart_nats()
    tenant.terminate_holder()
    tenant.commit_each(6, 10)
    tenant.wait_confirmed(60)
    assert tenant.value(serial, (tenant.holder(),)) != first, "PostgreSQL was shown the new certificate"
    assert streamer.terminate() == 0, "it was one process all the time"
    server.config.write_text(plain)
    server.kill()
    tenant.nats.start()
    assert [event.json["entity"]["n"] for event in tenant.administrator.messages("shop")] == list(range(1, 11))


# What is told


def test_no_log_and_no_status_has_a_value_of_a_row(pair, tenants):
    """Not of one that cannot be sent either, at the most talkative level."""
    value = "v4lue-0f-a-r0w"
    tenant = tenants(pair)
    streamer = tenant.another({"log": {"level": "trace"}, "events": {"on_poison": "stop"}})
    streamer.start()
    tenant.commit(1, note=value)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    said = streamer.get("/status") + streamer.get("/metrics") + streamer.get("/")
    tenant.commit(2, note=value * 200_000)
    stopped(streamer, 65, "poison_event")
    for command in (["status"], ["check"], ["status", "--json"], ["check", "--json"], ["verify", "--from-sequence", "1", "--json"]):
        done = streamer.command(*command, expect=None)
        said += done.stdout + done.stderr
    assert value not in said + streamer.log.read_text()
    assert value in streamer.command("tail", "--from", "first", "--count", "1").stdout, "whom it is shown"


# What it is made of


def test_the_pages_table_has_each_package_that_is_built_in_and_each_library_that_is_loaded():
    packages = dict(re.findall(r'\.package\(url: "[^"]*/([^/"]+?)(?:\.git)?", exact: "([^"]+)"', (CHECKOUT / "Package.swift").read_text()))
    table = _PAGE.partition("## Dependencies and licences")[2]
    for name, version in packages.items():
        assert re.search(rf"^\| {name}\b[^|]*\| {re.escape(version)} \|", table, re.MULTILINE), f"{name} {version}"
    needed = {program: set(re.findall(r"NEEDED +(\S+)", subprocess.run(["objdump", "-p", program()], capture_output=True, text=True, check=True).stdout))
              for program in (slotstream_binary, observer_binary)}
    for library in set().union(*needed.values()):
        assert library in table or library.startswith("ld-linux"), library
    curl = "libcurl.so.4"
    assert curl in needed[observer_binary] and curl not in needed[slotstream_binary], "the streamer links none of what the worker needs"
