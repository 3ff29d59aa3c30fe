"""Mails to a real SMTP server: what they say, TLS that is verified, refusals, and rows that would be more than a row."""

import json
import socket
from pathlib import Path

import pytest

from mail_server import Mailbox
from places import place, place_maker, places  # noqa: F401
from test_rules_credentials import Certificates
from worker import QUICK_RETRY, observer

_PASSWORD = "s3cret-of-the-mail"
_LOGIN = {"username_env": "MAIL_USER", "password_env": "MAIL_PASSWORD"}
_ENVIRONMENT = {"MAIL_USER": "shop", "MAIL_PASSWORD": _PASSWORD}


@pytest.fixture
def certificates(folder):
    return Certificates(folder / "authority")


@pytest.fixture
def mailboxes():
    """Makes mail servers."""
    made = []

    def make(*arguments, **options) -> Mailbox:
        made.append(Mailbox(*arguments, **options))
        return made[-1]

    yield make
    for mailbox in made:
        mailbox.close()


def _started(place, mailbox: Mailbox, action: dict, server: dict | None = None, overrides: dict | None = None, authority: Path | None = None, **more):
    """A worker with this action, and its mail server; `authority`: whom it believes."""
    runtime = {"host": "127.0.0.1", "port": mailbox.port, "from": "shop@example.com", "tls": "none"} | (server or {})
    usual = {"type": "email", "to": "ann@example.com", "subject": "An order", "body_template": "It is {{ id }}."}
    believed = {"observer_worker": {"ca_file": str(authority)}} if authority else {}
    tables = {"observers.runtime.email": runtime} | believed | (overrides or {})
    return place.started({"mail": observer(usual | action, **more)}, tables, environment=_ENVIRONMENT)


def test_a_mail_over_starttls(place, certificates, mailboxes):
    mailbox = mailboxes(certificates.issue("mail"), password=_PASSWORD)
    action = {"subject_template": "Order {{ id }}: {{ note }}", "body_template": "Grüße, {{ note }}\n.\nEnd", "reply_to": "help@example.com"}
    worker = _started(place, mailbox, action, {"tls": "start_tls"} | _LOGIN, authority=certificates.ca)
    order = place.order(more={"note": "käse 🎉"})
    (mail,) = mailbox.wait_count(1)
    place.wait_idle()
    assert mailbox.envelopes == [("shop@example.com", ["ann@example.com"])] and mailbox.encrypted == [True]
    assert mailbox.logins == [(b"shop", _PASSWORD.encode())]
    assert mail["From"] == "shop@example.com" and mail["To"] == "ann@example.com" and mail["Reply-To"] == "help@example.com"
    assert mail["Subject"] == f"Order {order.entity_id}: käse 🎉" and mail["Date"] and mail["Message-ID"]
    assert mail.get_content_type() == "text/plain" and mail.get_content().replace("\r\n", "\n").strip() == "Grüße, käse 🎉\n.\nEnd"
    assert _PASSWORD not in worker.log.read_text() and not place.stream.dead()


def test_a_mail_over_tls_from_the_first_byte(place, certificates, mailboxes):
    mailbox = mailboxes(certificates.issue("mail"), is_implicit=True)
    _started(place, mailbox, {}, {"tls": "tls"}, authority=certificates.ca)
    order = place.order()
    (mail,) = mailbox.wait_count(1)
    assert mailbox.encrypted == [True] and mail["Subject"] == "An order" and mail.get_content().strip() == f"It is {order.entity_id}."


def _exhausted(place, mailbox: Mailbox) -> dict:
    (letter,) = place.wait_dead(1)
    place.wait_idle()
    assert not mailbox.mails and letter["action"]["type"] == "email" and letter["reason"] == "attempts_exhausted", letter
    return letter


@pytest.mark.parametrize("tls", ["start_tls", "tls"])
@pytest.mark.parametrize("fault", ["another authority", "another name", "expired"])
def test_a_certificate_that_does_not_hold_gets_no_mail(place, folder, certificates, mailboxes, tls, fault):
    other = Certificates(folder / "other")
    issued = (other.issue("mail") if fault == "another authority" else
              certificates.issue("mail", "subjectAltName=DNS:elsewhere.example") if fault == "another name" else certificates.issue("mail", days=-1))
    mailbox = mailboxes(issued, is_implicit=tls == "tls", password=_PASSWORD)
    _started(place, mailbox, {}, {"tls": tls} | _LOGIN, authority=certificates.ca, retry=QUICK_RETRY | {"max_attempts": 2})
    place.order()
    letter = _exhausted(place, mailbox)
    assert "TLS" in letter["error"] or "certificate" in letter["error"], letter
    assert not mailbox.logins, "nobody was told the password"


def test_a_server_without_starttls_gets_no_mail_and_no_password(place, mailboxes):
    mailbox = mailboxes(password=_PASSWORD)
    _started(place, mailbox, {}, {"tls": "start_tls"} | _LOGIN, retry=QUICK_RETRY | {"max_attempts": 2})
    place.order()
    _exhausted(place, mailbox)
    assert not mailbox.logins


def test_a_temporary_refusal_is_tried_again_with_the_same_id(place, mailboxes):
    mailbox = mailboxes()
    mailbox.recipient_refusals = ["450 mailbox busy"]
    mailbox.refusals = ["451 try again", "421 shutting down"]
    _started(place, mailbox, {})
    place.publish(2)
    mails = mailbox.wait_count(2)
    place.wait_idle()
    assert mailbox.attempts >= 4 and not place.stream.dead()
    assert len({mail["Message-ID"] for mail in mails}) == 2


def test_the_same_event_is_the_same_message(place, mailboxes):
    """Whoever gets a mail twice, since an ack was lost, can know: here another consumer sends it again."""
    mailbox = mailboxes()
    order = place.order()
    for consumer in ("one", "other"):
        _started(place, mailbox, {}, overrides={"transport.nats": {"consumer_name": consumer}})
    one, other = mailbox.wait_count(2)
    assert one["Message-ID"] == other["Message-ID"] and order.id in one["Message-ID"]


@pytest.mark.parametrize("where", ["recipient", "data"])
def test_a_final_refusal_is_a_dead_letter_at_once(place, mailboxes, where):
    mailbox = mailboxes()
    if where == "recipient":
        mailbox.recipient_refusals = ["550 no such user ann"]
    else:
        mailbox.refusals = ["554 no spam please"]
    _started(place, mailbox, {})
    place.order()
    (letter,) = place.wait_dead(1)
    assert letter["reason"] == "permanent" and letter["attempts"] == 1, letter
    assert ("550" if where == "recipient" else "554") in letter["error"] and not mailbox.mails


def test_the_recipient_comes_from_the_row(place, mailboxes):
    mailbox = mailboxes()
    _started(place, mailbox, {"to_template": "{{ data.customer_email }}"})
    place.order(more={"customer_email": "bob@example.org"})
    mailbox.wait_count(1)
    assert mailbox.envelopes[0][1] == ["bob@example.org"]


@pytest.mark.parametrize("address", [
    "bob@example.org>\r\nRCPT TO:<eve@example.org", "bob@example.org, eve@example.org", "bob@example.org\r\nBcc: eve@example.org", "", "bob", "bob@",
    "@example.org", "bob@example.org eve@example.org"])
def test_a_row_names_one_recipient_or_none(place, mailboxes, address):
    mailbox = mailboxes()
    _started(place, mailbox, {"to_template": "{{ customer_email }}"})
    place.order(more={"customer_email": address})
    (letter,) = place.wait_dead(1)
    assert letter["reason"] == "permanent" and not mailbox.mails, letter
    assert "eve@" not in json.dumps({key: value for key, value in letter.items() if key != "event"}), "the row is not told"


def test_a_row_adds_no_header(place, mailboxes):
    mailbox = mailboxes()
    _started(place, mailbox, {"subject_template": "{{ note }}", "body_template": "{{ note }}"})
    place.order(more={"note": "a\r\nBcc: eve@example.org\r\n\r\nb\r\n.\r\nQUIT"})
    (mail,) = mailbox.wait_count(1)
    assert mail["Bcc"] is None and mailbox.envelopes[0][1] == ["ann@example.com"]
    assert mail.get_content().replace("\r\n", "\n").strip() == "a\nBcc: eve@example.org\n\nb\n.\nQUIT"


def test_a_mail_server_that_hangs_is_given_up(place, mailboxes):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen(8)
        mailbox = mailboxes()
        _started(place, mailbox, {}, {"port": silent.getsockname()[1], "timeout_secs": 1}, retry=QUICK_RETRY | {"max_attempts": 2})
        place.order()
        _exhausted(place, mailbox)


def test_email_without_a_mail_server_is_a_mistake(place):
    worker = place.worker({"mail": observer({"type": "email", "to": "ann@example.com", "subject": "x", "body_template": "y"})})
    done = worker.command("check", expect=78)
    assert "observers.runtime.email" in done.stderr + done.stdout
