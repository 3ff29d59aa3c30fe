"""Wall clocks that jump: an administrator's `date -s`, NTP's step, a machine that was resumed. Time is measured on the
monotonic clock, and order is the WAL's; a wall clock only labels.

nats-server has no part in it: a static Go program, which asks the kernel without a library that could be preloaded.
"""

import mmap
import re
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from servers.tools import MissingTool, preloadable, wait_until
from tenants import PATIENT

# Forward and back by more than any deadline there is.
JUMPS = [86_400, -86_400, 120, -600, -86_400, 260_000]

_TRANSACTIONS = 8_000
_RATE = 500

# Within this time something has to go on: before the end of 10 s that an ack is waited for, far before the clock is back.
_STALL_SECONDS = 8
_RECONNECT_SECONDS = 30

# How often the clock is set back while libnats waits now and then.
_STEPS = 24

_HOLDER = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"


class WallClock:
    """The wall clock of the processes that have `environment`: libfaketime reads in a file, each time that somebody asks, how
    far it is off. CLOCK_MONOTONIC stays the kernel's; a wait for it, too, which libfaketime would mend for a clock that it fakes.

    libfaketime takes every timerfd for one on CLOCK_REALTIME. While the clock is ahead, libdispatch's timers go off at once and
    again at once; while it is behind, they are as late. So it is never left behind for long: the streamer's probe of libnats'
    lock would not come round, which it takes for a wedged libnats after 60 s.
    """

    def __init__(self, folder: Path):
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise MissingTool("no libfaketime: run deploy/test once, it installs it")
        self.file = folder / "clock"
        self.environment = {"LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
                            "NO_FAKE_STAT": "1"}
        self.offset = 0
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """From one moment to the next."""
        self.offset += seconds
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.offset:+}\n")
        new.chmod(0o644)
        new.replace(self.file)


@pytest.fixture
def forgotten():
    """A list of processes: what libfaketime keeps for them in shared memory, and would leave behind, is removed."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            Path("/dev/shm", name).unlink(missing_ok=True)


def _samples(streamer) -> list[tuple[str, str, float]]:
    """Every figure of /metrics: name, labels, value."""
    return [(name, labels, float(value)) for name, labels, value in
            re.findall(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", streamer.get("/metrics"), re.MULTILINE)]


def _buckets(streamer) -> list[float]:
    """The histogram of the time from commit to ack: how many took so long or less, the last one any time."""
    return [value for name, _, value in _samples(streamer) if name == "fraiseql_observer_processing_duration_seconds_bucket"]


def _require_sane_metrics(streamer) -> None:
    """No figure is negative or not a number, and the histogram is one."""
    figures = _samples(streamer)
    # There is no replay window here, and nothing is known of one.
    wrong = [figure for figure in figures if not figure[2] >= 0 and not figure[0].startswith("slotstream_replay_window_")]
    assert figures and not wrong, wrong
    buckets = _buckets(streamer)
    assert len(buckets) > 10 and buckets == sorted(buckets), buckets
    source = streamer.status()["source"]
    assert source["lag_seconds"] >= 0 and source["lag_bytes"] >= 0


def _require_progress(deployment, seconds: float) -> None:
    """What is committed now, beside the load, is stored and confirmed within that time."""
    deployment.postgres.run("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('after a jump', 0, 0, 0)")
    deployment.wait_confirmed(seconds)


def test_the_stream_goes_on_while_the_streamers_wall_clock_jumps_by_days_and_minutes(pair, deploy, seed, forgotten, report):
    deployment = deploy(pair, overrides=PATIENT)
    streamer, clock = deployment.streamer, WallClock(deployment.folder)
    streamer.environment |= clock.environment
    # Each status update carries its sender's clock: PostgreSQL hears them, and the clock that jumps is the streamer's.
    told = f"SELECT extract(epoch FROM reply_time - clock_timestamp())::float FROM pg_stat_replication WHERE pid = ({_HOLDER})"
    with deployment.sampler() as sampler:
        streamer.start()
        forgotten.append(streamer.process.pid)
        workload = deployment.workload(_TRANSACTIONS, seed, _RATE).start()
        for number, jump in enumerate(JUMPS, 1):
            workload.wait_for(number / (len(JUMPS) + 2))
            before = _buckets(streamer)
            clock.jump(jump)
            wait_until(lambda: abs(deployment.postgres.value(told) - clock.offset) < 30, _STALL_SECONDS,
                       f"PostgreSQL is told by a clock that is {clock.offset} s off")
            _require_progress(deployment, _STALL_SECONDS)
            assert streamer.get("/livez")
            streamer.wait_ready()
            _require_sane_metrics(streamer)
            after = _buckets(streamer)
            if clock.offset > 3600:
                # Longer than the last bucket but one counts.
                assert after[-1] - after[-2] > before[-1] - before[-2]
            elif clock.offset < 0:
                # Stored before it was committed, by these two clocks: no time at all.
                assert after[0] > before[0]
        # A step back is answered by a session made anew, since libnats' waits go by that clock; a step ahead by nothing.
        assert streamer.metric("slotstream_reconnects_total") <= sum(jump < 0 for jump in JUMPS)
        assert streamer.metric("slotstream_resynchronisations_total") == 0
        # Started again on the day before that on which it was killed.
        streamer.kill()
        clock.jump(-86_400)
        streamer.start()
        forgotten.append(streamer.process.pid)
        workload.finish()
        deployment.wait_confirmed()
        assert streamer.metric("slotstream_source_lag_seconds") == 0
        _require_sane_metrics(streamer)
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: the streamer's wall clock jumped by {JUMPS} s; {result.compared} events compared, "
           f"{len(result.differences)} differences; {positions} confirmed positions sampled, none early")


def test_the_stream_is_in_commit_order_with_postgres_own_timestamps_while_its_wall_clock_jumps(
        pair, deploy, seed, forgotten, report):
    """A walsender measures wal_sender_timeout on the wall clock, and takes a jump for a dead client: it may end. The streamer
    comes back by itself."""
    deployment = deploy(pair, settings={"track_commit_timestamp": "on"})
    postgres, clock = deployment.postgres, WallClock(deployment.folder)
    postgres.environment = clock.environment
    postgres.restart("fast")
    forgotten.append(postgres.pid)
    with deployment.sampler() as sampler:
        deployment.streamer.start()
        workload = deployment.workload(_TRANSACTIONS, seed, _RATE).start()
        for number, jump in enumerate(JUMPS, 1):
            workload.wait_for(number / (len(JUMPS) + 1))
            clock.jump(jump)
            assert abs(postgres.value("SELECT extract(epoch FROM clock_timestamp())::float") - time.time() - clock.offset) < 30
            _require_progress(deployment, _RECONNECT_SECONDS)
            assert deployment.streamer.get("/livez")
            _require_sane_metrics(deployment.streamer)
        workload.finish()
        deployment.wait_confirmed()
        deployment.streamer.wait_ready()
        assert deployment.streamer.metric("slotstream_source_lag_seconds") == 0
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    # PostgreSQL's own register of its commits, which no decoder has been through.
    with postgres.connect() as connection:
        xids = sorted({event.json["transaction"]["id"] for event in deployment.events})
        committed = dict(connection.execute("SELECT x, pg_xact_commit_timestamp(x::text::xid) FROM unnest(%s::bigint[]) AS x",
                                            (xids,)).fetchall())
    stamps = []
    for event in deployment.events:
        stamps.append(datetime.fromisoformat(event.json["timestamp"]))
        assert stamps[-1] == committed[event.json["transaction"]["id"]], event.id
    back = sum((later - earlier).total_seconds() < -60 for earlier, later in pairwise(stamps))
    assert back >= sum(jump < 0 for jump in JUMPS), f"the commits' timestamps went back only {back} times"
    report(f"{pair}: PostgreSQL's wall clock jumped by {JUMPS} s; {result.compared} events compared, "
           f"{len(result.differences)} differences; {positions} confirmed positions sampled, none early")


# A deadline on CLOCK_REALTIME that a thread waits for moves when the clock is set: the kernel sees to it. libfaketime makes a
# distance of it when the wait begins, so that its jumps touch no wait under way. This stand-in for the kernel looks at the
# clock again and again while it waits; the clock is the machine's plus the nanoseconds in a file. A wait in slices is deaf
# between two of them, so it counts what was signalled meanwhile.
_KERNEL = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long long second = 1000000000, slice = 5000000;
static volatile const long long *offset;

static struct timespec at(long long nanoseconds) {
    return (struct timespec){nanoseconds / second, nanoseconds % second};
}

static long long kernel(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * second + now.tv_nsec;
}

static long long wall(void) {
    static const long long none;
    if (offset == NULL) {
        const char *path = getenv("WALL_CLOCK_OFFSET");
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        offset = page == MAP_FAILED ? &none : page;
    }
    return kernel() + *offset;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (clock != CLOCK_REALTIME) return syscall(SYS_clock_gettime, clock, time);
    *time = at(wall());
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    long long now = wall();
    *time = (struct timeval){now / second, now % second / 1000};
    return 0;
}

/* Until when the kernel may wait before the clock is looked at again. */
static struct timespec next_look(long long left) {
    return at(kernel() + (left < 0 ? 0 : left < slice ? left : slice));
}

/* How often conditions were signalled; those that share a place wake each other's waiters, which may happen. */
static atomic_ulong *signals(pthread_cond_t *condition) {
    static atomic_ulong counts[1024];
    return &counts[(uintptr_t)condition / 16 % 1024];
}

int pthread_cond_signal(pthread_cond_t *condition) {
    static int (*_Atomic next)(pthread_cond_t *);
    if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_signal");
    atomic_fetch_add(signals(condition), 1);
    return next(condition);
}

int pthread_cond_broadcast(pthread_cond_t *condition) {
    static int (*_Atomic next)(pthread_cond_t *);
    if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_broadcast");
    atomic_fetch_add(signals(condition), 1);
    return next(condition);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    long long end = deadline->tv_sec * second + deadline->tv_nsec;
    /* Too early for a date: the condition was made for the other clock. */
    if (end < kernel() / 2) return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, deadline);
    unsigned long before = atomic_load(signals(condition));
    for (;;) {
        struct timespec look = next_look(end - wall());
        int result = pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &look);
        if (result != ETIMEDOUT || wall() >= end) return result;
        if (atomic_load(signals(condition)) != before) return 0;
    }
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline) {
    long long end = deadline->tv_sec * second + deadline->tv_nsec;
    for (;;) {
        struct timespec look = next_look(end - wall());
        int result = sem_clockwait(semaphore, CLOCK_REALTIME, &look);
        if (result == 0 || errno != ETIMEDOUT || wall() >= end) return result;
    }
}
"""


def test_deadlines_that_move_with_a_clock_that_is_set_back_do_not_hold_up_the_stream(one_pair, deploy, seed, report):
    """libnats 3.4.1 waits for CLOCK_REALTIME, among others a millisecond before it flushes: set back by ten minutes in that
    millisecond, the clock makes it ten minutes."""
    deployment = deploy(one_pair)
    file = deployment.folder / "offset"
    file.write_bytes(bytes(8))
    library = preloadable("kernel_clock", _KERNEL, deployment.folder)
    deployment.streamer.environment |= {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(file)}
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as offset, deployment.sampler() as sampler:
        deployment.streamer.start()
        workload = deployment.workload(_TRANSACTIONS, seed, _RATE).start()
        for number in range(1, _STEPS + 1):
            workload.wait_for(number / (_STEPS + 8))
            offset[:] = (number * -600 * 10**9).to_bytes(8, "little", signed=True)
        assert workload.running, "the load has to outlast the steps"
        workload.finish()
        deployment.wait_confirmed(60)
        _require_sane_metrics(deployment.streamer)
        result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{one_pair}: the wall clock set back by ten minutes {_STEPS} times, waits under way moved with it; "
           f"{result.compared} events compared, {len(result.differences)} differences; "
           f"{positions} confirmed positions sampled, none early")
