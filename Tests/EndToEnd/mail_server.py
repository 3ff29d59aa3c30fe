"""A mail server for tests: aiosmtpd, in a thread of its own, which keeps what it gets or refuses it."""

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from servers.tools import free_port, wait_until


class Mailbox:
    """A mail server on the loopback; `mails` are what came, `envelopes` who they were from and for, `logins` who said who he is, `encrypted` whether
    over TLS.

    `certificate` and key: it speaks TLS, by STARTTLS or from the first byte (`is_implicit`). `password`: it wants one, of the user `shop`."""

    def __init__(self, certificate: tuple[Path, Path] | None = None, is_implicit: bool = False, password: str | None = None):
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        # What is said to the next recipients and mails, instead of yes.
        self.refusals: list[str] = []
        self.recipient_refusals: list[str] = []
        self.attempts = 0
        self.port = free_port()
        self._password = password
        options: dict = {}
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            options = {"ssl_context": context} if is_implicit else {"tls_context": context, "require_starttls": True}
        if password:
            options |= {"auth_required": True, "authenticator": self._login, "auth_require_tls": bool(certificate) and not is_implicit}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True, **options)
        self._controller.start()

    def close(self) -> None:
        """Ends it."""
        self._controller.stop()

    def wait_count(self, count: int) -> list[EmailMessage]:
        """Until so many mails are there."""
        wait_until(lambda: len(self.mails) >= count, 60, f"{count} mails")
        return self.mails

    # What aiosmtpd calls

    def _login(self, server, session, envelope, mechanism, data) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=(data.login, data.password) == (b"shop", self._password.encode()))

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        self.attempts += 1
        if self.recipient_refusals:
            return self.recipient_refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 kept"
