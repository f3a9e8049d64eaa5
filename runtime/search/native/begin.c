/* The first bounds of a frame: the distance of each patch to an entry that it knows, or else to one that is near. */
#include "search.h"

#define LITTLE_KNOWN 16384  /* fewer patches are compared, with an entry each, by one thread, as in best_first.c */

/* Bound the distances of some patches by the entry that each knows first, or else by what the tables show to be near. */
static void begin_some(void *context, ptrdiff_t item, int thread)
{
    const struct Some *some = context;
    struct Search *in = some->in;
    const uint8_t *active = in->active;
    for (Py_ssize_t patch = item * some->each; patch < end_of(some, item); patch++) {
        if (active && !active[patch]) {
            in->distance[patch] = 0;
            in->index[patch] = 0;
            in->tier[patch] = EXACT;
            continue;
        }
        if (in->length && patch + AHEAD < in->count)
            fetch(in->bank + known_entry(in, patch + AHEAD, 0) * in->size, in->size);
        in->index[patch] = in->length ? known_entry(in, patch, 0) : 0;
        in->distance[patch] = apart(in, patch, in->index[patch], INFINITY);
        in->tier[patch] = in->listed ? KNOWN : LISTED;
        if (!in->length && !isnan(in->distance[patch])) {
            look_near(in, patch, thread);
            in->tier[patch] = NEAR;
        }
    }
}

void begin(struct Search *in)
{
    struct Some some = {.in = in, .count = in->count, .each = ITEM};
    share_some(&some, in->length && in->count < LITTLE_KNOWN ? 1 : in->threads, begin_some);
}
