"""A mail server, of aiosmtpd: says on stdout, a JSON document a line, that it is ready, and each mail as Python's own parser reads it.

    mail_server.py PORT none|startTLS|tls CERTIFICATE KEY [USER PASSWORD]

Ends when its stdin does.
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


def say(document):
    print(json.dumps(document), flush=True)


class Recorder:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.SMTP)
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "headers": {name: str(value) for name, value in message.items()},
                "text": message.get_content().replace("\r\n", "\n"),
                "defects": [repr(defect) for part in message.walk() for defect in part.defects]
                + [repr(defect) for value in message.values() for defect in value.defects],
                "longest_line": max(map(len, envelope.original_content.split(b"\r\n"))),
                "is_ascii": envelope.original_content.isascii(),
                "encrypted": session.ssl is not None or security == "tls",
                "authenticated": bool(session.authenticated),
            }
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    is_right = isinstance(data, LoginPassword) and [data.login.decode(), data.password.decode()] == credentials
    return AuthResult(success=is_right, handled=False)


port, security, certificate, key, *credentials = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
if security != "none":
    context.load_cert_chain(certificate, key)
settings = {}
if security == "startTLS":
    settings |= {"tls_context": context, "require_starttls": True}
if credentials:
    settings |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": security == "startTLS"}
controller = Controller(
    Recorder(),
    hostname="127.0.0.1",
    port=int(port),
    ready_timeout=60,
    ssl_context=context if security == "tls" else None,
    **settings,
)
controller.start()
say("ready")
sys.stdin.read()
controller.stop()
