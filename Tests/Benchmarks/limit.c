/* The limit: a reader that looks at nothing drains a slot while another thread publishes what a streamer would make of it.
 *
 *     limit CONNINFO SLOT PUBLICATION LSN                    drain, up to the first COMMIT that ends behind LSN
 *     limit URL MESSAGES                                     publish
 *     limit CONNINFO SLOT PUBLICATION LSN URL MESSAGES       both at once
 *
 * Shares no code with the streamer and has its terms: pgoutput's options, a status update a second, the same subjects, ids,
 * payloads and headers, reply subjects as long, its window, its write buffer. Every ack has to carry the next sequence.
 * MESSAGES holds what is published: three 32-bit lengths (subject, message id, payload), the first two with a NUL behind each,
 * the third. Prints one JSON object; its seconds count from when the messages are in memory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libpq-fe.h>
#include <nats/nats.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    WINDOW_MESSAGES = 4096,   /* delivery.in_flight_messages */
    WINDOW_BYTES = 8 << 20,   /* delivery.in_flight_bytes: of subjects, ids and payloads */
    WRITE_BUFFER_BYTES = 256 << 10,
    GULP_MILLISECONDS = 1,    /* for which an emptied socket is left alone, */
    GULP_BYTES = 256 << 10,   /* unless so much comes before that the walsender might have to wait */
    ROOM_MICROSECONDS = 250,  /* between two looks at a full window */
    SILENCE_SECONDS = 60,     /* after which an ack counts as lost */
};

typedef unsigned long long u64;

static struct {
    const char *subject, *id, *payload;
    int payload_bytes;
    u64 bytes_before; /* of all messages before it */
} *messages;
static u64 message_count, frame_count, frame_bytes, last_commit_lsn;
static _Atomic u64 acked;
static double drained, published;

#define REQUIRE(condition, ...) \
    do { if (!(condition)) { fprintf(stderr, "limit: " __VA_ARGS__); fputc('\n', stderr); _exit(1); } } while (0)
#define NATS(call) do { natsStatus s_ = (call); REQUIRE(s_ == NATS_OK, #call ": %s", natsStatus_GetText(s_)); } while (0)

static double seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Drain */

static u64 big_endian(const char *bytes) {
    u64 value;
    memcpy(&value, bytes, 8);
    return __builtin_bswap64(value);
}

/* Standby status update: everything up to `lsn` is written, flushed and applied. */
static void confirm(PGconn *connection, u64 lsn) {
    char update[34] = "r";
    u64 positions[3] = {__builtin_bswap64(lsn), __builtin_bswap64(lsn), __builtin_bswap64(lsn)};
    memcpy(update + 1, positions, sizeof positions);
    REQUIRE(PQputCopyData(connection, update, sizeof update) == 1 && PQflush(connection) >= 0, "cannot confirm");
}

static void drain(const char *conninfo, const char *slot, const char *publication, const char *lsn) {
    char command[1024], *frame;
    unsigned high, low;
    REQUIRE(sscanf(lsn, "%X/%X", &high, &low) == 2, "%s is no LSN such as 0/1930F18", lsn);
    u64 stop = (u64)high << 32 | low, confirmed = 0;
    snprintf(command, sizeof command, "%s replication=database", conninfo);
    PGconn *connection = PQconnectdb(command);
    REQUIRE(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    snprintf(command, sizeof command, "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (\"proto_version\" '1', "
             "\"publication_names\" '\"%s\"', \"messages\" 'true')", slot, publication);
    PGresult *result = PQexec(connection, command);
    REQUIRE(PQresultStatus(result) == PGRES_COPY_BOTH, "%s", PQerrorMessage(connection));
    PQclear(result);
    struct pollfd gulp = {.fd = PQsocket(connection), .events = POLLIN};
    setsockopt(gulp.fd, SOL_SOCKET, SO_RCVLOWAT, &(int){GULP_BYTES}, sizeof(int));
    double confirmed_at = seconds(CLOCK_MONOTONIC);
    while (confirmed <= stop) {
        int length, queued;
        while ((length = PQgetCopyData(connection, &frame, 1)) > 0) {
            frame_count++, frame_bytes += length;
            /* 'w', start, end, time; then pgoutput's 'C', flags, the commit record's LSN, its end. */
            if (length >= 43 && frame[0] == 'w' && frame[25] == 'C')
                last_commit_lsn = big_endian(frame + 27), confirmed = big_endian(frame + 35);
            else if (length >= 18 && frame[0] == 'k' && frame[17])
                confirm(connection, confirmed);
            PQfreemem(frame);
        }
        REQUIRE(length == 0, "the walsender ended: %s", PQerrorMessage(connection));
        drained = seconds(CLOCK_MONOTONIC);
        if (drained - confirmed_at > 1) confirm(connection, confirmed), confirmed_at = drained;
        if (confirmed > stop) break;
        if (ioctl(gulp.fd, FIONREAD, &queued) == 0 && queued == 0) poll(&gulp, 1, GULP_MILLISECONDS);
        REQUIRE(PQconsumeInput(connection), "%s", PQerrorMessage(connection));
    }
    confirm(connection, confirmed);
    PQfinish(connection);
}

/* Publish */

static void read_messages(const char *path) {
    int file = open(path, O_RDONLY);
    off_t size = lseek(file, 0, SEEK_END);
    REQUIRE(size > 0, "cannot read %s", path);
    const char *next = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0), *end = next + size;
    REQUIRE(next != MAP_FAILED, "cannot map %s", path);
    for (u64 bytes = 0; next < end; message_count++) {
        if (message_count % 65536 == 0) messages = realloc(messages, (message_count + 65537) * sizeof *messages);
        REQUIRE(messages, "no memory for the table of messages");
        unsigned lengths[3];
        memcpy(lengths, next, sizeof lengths);
        const char *subject = next + sizeof lengths, *id = subject + lengths[0] + 1, *payload = id + lengths[1] + 1;
        messages[message_count] = (typeof(*messages)){subject, id, payload, lengths[2], bytes};
        messages[message_count + 1].bytes_before = bytes += lengths[0] + lengths[1] + lengths[2];
        next = payload + lengths[2];
    }
    REQUIRE(next == end, "%s ends inside a message", path);
}

static void received(natsConnection *connection, natsSubscription *subscription, natsMsg *ack, void *closure) {
    (void)connection, (void)subscription, (void)closure;
    const char *body = natsMsg_GetData(ack), *sequence = body ? strstr(body, "\"seq\":") : NULL;
    u64 expected = atomic_load(&acked) + 1;
    REQUIRE(sequence && strtoull(sequence + 6, NULL, 10) == expected && !strstr(body, "\"duplicate\""),
            "the ack of message %llu is %s", expected, body ? body : "empty");
    atomic_store(&acked, expected);
    natsMsg_Destroy(ack);
}

/* Waits until the message fits the window; behind the last one, until all are acknowledged. */
static void wait_for_room(u64 index) {
    double since = seconds(CLOCK_MONOTONIC);
    for (u64 oldest, last = 0; (oldest = atomic_load(&acked)) != index; usleep(ROOM_MICROSECONDS)) {
        if (index < message_count && index - oldest < WINDOW_MESSAGES
            && messages[index + 1].bytes_before - messages[oldest].bytes_before <= WINDOW_BYTES) return;
        if (oldest != last) since = seconds(CLOCK_MONOTONIC), last = oldest;
        REQUIRE(seconds(CLOCK_MONOTONIC) - since < SILENCE_SECONDS, "no ack of message %llu", oldest + 1);
    }
}

static void *publish(void *url) {
    natsOptions *options;
    natsConnection *connection;
    natsSubscription *subscription;
    natsInbox *inbox;
    char reply[128], number[32];
    NATS(natsOptions_Create(&options));
    NATS(natsOptions_SetURL(options, url));
    NATS(natsOptions_SetIOBufSize(options, WRITE_BUFFER_BYTES));
    NATS(natsOptions_SetAllowReconnect(options, false));
    NATS(natsConnection_Connect(&connection, options));
    NATS(natsInbox_Create(&inbox));
    snprintf(reply, sizeof reply, "%s.*", inbox);
    NATS(natsConnection_Subscribe(&subscription, connection, reply, received, NULL));
    NATS(natsSubscription_SetPendingLimits(subscription, -1, -1));
    for (u64 index = 0; index < message_count; index++) {
        natsMsg *out;
        snprintf(reply, sizeof reply, "%s.%024llx", inbox, index + 1);
        snprintf(number, sizeof number, "%llu", index);
        NATS(natsMsg_Create(&out, messages[index].subject, reply, messages[index].payload, messages[index].payload_bytes));
        NATS(natsMsgHeader_Set(out, "Nats-Msg-Id", messages[index].id));
        NATS(natsMsgHeader_Set(out, "Nats-Expected-Last-Sequence", number));
        wait_for_room(index);
        NATS(natsConnection_PublishMsg(connection, out));
        natsMsg_Destroy(out);
    }
    wait_for_room(message_count);
    published = seconds(CLOCK_MONOTONIC);
    natsConnection_Close(connection);
    return NULL;
}

int main(int argc, char **argv) {
    bool drains = argc == 5 || argc == 7, publishes = argc == 3 || argc == 7;
    REQUIRE(drains || publishes, "takes CONNINFO SLOT PUBLICATION LSN, or URL MESSAGES, or all six");
    if (publishes) read_messages(argv[argc - 1]);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), began = drained = published = seconds(CLOCK_MONOTONIC);
    pthread_t publisher;
    if (publishes) REQUIRE(pthread_create(&publisher, NULL, publish, argv[argc - 2]) == 0, "no thread");
    if (drains) drain(argv[1], argv[2], argv[3], argv[4]);
    if (publishes) pthread_join(publisher, NULL);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"seconds\": %.6f, \"drain\": %.6f, \"publish\": %.6f, \"cpu\": %.6f, \"frames\": %llu, \"bytes\": %llu, "
           "\"commit_lsn\": %llu, \"messages\": %llu}\n", (drained > published ? drained : published) - began,
           drained - began, published - began, cpu, frame_count, frame_bytes, last_commit_lsn, message_count);
    return 0;
}
