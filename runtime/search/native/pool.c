/* A few threads of the process that help with a call, and sleep until the next one.
 *
 * They are started when they are first needed, never spin, and take items one by one: one that wakes up late does less,
 * and whoever called does the rest. Only one call is helped at a time: another one, of another camera, does its work alone.
 * Nobody waits for a helper but for the item that it is at. If a call takes longer than it computes, because other programs
 * want the cores too, the next calls do without, and ever more of them while it happens again.
 */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define MAX_HELPERS 63
#define STACK_BYTES (512 * 1024)
#define LATE_NS 200000     /* an item takes tens of microseconds: whoever waits for longer has lost a core */
#define MIN_ALONE 16       /* calls without helpers after the first time */
#define MAX_ALONE 4096

struct Shared {
    void (*work)(void *context, ptrdiff_t item, int thread);
    void *context;
    ptrdiff_t count, next;
    int joined;  /* helpers */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  /* guards all of these */
static pthread_cond_t offered = PTHREAD_COND_INITIALIZER, left = PTHREAD_COND_INITIALIZER;
static struct Shared *shared;  /* the call that is helped; null: none */
static int places;             /* helpers that it has not got yet, but may */
static int inside;             /* helpers that are at work on it */
static int started;            /* helpers that there are */
static int alone, last_alone;  /* remaining calls without helpers; how many those were the last time */
static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void do_items(struct Shared *call, int thread)
{
    for (;;) {
        ptrdiff_t item = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED);
        if (item >= call->count)
            return;
        call->work(call->context, item, thread);
    }
}

static void *help(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (!places)
            pthread_cond_wait(&offered, &mutex);
        places--;
        inside++;
        struct Shared *call = shared;
        int thread = ++call->joined;
        pthread_mutex_unlock(&mutex);
        do_items(call, thread);
        pthread_mutex_lock(&mutex);
        if (!--inside)
            pthread_cond_signal(&left);
    }
    return NULL;
}

/* A child of fork has none of the threads, and may have got the mutex locked. */
static void forget(void)
{
    pthread_mutex_init(&mutex, NULL);
    pthread_cond_init(&offered, NULL);
    pthread_cond_init(&left, NULL);
    shared = NULL;
    places = inside = started = alone = last_alone = 0;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget);
}

/* Start helpers until there are so many; where the system gives no more, there are fewer. Signals are for others. */
static void start_helpers(int wanted)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    if (started >= wanted || pthread_attr_init(&attributes))
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (pthread_t thread; started < wanted && !pthread_create(&thread, &attributes, help, NULL);)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

/* Offer a call to so many helpers; return whether there are any. */
static int offer_to_helpers(struct Shared *call, int wanted)
{
    pthread_once(&watched, watch_forks);
    pthread_mutex_lock(&mutex);
    int free = !shared && !alone;
    alone -= alone > 0;
    if (free)
        start_helpers(wanted);
    int helped = free && started;
    if (helped) {
        shared = call;
        places = started < wanted ? started : wanted;
        for (int i = 0; i < places; i++)
            pthread_cond_signal(&offered);
    }
    pthread_mutex_unlock(&mutex);
    return helped;
}

/* Return for how long this thread has not computed, since any time. */
static long long idle_ns(void)
{
    struct timespec time, computed;
    clock_gettime(CLOCK_MONOTONIC, &time);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &computed);
    return (time.tv_sec - computed.tv_sec) * 1000000000LL + time.tv_nsec - computed.tv_nsec;
}

/* Wait for the items that helpers are at, and decide whether the next calls do without them. */
static void await_helpers(long long idle_before)
{
    pthread_mutex_lock(&mutex);
    places = 0;
    while (inside)
        pthread_cond_wait(&left, &mutex);
    if (idle_ns() - idle_before > LATE_NS) {
        int more = 2 * last_alone < MAX_ALONE ? 2 * last_alone : MAX_ALONE;
        alone = last_alone = more > MIN_ALONE ? more : MIN_ALONE;
    } else {
        last_alone /= 2;
    }
    shared = NULL;
    pthread_mutex_unlock(&mutex);
}

void share(int threads, ptrdiff_t count, void (*work)(void *context, ptrdiff_t item, int thread), void *context)
{
    struct Shared call = {.work = work, .context = context, .count = count};
    ptrdiff_t wanted = (threads < count ? threads : count) - 1;
    wanted = wanted < MAX_HELPERS ? wanted : MAX_HELPERS;
    long long idle = wanted > 0 ? idle_ns() : 0;
    int helped = wanted > 0 && offer_to_helpers(&call, (int)wanted);
    do_items(&call, 0);
    if (helped)
        await_helpers(idle);
}
