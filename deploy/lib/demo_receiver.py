"""The receiver of the webhooks that `deploy/demo --observer` and `deploy/compose` show: an HTTP server that tells each request in a line,
and fails on purpose.

    python3 demo_receiver.py HOST PORT MENDED

An order to Side Street is refused twice with 503, as by a server that is busy; one to Nowhere with 400, as by a program with a fault, until
the file MENDED is there. Every other request is taken. A request whose key was taken before is a repeat: it is answered well, and nothing is
done again.
"""

import json
import signal
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# How often the busy server refuses.
_BUSY = 2


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        self.server.attempts[key] += 1
        status, what = self._judge(order.get("shipping_address") or "", key)
        if status == 200:
            self.server.taken.add(key)
        print(f"POST {self.path}  order {order.get('id', '?')[:8]}…  {order.get('shipping_address')}  attempt {self.server.attempts[key]}  → {status} {what}",
              flush=True)
        self.send_response(status)
        self.send_header("Content-Length", str(len(what)))
        self.end_headers()
        self.wfile.write(what.encode())

    def _judge(self, address: str, key: str) -> tuple[int, str]:
        if key in self.server.taken:
            return 200, "taken before: nothing is done again"
        if "Side Street" in address and self.server.attempts[key] <= _BUSY:
            return 503, "busy"
        if "Nowhere" in address and not self.server.mended.exists():
            return 400, "no such street"
        return 200, "taken"

    def log_message(self, *_arguments) -> None:
        """Nothing: the line of each request is above."""


if __name__ == "__main__":
    receiver = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), _Receiver)
    receiver.attempts, receiver.taken, receiver.mended = Counter(), set(), Path(sys.argv[3])
    # Without it the first process of a container takes no notice.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("listening", flush=True)
    receiver.serve_forever()
