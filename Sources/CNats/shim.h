#include <nats/nats.h>

// An nkey seed file holds the seed only; libnats 3.4.1 also wants the public key, which libcrypto (libnats' own
// dependency) derives.
#include <openssl/evp.h>

// What a natsMsg looks like inside: the same from libnats 3.4.1 to 3.13 (its src/msg.h and src/gc.h). Not part of its
// interface: JetStreamPublishing proves it on the library that is loaded before it relies on it (MessageLayout.swift).
struct slotstream_nats_message {
    struct slotstream_nats_message *next_garbage;
    // Not NULL: natsMsg_Destroy queues the message for a thread that frees it some time.
    void (*free_later)(void *message);
    const char *subject;
    const char *reply;
    char *header_bytes;
    void *header_table;
    const char *data;
    int data_length;
    int header_length;
    int wire_length;
    // SLOTSTREAM_NATS_HEADERS_UNREAD: the headers are in header_bytes as they go over the wire, and not yet in header_table.
    int flags;
    uint64_t sequence;
    int64_t time;
    void *subscription;
    void *next;
};

enum { SLOTSTREAM_NATS_HEADERS_UNREAD = 1 };
