"""A server on the loopback that ends connections in the middle of their TLS handshake, until it is mended: one that dies or restarts."""

import socket
import struct
import threading

_CLIENT_HELLO = b"\x16\x03"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_RESET = struct.pack("ii", 1, 0)


class BrokenHandshake:
    """Forwards to `port`. Until `mend`, a connection ends with the client's first word of TLS: by `how`, "closed" or "reset"; "refused" answers PostgreSQL's
    SSLRequest with an error, as a postmaster does that cannot fork."""

    def __init__(self, port: int, how: str) -> None:
        self._target, self._how = port, how
        self._is_mended = threading.Event()
        self.broken = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        self._is_mended.set()

    def close(self) -> None:
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._ends += [client, server]
            threading.Thread(target=self._forward, args=(server, client), daemon=True).start()
            threading.Thread(target=self._listen, args=(client, server), daemon=True).start()

    def _listen(self, client: socket.socket, server: socket.socket) -> None:
        """What the client says, and what breaks there."""
        try:
            while said := client.recv(65536):
                is_broken = not self._is_mended.is_set()
                if is_broken and self._how == "refused" and said == _SSL_REQUEST:
                    client.sendall(b"Ecould not fork new process for connection\n\0")
                    break
                if is_broken and said.startswith(_CLIENT_HELLO):
                    if self._how == "reset":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
                server.sendall(said)
            else:
                is_broken = False
            if is_broken:
                self.broken += 1
        except OSError:
            pass
        # The other thread's calls end with it.
        for end in (client, server):
            try:
                if not (end is client and self._how == "reset"):
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        try:
            while said := source.recv(65536):
                target.sendall(said)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
