/* The state of a search, what is done with it everywhere, and its steps. */
#ifndef PATCHEDGE_SEARCH_H
#define PATCHEDGE_SEARCH_H

#include "choose.h"
#include "pool.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define TOGETHER 32          /* patches compared with the bank at once, so that its tables are read once for all */
#define ITEM 8               /* patches that a thread refines before it takes others */
#define MAX_LEVEL 32767.0
#define MAX_SUM 1073741824.0 /* of products of levels, less what rounding adds */
#define MAX_LENGTH 1e18      /* whose square is in float32, many times over */
#define SAFELY 0.9f          /* a bound below this share of the expected deciding distance is low enough */

enum Tier { KNOWN, LISTED, NEAR, GRAPH, EXACT };  /* as in runtime/frame.py */

/* Scratch memory. */
struct Room {
    int32_t *levels;  /* of TOGETHER patches, and of one for each thread */
    double *axes;     /* of one patch for each thread */
    int64_t *heap;
};

struct Search {
    Py_ssize_t count, size, stored, k;
    const float *features, *bank, *divisors;
    float *distance;
    int64_t *index;
    uint8_t *tier;
    float enough;    /* bounds below this are low enough: hardly any of these patches decides */
    float radius;    /* only entries nearer than this are searched for: infinite, or the threshold of `tell_apart` */
    /* Entries that were near in recent frames, see runtime/search/history.py; null without. */
    const int64_t *history, *around;
    Py_ssize_t length, neighbours;
    const uint8_t *active;  /* patches to search; null: all */
    int listed;             /* whether what patches know is looked at beyond the first entry */
    /* Table of neighbours, int32 [stored, each]; null without, then `each` is 0. */
    const int32_t *beside;
    Py_ssize_t each;
    /* Tables made by runtime/search/tables.py. */
    const float *middles, *entries;  /* in blocks */
    const int64_t *order;
    const double *centre, *axes, *steps;
    const float *sketched_centre, *sketched_axes;  /* the same, rounded */
    const float *squares;  /* of the lengths of the points of groups, by the first coordinates; about */
    Py_ssize_t groups, coordinates, pairs, narrow, last, block, narrow_block;  /* blocks in float32 */
    int stages;
    double largest, levels, widest;  /* length of an entry, of a point in levels; divisor */
    struct Room room;
    int threads;
    Py_ssize_t compared;
};

/* Upper bound of the squared Euclidean distance of every entry whose divided distance rounds to this one. */
INLINE float enough_for(float distance, float divisor)
{
    float reach = (distance + 2e-45f) * divisor;  /* a tiny quotient is off by more than its last digit */
    return reach * reach * 1.000001f + 1e-37f;
}

/* Entries nearer than this are searched for. */
INLINE float radius_of(const struct Search *in, Py_ssize_t patch)
{
    return in->distance[patch] < in->radius ? in->distance[patch] : in->radius;
}

/* Return the distance of a patch and an entry, or any number above `enough` if it is above that. */
INLINE float apart(const struct Search *in, Py_ssize_t patch, int64_t entry, float enough)
{
    const float *feature = in->features + patch * in->size, *row = in->bank + entry * in->size;
    float divisor = in->divisors[entry];
    return sqrtf(square(feature, row, in->size, enough_for(enough, divisor))) / divisor;
}

INLINE void fetch_entry(const struct Search *in, int64_t entry)
{
    __builtin_prefetch(in->divisors + entry);
    fetch(in->bank + entry * in->size, in->size);
}

static inline void offer(struct Search *in, Py_ssize_t patch, int64_t entry)
{
    float distance = apart(in, patch, entry, in->distance[patch]);
    if (distance < in->distance[patch]) {
        in->distance[patch] = distance;
        in->index[patch] = entry;
    }
}

/* Return an entry that a patch knows: its own first, the newest first, then the newest ones of the places around it. */
INLINE int64_t known_entry(const struct Search *in, Py_ssize_t patch, Py_ssize_t number)
{
    if (number < in->length)
        return in->history[patch * in->length + number];
    return in->history[in->around[patch * in->neighbours + number - in->length] * in->length];
}

/* Return where a thread has room for one patch. */
INLINE double *axes_of(const struct Search *in, int thread)
{
    return in->room.axes + thread * (in->coordinates + WIDTH + in->size + 1);
}

/* Some patches, of which a thread does several at a time. */
struct Some {
    struct Search *in;
    const int64_t *patches;
    struct Asked *asked;
    Py_ssize_t count, each;
};

INLINE Py_ssize_t end_of(const struct Some *some, ptrdiff_t item)
{
    return (item + 1) * some->each < some->count ? (item + 1) * some->each : some->count;
}

INLINE void share_some(struct Some *some, int threads, void (*work)(void *context, ptrdiff_t item, int thread))
{
    share(threads, (some->count + some->each - 1) / some->each, work, some);
}

#pragma GCC visibility push(hidden)

/* known.c */
/* Look at what a patch knows, at no entry twice: neighbouring places, and frames in a row, often know the same. */
void look_at_list(struct Search *in, Py_ssize_t patch);

/* near.c */
/* Compare a patch with the entries that the tables show to be near: of the groups whose points are the nearest, those
 * whose own points are. */
void look_near(struct Search *in, Py_ssize_t patch, int thread);

/* whole_bank.c */
/* Compare patches, at most TOGETHER, with the whole bank. */
void compare(struct Search *in, const int64_t *patches, Py_ssize_t count);

/* begin.c */
/* Bound the distances of all patches of a frame. */
void begin(struct Search *in);

/* best_first.c */
/* Refine the top patches until the k largest distances, and all from `at_least` on, are exact; return the smallest of the
 * k, 0 if there are fewer patches. */
float settle(struct Search *in, float at_least, float expected);

/* Find an entry nearer than `at_least` for every patch that has one; other distances remain bounds. */
void tell_apart(struct Search *in, float at_least);

#pragma GCC visibility pop

#endif
