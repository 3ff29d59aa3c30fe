#define _GNU_SOURCE
#include "slow_names.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting = 0;
static unsigned releases = 0;

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

void slow_names_release(void) {
    pthread_mutex_lock(&lock);
    releases++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

int slow_names_waiting(void) {
    pthread_mutex_lock(&lock);
    int count = waiting;
    pthread_mutex_unlock(&lock);
    return count;
}

// In place of glibc's, for libcurl too: the program's own symbols come first.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    static const char suffix[] = ".slow.test";
    size_t length = node ? strlen(node) : 0;
    if (length > sizeof suffix && strcmp(node + length - (sizeof suffix - 1), suffix) == 0) {
        pthread_mutex_lock(&lock);
        waiting++;
        struct timespec limit;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 30;
        for (unsigned before = releases; releases == before;) {
            if (pthread_cond_timedwait(&changed, &lock, &limit)) break;
        }
        waiting--;
        pthread_mutex_unlock(&lock);
        return EAI_AGAIN;
    }
    return ((getaddrinfo_function)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, result);
}
