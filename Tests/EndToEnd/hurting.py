"""A seeded schedule of faults, and the hands that carry it out."""

import random
import time
from collections import Counter
from dataclasses import dataclass

import failpoints
from administrator import Administrator
from deployment import Deployment
from proxy import Proxy
from servers.tools import wait_until
from strays import KINDS, Strays
from streamer import Streamer
from tenants import record_entries
from workload import Workload

STREAM = "fraiseql_events"

# Faults of everything that is there whatever the pair, of a single nats-server, and of a cluster of three.
ANYWHERE = ("streamer killed", "streamer paused", "streamer terminated", "streamer killed inside", "streamer paused inside",
            "streamer terminated inside", "walsender terminated", "postgres restarted fast", "postgres restarted immediate",
            "postgres killed", "nats cut off", "nats slow", "postgres cut off", "postgres slow", "strays published")
SINGLE = ("nats killed", "nats paused")
REPLICATED = ("leader killed", "follower killed", "leader paused", "leader stepped down", "quorum lost", "leader isolated",
              "routes cut")

# How a process ends that is stuck in libnats, which can hang while it connects
# (Sources/JetStreamPublishing/JetStreamPublishing.docc): whoever runs it starts it again. With any other last words this exit
# code is a fault of ours. It happens once in a long while: more often in a run than this, something else is wrong.
_UNEXPECTED = 70
# Another writer; with the reason `hole_found`, what a stray does where nothing can prevent it.
_FOREIGN = 76
_STUCK = "the NATS client is stuck: "
_RESTARTS = 3
_STRAYS_A_SECOND = 20


@dataclass(frozen=True)
class Step:
    """A fault, how long it lasts, and the quiet after it, in seconds. `inside`: the failpoint of those that happen inside the
    streamer, and at which pass. `stray`: what somebody else publishes meanwhile, when so many messages have been sent."""

    fault: str
    lasts: float
    quiet: float
    inside: tuple[str, int] | None = None
    stray: tuple[int, str] | None = None


def schedule(seed: int, seconds: float, replicated: bool) -> list[Step]:
    """What is done to the system for about so many seconds: the same for the same seed. Every fault comes once before any
    comes again."""
    choice = random.Random(seed)
    names = [*ANYWHERE, *(REPLICATED if replicated else SINGLE)]
    steps: list[Step] = []
    planned = 0.0
    while planned < seconds or len(steps) < len(names):
        for name in choice.sample(names, len(names)):
            stray = (choice.randrange(1, 1000), choice.choice(KINDS)) if choice.random() < 0.5 else None
            step = Step(name, choice.uniform(0.2, 4.0), choice.uniform(0.0, 2.0), _inside(name, choice), stray)
            steps.append(step)
            planned += step.lasts + step.quiet
            if planned >= seconds and len(steps) >= len(names):
                break
    return steps


def _inside(name: str, choice: random.Random) -> tuple[str, int] | None:
    if not name.endswith(" inside"):
        return None
    point = choice.choice(failpoints.POINTS)
    return point, choice.randint(1, failpoints.last_pass(point))


class Hurting:
    """Carries out a schedule on a deployment whose streamer reaches both servers through proxies."""

    def __init__(self, deployment: Deployment, seed: int, overrides: dict[str, dict] | None = None):
        self.deployment = deployment
        if deployment.nats.replicas > 1:
            deployment.nats.put_proxies_between()
        self.administrator = Administrator(deployment.nats.url)
        self.strays = Strays(deployment.nats.url, STREAM, "fraiseql.mutation", "fraiseql.mutation.OrderLine.INSERT", seed)
        self.done: Counter[str] = Counter()
        # Without a load most failpoints are never reached.
        self.workload: Workload | None = None
        self.restarts = 0
        # How often it stopped at a hole and was mended.
        self.holes = 0
        # Last words that were looked at.
        self._heard = 0
        self.nats = [Proxy(server.port) for server in deployment.nats.servers]
        self.postgres = Proxy(deployment.postgres.port)
        conninfo = deployment.postgres.streamer_conninfo.replace(f"port={deployment.postgres.port}", f"port={self.postgres.port}")
        url = ",".join(f"nats://127.0.0.1:{proxy.port}" for proxy in self.nats)
        self.streamer = deployment.streamer = Streamer(
            deployment.folder / "hurt", conninfo, url,
            {"transport.nats.jetstream": {"replicas": deployment.nats.replicas}} | (overrides or {}))

    def close(self) -> None:
        """Ends the proxies and the strays."""
        self.strays.close()
        for proxy in (*self.nats, self.postgres):
            proxy.close()

    def hurt(self, step: Step) -> None:
        """Does one step, its quiet included; fails if the streamer has ended by itself with anything but what a restart mends."""
        if step.stray:
            after, kind = step.stray
            self.strays.aim(self.strays.heard + after, kind)
        plain = step.fault.removesuffix(" inside")
        action = {"killed": "kill", "paused": "stop", "terminated": "terminate"}.get(plain.rpartition(" ")[2])
        inside = step.inside and self.workload.running and self.hurt_inside(action, *step.inside, lasts=step.lasts)
        if not inside:
            getattr(self, "_" + plain.replace(" ", "_"))(step.lasts)
        self.done[step.fault if inside else plain] += 1
        time.sleep(step.quiet)
        self.keep_alive()

    def keep_alive(self) -> None:
        """What a supervisor does, and its operator where a stray has made a hole."""
        if self.streamer.running:
            return
        self._see_to(self.streamer.process.returncode)
        self.streamer.start(wait=False)

    def _see_to(self, code: int) -> None:
        if code != _FOREIGN:
            self.forgive(code)
            return
        said = record_entries(self.streamer, "stopped")[-1]
        assert said["reason"] == "hole_found", f"the streamer stopped after {dict(self.done)}: {said}"
        # A single server refuses what follows on another id, a fast batch ends at the first refusal.
        is_prevented = self.deployment.nats.replicas == 1 or self.strays.batched > 0
        assert not is_prevented, f"a hole where none can be: {said}"
        self.streamer.command("mend", "--by", "test_faults")
        self.holes += 1

    def forgive(self, code: int) -> None:
        """Fails unless a streamer that ended with that code says that it was stuck in libnats, and few have been."""
        said = [entry["error"] for entry in record_entries(self.streamer, "stopped") if "error" in entry]
        # What an earlier one said excuses none that says nothing.
        said, self._heard = said[self._heard:], len(said)
        stuck = code == _UNEXPECTED and said and said[-1].startswith(_STUCK)
        assert stuck, f"the streamer ended with {code} after {dict(self.done)}: {self.streamer.last_words()}"
        self.restarts += 1
        assert self.restarts <= _RESTARTS, f"stuck in libnats {self.restarts} times: {self.streamer.last_words()}"

    # The streamer

    def _streamer_killed(self, lasts: float) -> None:
        if self.streamer.running:
            self.streamer.kill()
        time.sleep(lasts)
        self.streamer.start(wait=False)

    def _streamer_paused(self, lasts: float) -> None:
        if self.streamer.running:
            self.streamer.freeze()
            # Up to twice wal_sender_timeout: PostgreSQL drops it, and it finds out when it wakes.
            time.sleep(lasts * 1.5)
            self.streamer.thaw()

    def _streamer_terminated(self, lasts: float) -> None:
        if self.streamer.running:
            code = self.streamer.terminate()
            if code != 0:
                self._see_to(code)
        self.streamer.start(wait=False)

    def hurt_inside(self, action: str, point: str, number: int, lasts: float = 0) -> bool:
        """A process of its own, from its start to the failpoint, and on. False: the load ended before the failpoint was reached; then
        another process runs, for that one would still do it to itself when nobody waits for it any more."""
        if self.streamer.running:
            self.streamer.kill()
        failpoints.start(self.streamer, point, action, number)
        if point.startswith("resynchronis"):
            try:
                self.streamer.wait_streaming(60)
                for proxy in self.nats:
                    proxy.cut()
                    proxy.mend()
            except AssertionError:
                # A stray has had it resynchronise before it was seen to stream.
                if not failpoints.reached(self.streamer, action):
                    raise
        wait_until(lambda: failpoints.reached(self.streamer, action) or not self.workload.running, 120,
                   f"{point} is reached: {self.streamer.last_words()}", 0.05)
        if not self.streamer.running and self.streamer.process.returncode == _FOREIGN:
            self.keep_alive()
            return False
        # What is under way when the load ends may still reach it.
        if not failpoints.wait_reached(self.streamer, action):
            self.streamer.kill()
            self.streamer.start(wait=False)
            return False
        time.sleep(lasts)
        failpoints.recover(self.streamer, action)
        return True

    # PostgreSQL

    def _walsender_terminated(self, lasts: float) -> None:
        self.deployment.postgres.run(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                                     f"WHERE slot_name = '{STREAM}' AND active")

    def _postgres_restarted_fast(self, lasts: float) -> None:
        self.deployment.postgres.restart("fast")

    def _postgres_restarted_immediate(self, lasts: float) -> None:
        self.deployment.postgres.restart("immediate")

    def _postgres_killed(self, lasts: float) -> None:
        self.deployment.postgres.kill()
        # Its children notice by themselves, and hold its memory until then.
        wait_until(self._postgres_started, 60, "PostgreSQL starts again", 0.5)

    def _postgres_started(self) -> bool:
        try:
            self.deployment.postgres.start()
        except AssertionError as error:
            raise RuntimeError(str(error)) from None
        return True

    def _postgres_cut_off(self, lasts: float) -> None:
        self.postgres.cut()
        time.sleep(lasts)
        self.postgres.mend()

    def _postgres_slow(self, lasts: float) -> None:
        self.postgres.slow_down(0.02)
        time.sleep(lasts)
        self.postgres.mend()

    # Somebody else

    def _strays_published(self, lasts: float) -> None:
        self.strays.begin_flood(_STRAYS_A_SECOND)
        time.sleep(lasts)
        self.strays.end_flood()

    # nats-server

    def _nats_cut_off(self, lasts: float) -> None:
        for proxy in self.nats:
            proxy.cut()
        time.sleep(lasts)
        for proxy in self.nats:
            proxy.mend()

    def _nats_slow(self, lasts: float) -> None:
        for proxy in self.nats:
            proxy.slow_down(0.02)
        time.sleep(lasts)
        for proxy in self.nats:
            proxy.mend()

    def _nats_killed(self, lasts: float) -> None:
        self.deployment.nats.kill()
        time.sleep(lasts)
        self.deployment.nats.start()

    def _nats_paused(self, lasts: float) -> None:
        self.deployment.nats.pause()
        time.sleep(lasts * 2)
        self.deployment.nats.resume()

    def server(self, is_leader: bool, asked: Administrator | None = None):
        """The server that leads the stream, or one that does not."""

        def leader() -> str:
            name = (asked or self.administrator).info(STREAM)["cluster"].get("leader")
            if not name:
                raise RuntimeError("no leader")
            return name

        name = wait_until(leader, 60, "the stream has a leader", 0.2)
        return next(server for server in self.deployment.nats.servers if (server.folder.name == name) == is_leader)

    def _leader_killed(self, lasts: float) -> None:
        self._killed(self.server(is_leader=True), lasts)

    def _follower_killed(self, lasts: float) -> None:
        self._killed(self.server(is_leader=False), lasts)

    def _killed(self, server, lasts: float) -> None:
        server.kill()
        time.sleep(lasts)
        self.deployment.nats.start()

    def _leader_paused(self, lasts: float) -> None:
        server = self.server(is_leader=True)
        server.freeze()
        time.sleep(lasts * 2)
        server.thaw()
        self.deployment.nats.wait_ready()

    def _leader_stepped_down(self, lasts: float) -> None:
        for _ in range(3):
            wait_until(lambda: self.administrator.api(f"STREAM.LEADER.STEPDOWN.{STREAM}"), 60, "the leader steps down", 0.5)
            time.sleep(lasts / 3)

    def _quorum_lost(self, lasts: float) -> None:
        for server in self.deployment.nats.servers[:2]:
            server.kill()
        time.sleep(lasts)
        self.deployment.nats.start()

    def _leader_isolated(self, lasts: float) -> None:
        self.deployment.nats.isolate(self.server(is_leader=True))
        # The others wait for 4 to 9 seconds before they elect one of them.
        time.sleep(lasts * 3)
        self.deployment.nats.join(STREAM)

    def _routes_cut(self, lasts: float) -> None:
        self.deployment.nats.part()
        time.sleep(lasts * 3)
        self.deployment.nats.join(STREAM)
