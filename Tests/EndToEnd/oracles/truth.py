"""What PostgreSQL says was committed between two moments: the slots that listen, and the changes that they saw."""

from collections.abc import Iterator
from pathlib import Path

from servers.postgres import Postgres

from . import decoding_text, pgoutput
from .changes import Change, OracleError, Transaction
from .spool import spool


class Truth:
    """Slots of our own beside the streamer's: one with pgoutput, and on PostgreSQL 15 one with test_decoding.

    Make it when publication and tables exist and nothing has been written to them (or only what is no part of the truth, being older).
    `slots`: what their names begin with. `has_witness`: without it pgoutput's word is taken alone, where the publication has row filters,
    column lists or roots of partitions, of which test_decoding knows nothing.
    """

    def __init__(self, postgres: Postgres, folder: Path, publication: str = "fraiseql_events", slots: str = "truth", has_witness: bool = True):
        self.postgres = postgres
        self.folder = folder
        self.publication = publication
        self._slots = slots
        self.has_test_decoding = has_witness and postgres.version == "15"
        # The transactions, in commit order; filled while `changes` is walked through.
        self.transactions: list[Transaction] = []
        self._plugins = ["pgoutput"] + (["test_decoding"] if self.has_test_decoding else [])
        with postgres.connect() as connection:
            for plugin in self._plugins:
                connection.execute("SELECT pg_create_logical_replication_slot(%s, %s)", (f"{self._slots}_{plugin}", plugin))
            row = connection.execute(
                "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()), "
                "timeline_id FROM pg_control_system(), pg_control_checkpoint()").fetchone()
            self._published = set(connection.execute(
                "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s", (publication,)))
        self.id_prefix = ".".join(map(str, row))

    def read(self) -> None:
        """Takes what was committed since the slots were made (or read last), and drops the slots."""
        with self.postgres.connect() as connection:
            for plugin in self._plugins:
                query = {"pgoutput": pgoutput, "test_decoding": decoding_text}[plugin].QUERY
                query = query.format(slot=f"{self._slots}_{plugin}", publication=self.publication)
                spool(connection, query, self.folder / plugin)
                connection.execute("SELECT pg_drop_replication_slot(%s)", (f"{self._slots}_{plugin}",))

    def changes(self) -> Iterator[Change]:
        """Every change in order. On PostgreSQL 15 each one has been found in test_decoding's words too, in the same
        transaction at the same place; a disagreement raises `OracleError`."""
        self.transactions.clear()
        decoded = pgoutput.changes(self.folder / "pgoutput", self.transactions)
        return self._agreeing(decoded) if self.has_test_decoding else decoded

    def _agreeing(self, decoded: Iterator[Change]) -> Iterator[Change]:
        texts = decoding_text.lines(self.folder / "test_decoding", self._published)
        transaction = None
        told = set()
        text = ""
        for change in decoded:
            if change.transaction is not transaction:
                if transaction:
                    self._require_commit(next(texts), transaction)
                transaction = change.transaction
                told.clear()
                _, xid, text = next(texts)
                if xid != transaction.xid or not text.startswith("BEGIN "):
                    raise OracleError(f"test_decoding says {text!r} where {transaction!r} begins")
            # One line tells of all tables of a TRUNCATE.
            if change.operation != "TRUNCATE" or change.table in told:
                told.clear()
            if not told:
                _, _, text = next(texts)
            told.add(change.table)
            decoding_text.require_same(text, change)
            if change.operation != "TRUNCATE":
                told.clear()
            yield change
        if transaction:
            self._require_commit(next(texts), transaction)
        for _, _, text in texts:
            raise OracleError(f"test_decoding goes on with {text!r} where pgoutput has ended")

    @staticmethod
    def _require_commit(line: tuple[int, int, str], transaction: Transaction) -> None:
        lsn, xid, text = line
        if xid != transaction.xid or lsn != transaction.end_lsn or not text.startswith("COMMIT "):
            raise OracleError(f"test_decoding says {text!r} at {lsn:X} where {transaction!r} ends")
