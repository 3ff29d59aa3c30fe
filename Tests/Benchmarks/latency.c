// Both ends of the latency benchmark in one process, so that one clock times them and nothing slow stands between.
//
//     latency streamer SECONDS RATE FILE NATS_URL SUBJECT CONNINFO TAG
//     latency publish SECONDS RATE FILE NATS_URL SUBJECT LAST_SEQUENCE BYTES
//
// `streamer` commits single-row INSERTs and waits for their events as a plain subscriber to SUBJECT: COMMIT returned → message
// received. `publish` publishes BYTES to SUBJECT, chained to LAST_SEQUENCE, and waits for the acknowledgements: handed to
// libnats → PubAck received. The load is open: each number has a moment at which it is due, whether or not the one before
// is through. After SECONDS and a second to warm up it ends, whatever is still due. Nanoseconds of each sample after the
// warm-up go to FILE, as int64 of this machine (negative: received before COMMIT had returned); a summary, as JSON, to stdout.

#define _GNU_SOURCE
#include <libpq-fe.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000L
// Enough that a connection is free whenever a commit is due at 5,000 a second.
#define COMMITTER_COUNT 8
// What has not arrived when nothing has for so long is lost.
#define QUIET_SECONDS 10

static long rate, total;
static int64_t start, end;
static _Atomic long next_number, began_count, arrived_count, repeated_count, payload_byte_count;
// By number; 0: not yet.
static _Atomic int64_t *began, *arrived;
static char marker[64];

static _Noreturn void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("latency: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    // Not exit(): the libraries' threads would be waited for, and this may be one of them.
    _exit(1);
}

static void check(natsStatus status, const char *what) {
    if (status != NATS_OK) die("%s: %s", what, natsStatus_GetText(status));
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

// Sleeps until that number is due; false when the time is up.
static bool wait_until_due(long number) {
    int64_t due = start + number * SECOND / rate;
    struct timespec time = {due / SECOND, due % SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0) {}
    return now() < end;
}

static void note_arrival(long number, int64_t time) {
    if (number < 0 || number >= total) die("number %ld arrived, and there are %ld", number, total);
    int64_t never = 0;
    if (atomic_compare_exchange_strong(&arrived[number], &never, time)) {
        atomic_fetch_add(&arrived_count, 1);
    } else {
        atomic_fetch_add(&repeated_count, 1);
    }
}

// libnats ends the data that it gives to callbacks with a NUL.

static void event_arrived(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure) {
    int64_t time = now();
    (void)connection, (void)subscription, (void)closure;
    const char *found = strstr(natsMsg_GetData(message), marker);
    if (found) {
        payload_byte_count = natsMsg_GetDataLength(message);
        note_arrival(atol(found + strlen(marker)), time);
    }
    natsMsg_Destroy(message);
}

static void ack_arrived(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure) {
    int64_t time = now();
    (void)connection, (void)subscription, (void)closure;
    const char *said = natsMsg_GetData(message);
    // Without a body: nobody listens on the subject.
    if (!strstr(said, "\"seq\"") || strstr(said, "\"error\"") || strstr(said, "\"duplicate\"")) die("refused: %s", said);
    note_arrival(atol(strrchr(natsMsg_GetSubject(message), '.') + 1), time);
    natsMsg_Destroy(message);
}

// Connects and subscribes; returns when the server has the subscription.
static natsConnection *connect_to(const char *url, const char *subject, natsMsgHandler handler) {
    natsOptions *options;
    natsConnection *connection;
    natsSubscription *subscription;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), url);
    // What is published goes out at once, by the thread that publishes. And a connection that is lost ends the measurement.
    check(natsOptions_SetSendAsap(options, true), "SendAsap");
    check(natsOptions_SetAllowReconnect(options, false), "AllowReconnect");
    check(natsConnection_Connect(&connection, options), url);
    check(natsConnection_Subscribe(&subscription, connection, subject, handler, NULL), subject);
    check(natsSubscription_SetPendingLimits(subscription, -1, -1), "pending limits");
    check(natsConnection_FlushTimeout(connection, 5000), "flush");
    natsOptions_Destroy(options);
    return connection;
}

static void *commit_rows(void *argument) {
    PGconn *connection = argument;
    char identifier[sizeof marker + 24];
    const char *values[] = {identifier};
    for (;;) {
        long number = atomic_fetch_add(&next_number, 1);
        if (number >= total || !wait_until_due(number)) return NULL;
        snprintf(identifier, sizeof identifier, "%s%09ld", marker, number);
        PGresult *result = PQexecPrepared(connection, "insert", 1, values, NULL, NULL, 0);
        int64_t time = now();
        if (PQresultStatus(result) != PGRES_COMMAND_OK) die("INSERT: %s", PQerrorMessage(connection));
        PQclear(result);
        began[number] = time;
        atomic_fetch_add(&began_count, 1);
    }
}

static PGconn *connect_to_postgres(const char *conninfo) {
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK) die("%s", PQerrorMessage(connection));
    PGresult *result = PQprepare(connection, "insert", "INSERT INTO tb_order (identifier, items, shipping_address, status) "
                                 "VALUES ($1, ARRAY['sku-1'], '1 Main Street', 'pending')", 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) die("%s", PQerrorMessage(connection));
    PQclear(result);
    return connection;
}

static void start_clock(long seconds) {
    start = now() + SECOND / 10;
    end = start + (1 + seconds) * SECOND;
}

static void commit_all(const char *conninfo, long seconds) {
    PGconn *connections[COMMITTER_COUNT];
    pthread_t threads[COMMITTER_COUNT];
    for (int i = 0; i < COMMITTER_COUNT; i++) connections[i] = connect_to_postgres(conninfo);
    start_clock(seconds);
    for (int i = 0; i < COMMITTER_COUNT; i++) {
        if (pthread_create(&threads[i], NULL, commit_rows, connections[i]) != 0) die("no thread to be had");
    }
    for (int i = 0; i < COMMITTER_COUNT; i++) {
        pthread_join(threads[i], NULL);
        PQfinish(connections[i]);
    }
}

static void publish_all(natsConnection *connection, const char *inbox, const char *subject, unsigned long last_sequence,
                        int byte_count, long seconds) {
    char reply[128], identifier[64], expected[32], *payload = malloc(byte_count);
    if (!payload) die("out of memory");
    memset(payload, 'x', byte_count);
    start_clock(seconds);
    for (long number = 0; number < total && wait_until_due(number); number++) {
        natsMsg *message;
        snprintf(reply, sizeof reply, "%s.%ld", inbox, number);
        check(natsMsg_Create(&message, subject, reply, payload, byte_count), "message");
        // As long as the streamer's.
        snprintf(identifier, sizeof identifier, "7439120938471029384.16384.1.735.%016lX.1", last_sequence + 1);
        snprintf(expected, sizeof expected, "%lu", last_sequence++);
        check(natsMsgHeader_Set(message, "Nats-Msg-Id", identifier), "header");
        check(natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", expected), "header");
        began[number] = now();
        check(natsConnection_PublishMsg(connection, message), "publish");
        atomic_fetch_add(&began_count, 1);
        natsMsg_Destroy(message);
    }
    free(payload);
}

// Until all have arrived, or nothing has for a while.
static void wait_for_arrivals(void) {
    long seen = -1;
    for (int64_t last = now(); arrived_count < began_count && now() - last < QUIET_SECONDS * SECOND; usleep(1000)) {
        if (arrived_count == seen) continue;
        seen = arrived_count;
        last = now();
    }
}

static void report(const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) die("%s cannot be written", path);
    long sample_count = 0, lost_count = 0;
    for (long number = 0; number < total; number++) {
        if (began[number] == 0) continue;
        if (arrived[number] == 0) {
            lost_count++;
        } else if (began[number] >= start + SECOND) {
            int64_t took = arrived[number] - began[number];
            if (fwrite(&took, sizeof took, 1, file) != 1) die("%s cannot be written", path);
            sample_count++;
        }
    }
    if (fclose(file) != 0) die("%s cannot be written", path);
    printf("{\"began\": %ld, \"samples\": %ld, \"lost\": %ld, \"repeated\": %ld, \"payload_bytes\": %ld}\n",
           began_count, sample_count, lost_count, repeated_count, payload_byte_count);
}

int main(int argc, char **argv) {
    if (argc != 9) die("bad arguments: see the head of latency.c");
    bool is_streamer = strcmp(argv[1], "streamer") == 0;
    if (!is_streamer && strcmp(argv[1], "publish") != 0) die("streamer or publish, not %s", argv[1]);
    long seconds = atol(argv[2]);
    rate = atol(argv[3]);
    total = rate * (1 + seconds);
    if (seconds < 1 || rate < 1) die("seconds and rate are whole numbers from 1");
    began = calloc(total, sizeof *began);
    arrived = calloc(total, sizeof *arrived);
    if (!began || !arrived) die("out of memory");
    const char *file = argv[4], *url = argv[5], *subject = argv[6];
    natsConnection *connection;
    if (is_streamer) {
        if (snprintf(marker, sizeof marker, "%s", argv[8]) >= (int)sizeof marker) die("the tag is too long");
        connection = connect_to(url, subject, event_arrived);
        commit_all(argv[7], seconds);
    } else {
        natsInbox *inbox;
        char replies[128];
        check(natsInbox_Create(&inbox), "inbox");
        snprintf(replies, sizeof replies, "%s.*", inbox);
        connection = connect_to(url, replies, ack_arrived);
        publish_all(connection, inbox, subject, strtoul(argv[7], NULL, 10), atoi(argv[8]), seconds);
        natsInbox_Destroy(inbox);
    }
    wait_for_arrivals();
    report(file);
    natsConnection_Destroy(connection);
}
