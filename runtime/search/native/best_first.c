/* Refinement of patches, best first: those with the largest distances, until what decides is exact. */
#include "search.h"

#define RAISED 16      /* patches that are refined at once, and a quarter of those that were already */
#define LITTLE 64      /* fewer patches are refined by one thread: waking another one takes as long */
#define ALIKE 0.97f    /* bounds that differ by less probably decide together */
#define LOWERED 0.8f   /* where no patch reaches that: what it is lowered by, */
#define LOWERINGS 16   /* so often, before all patches are looked at */

/* Return whether a patch comes before another: the larger distance, the first of equals; NaN first. */
INLINE int before(const struct Search *in, int64_t one, int64_t other)
{
    float a = in->distance[one], b = in->distance[other];
    a = isnan(a) ? INFINITY : a;
    b = isnan(b) ? INFINITY : b;
    return a > b || (a == b && one < other);
}

static void sift(const struct Search *in, int64_t *heap, Py_ssize_t count, Py_ssize_t place)
{
    for (;;) {
        Py_ssize_t first = place, left = 2 * place + 1;
        for (Py_ssize_t child = left; child < left + 2 && child < count; child++)
            if (before(in, heap[child], heap[first]))
                first = child;
        if (first == place)
            return;
        int64_t kept = heap[place];
        heap[place] = heap[first];
        heap[first] = kept;
        place = first;
    }
}

static void refine(struct Search *in, Py_ssize_t patch, int thread)
{
    if (in->tier[patch] == KNOWN)
        look_at_list(in, patch);
    else
        look_near(in, patch, thread);
    in->tier[patch]++;
}

static void refine_some(void *context, ptrdiff_t item, int thread)
{
    const struct Some *some = context;
    for (Py_ssize_t i = item * some->each; i < end_of(some, item); i++)
        if (some->in->tier[some->patches[i]] < NEAR)
            refine(some->in, some->patches[i], thread);
}

/* Collect the patches whose distance is not below `least` in a heap; return their number. */
static Py_ssize_t heap_of(const struct Search *in, float least, int64_t *heap)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < in->count; i++) {
        heap[count] = i;
        count += !(in->distance[i] < least);
    }
    for (Py_ssize_t place = count / 2; place-- > 0;)
        sift(in, heap, count, place);
    return count;
}

/* Put the last of `count` in its place. */
static void rise(const struct Search *in, int64_t *heap, Py_ssize_t count)
{
    for (Py_ssize_t place = count - 1; place > 0 && before(in, heap[place], heap[(place - 1) / 2]);) {
        Py_ssize_t above = (place - 1) / 2;
        int64_t kept = heap[place];
        heap[place] = heap[above];
        heap[above] = kept;
        place = above;
    }
}

/* The patches that may be next, and how far the search has come. */
struct Best {
    int64_t *heap;
    Py_ssize_t left, raised;
    float least, low;  /* others than those in the heap are below `least`; what decides is not below `low` */
    float expected;    /* what decides, as far as is known */
};

/* Refine the patches on top that are below NEAR: several at once, so that threads can share them, but none that hardly
 * decides, below the expected distance or the k-th patch that is ready. Which ones does not depend on the number of
 * threads. What is taken from the heap for this lies behind it. */
static void raise_several(struct Search *in, struct Best *best, Py_ssize_t ready)
{
    Py_ssize_t all = best->left, wanted = RAISED + best->raised / 4, count = 0;
    float least = in->distance[best->heap[0]];
    least = least >= best->expected ? best->expected : ALIKE * least;
    least = least > best->low ? least : best->low;
    do {  /* the first one at any rate: it is to be refined */
        int64_t top = best->heap[0];
        if (isnan(in->distance[top]))
            in->tier[top] = EXACT;  /* no entry is nearer to it */
        if (in->tier[top] < NEAR)
            count++;
        else
            ready++;
        best->heap[0] = best->heap[--best->left];
        best->heap[best->left] = top;
        sift(in, best->heap, best->left, 0);
    } while (best->left && count < wanted && ready < in->k && !(in->distance[best->heap[0]] < least));
    struct Some some = {.in = in, .patches = best->heap + best->left, .count = all - best->left, .each = ITEM};
    share_some(&some, count < LITTLE ? 1 : in->threads, refine_some);
    best->raised += count;
    while (best->left < all)
        rise(in, best->heap, ++best->left);
}

/* Take patches until the k largest distances, and all from `at_least` on, were taken; those below NEAR are refined
 * first. Write the patches that are to be compared with the bank, at most TOGETHER, and return their number; -1 if there
 * are others below `least`. `lowest` becomes the smallest of those taken that are exact, if k were taken. */
static Py_ssize_t take(struct Search *in, float at_least, struct Best *best, int64_t *taken, float *lowest)
{
    Py_ssize_t all = 0, count = 0;
    float smallest = INFINITY;
    best->left = heap_of(in, best->least, best->heap);
    while (count < TOGETHER) {
        if (!best->left || in->distance[best->heap[0]] < best->least) {  /* others may be next */
            if (best->least > -INFINITY && (all < in->k || at_least < best->least))
                return -1;
            if (!best->left)
                break;
        }
        int64_t top = best->heap[0];
        if (all >= in->k && in->distance[top] < at_least)
            break;
        if (isnan(in->distance[top]))
            in->tier[top] = EXACT;  /* no entry is nearer to it */
        if (in->tier[top] < NEAR) {
            raise_several(in, best, all < in->k ? all : 0);
            continue;
        }
        if (in->tier[top] != EXACT)
            taken[count++] = top;
        else if (all < in->k)
            smallest = in->distance[top] < smallest ? in->distance[top] : smallest;
        all++;
        best->heap[0] = best->heap[--best->left];
        sift(in, best->heap, best->left, 0);
    }
    *lowest = all < in->k ? -INFINITY : smallest;
    return count;
}

float settle(struct Search *in, float at_least, float expected)
{
    int64_t taken[TOGETHER];
    struct Best best = {.heap = in->room.heap, .least = SAFELY * expected, .low = -INFINITY, .expected = expected};
    for (int lowered = 0;;) {
        float lowest;
        in->enough = best.least;
        Py_ssize_t count = take(in, at_least, &best, taken, &lowest);
        if (count < 0) {
            best.least = ++lowered < LOWERINGS && best.least > 0 ? LOWERED * best.least : -INFINITY;
            continue;
        }
        if (!count)
            return lowest > -INFINITY && lowest < INFINITY ? lowest : 0;
        compare(in, taken, count);
        for (Py_ssize_t i = 0; i < count; i++) {
            in->tier[taken[i]] = EXACT;
            lowest = in->distance[taken[i]] < lowest ? in->distance[taken[i]] : lowest;
        }
        best.low = lowest < at_least ? lowest : at_least;
    }
}

void tell_apart(struct Search *in, float at_least)
{
    int64_t ready[TOGETHER];
    Py_ssize_t count = 0;
    in->radius = in->enough = at_least;
    for (Py_ssize_t patch = 0; patch < in->count; patch++) {
        while (in->tier[patch] < LISTED && in->distance[patch] >= at_least)
            refine(in, patch, 0);
        if (in->tier[patch] == EXACT || !(in->distance[patch] >= at_least))
            continue;
        ready[count++] = patch;
        if (count == TOGETHER) {
            compare(in, ready, count);
            count = 0;
        }
    }
    compare(in, ready, count);
}
