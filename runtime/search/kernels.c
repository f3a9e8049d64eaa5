/* The inner loops of the search: distances between rows of float32 arrays, and best-first refinement of the patches.
 *
 * Vectors of eight floats, which the compiler lowers to the instruction set: AVX2 if an x86 has it, else SSE2; NEON on
 * ARM. Every distance is computed by one function, in one order of operations, so that the same two rows always have the
 * same distance. It is Euclidean, divided by a number that belongs to the entry: its divisor.
 *
 * All functions take C-contiguous buffers. Sizes are checked here; the meaning of the arrays is documented by their
 * callers, runtime/search/full.py and runtime/search/pruned.py.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../buffers.h"
#include "pool.h"

#define WIDTH 8
#define BLOCK (2 * WIDTH)  /* points whose bounds are computed together */
#define NARROW 16          /* coordinates that middles have, and that most entries are excluded by */
#define NARROW_COLUMNS 3   /* of float32 in a block: |c|^2 - reach^2 of these, width^2, 2 reach width */
#define STAGES 5           /* at most: NARROW coordinates, NARROW more ..., at last all; the later ones begin with */
                           /* |c|^2 - reach^2 of the coordinates up to there */
#define STEP (8 * WIDTH)   /* elements after which a sum is checked, to stop early if it is too large */
#define LIST 32            /* entries that a patch knows, of which none is compared twice */
#define NEAR_SHARE 64      /* one of so many groups of entries is looked at where the tables show what is near, */
#define MIN_GROUPS 8       /* at least so many, */
#define MAX_GROUPS 32      /* at most so many */
#define NEAR_ENTRIES 8     /* entries of these that are compared */
#define TOGETHER 32        /* patches compared with the bank at once, so that its tables are read once for all */
#define RAISED 16          /* patches that are refined at once, and a quarter of those that were already */
#define LITTLE 64          /* fewer patches are refined by one thread: waking another one takes as long */
#define LITTLE_BANK 4096   /* likewise, patches times groups of entries, where patches are compared with the bank */
#define LITTLE_KNOWN 16384 /* likewise, patches that are compared with an entry each */
#define MAX_THREADS 64
#define ITEM 8             /* patches that a thread refines before it takes others */
#define AHEAD 4            /* rows to prefetch ahead */
#define CACHE_LINE 16      /* elements */
#define MAX_LEVEL 32767.0
#define MAX_SUM 1073741824.0    /* of products of levels, less what rounding adds */
#define MAX_LENGTH 1e18         /* whose square is in float32, many times over */
#define TINY_SQUARE 0x1p-100    /* far above what underflow takes away */
#define SAFELY 0.9f        /* a bound below this share of the expected deciding distance is low enough */
#define ALIKE 0.97f        /* bounds that differ by less probably decide together */
#define LOWERED 0.8f       /* where no patch reaches that: what it is lowered by, */
#define LOWERINGS 16       /* so often, before all patches are looked at */

typedef float Vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef double Doubles __attribute__((vector_size(WIDTH / 2 * sizeof(double))));

#define INLINE static inline __attribute__((always_inline))

/* What a patch is compared with the points of a block by, see runtime/search/tables.py. */
struct Aim {
    Py_ssize_t narrow, last;  /* pairs of coordinates in each stage but the last; in the last */
    int stages;
    const int32_t *levels;  /* of the patch, 16 bits each, a pair in each number */
    float times, limits[STAGES];
    float square, reach;  /* how far an entry with the width 1 may be: it falls */
};

/* Numbers of the points that look nearest, the nearest first, by sums of the kind that bounds. */
struct Shortlist {
    int length, kept;
    float farthest;  /* what is farther is not wanted */
    float sums[MAX_GROUPS];
    int64_t numbers[MAX_GROUPS];
};

/* The loops for the baseline instruction set, and on x86 also for AVX2. */
#define NAMED(name) name##_plain
INLINE uint32_t lanes_plain(Mask mask)
{
    uint32_t lanes = 0;
    for (int lane = 0; lane < WIDTH; lane++)
        lanes |= (uint32_t)(mask[lane] & 1) << lane;
    return lanes;
}

/* Multiply the levels of a patch with those of BLOCK points, and add the products; no sum overflows, see `ask`. */
static void multiply_plain(const int8_t *points, const int32_t *levels, Py_ssize_t pairs, int32_t *products)
{
    for (Py_ssize_t pair = 0; pair < pairs; pair++, points += 2 * BLOCK) {
        int16_t own[2];
        memcpy(own, levels + pair, sizeof own);
        for (int row = 0; row < BLOCK; row++)
            products[row] += own[0] * points[2 * row] + own[1] * points[2 * row + 1];
    }
}
#include "loops.h"
#undef NAMED

static float (*square)(const float *, const float *, Py_ssize_t, float) = square_plain;
static uint32_t (*bound)(const float *, Py_ssize_t, uint32_t, const struct Aim *, uint32_t *) = bound_plain;
static uint32_t (*bound_narrow)(const float *, const struct Aim *) = bound_narrow_plain;
static void (*near_groups)(
    const float *, const float *, Py_ssize_t, Py_ssize_t, const struct Aim *, struct Shortlist *) = near_groups_plain;
static void (*near_entries)(const float *, int64_t, const struct Aim *, struct Shortlist *) = near_entries_plain;
static void (*sketch)(const float *, const float *, Py_ssize_t, Py_ssize_t, float *) = sketch_plain;
static void (*project)(const double *, const double *, Py_ssize_t, Py_ssize_t, double *) = project_plain;

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
#define NAMED(name) name##_avx2
INLINE uint32_t lanes_avx2(Mask mask)
{
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
}

INLINE __m256i wide(const int8_t *points)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)points));
}

INLINE void multiply_avx2(const int8_t *points, const int32_t *levels, Py_ssize_t pairs, int32_t *products)
{
    __m256i *sums = (__m256i *)products, first = _mm256_loadu_si256(sums), second = _mm256_loadu_si256(sums + 1);
    for (Py_ssize_t pair = 0; pair < pairs; pair++, points += 2 * BLOCK) {
        __m256i own = _mm256_set1_epi32(levels[pair]);
        first = _mm256_add_epi32(first, _mm256_madd_epi16(wide(points), own));
        second = _mm256_add_epi32(second, _mm256_madd_epi16(wide(points + BLOCK), own));
    }
    _mm256_storeu_si256(sums, first);
    _mm256_storeu_si256(sums + 1, second);
}
#include "loops.h"
#undef NAMED
#pragma GCC pop_options

static int choose_avx2(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        square = square_avx2;
        bound = bound_avx2;
        bound_narrow = bound_narrow_avx2;
        near_groups = near_groups_avx2;
        near_entries = near_entries_avx2;
        sketch = sketch_avx2;
        project = project_avx2;
        return 1;
    }
    return 0;
}
#else
static int choose_avx2(void)
{
    return 0;
}
#endif

static int choose_plain(void)
{
    square = square_plain;
    bound = bound_plain;
    bound_narrow = bound_narrow_plain;
    near_groups = near_groups_plain;
    near_entries = near_entries_plain;
    sketch = sketch_plain;
    project = project_plain;
    return 1;
}

/* Take the best loops that this processor has, of "plain" and "avx2"; return whether it has those named. */
static int choose_loops(const char *name)
{
    if (!name[0])
        return choose_avx2() || choose_plain();
    return (!strcmp(name, "avx2") && choose_avx2()) || (!strcmp(name, "plain") && choose_plain());
}

/* Prefetch a row, which may be anywhere in a large bank. */
INLINE void fetch(const float *row, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += CACHE_LINE)
        __builtin_prefetch(row + i);
}

/* Upper bound of the squared Euclidean distance of every entry whose divided distance rounds to this one. */
INLINE float enough_for(float distance, float divisor)
{
    float reach = (distance + 2e-45f) * divisor;  /* a tiny quotient is off by more than its last digit */
    return reach * reach * 1.000001f + 1e-37f;
}

/* ---- the state of a search ---- */

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

static void offer(struct Search *in, Py_ssize_t patch, int64_t entry)
{
    float distance = apart(in, patch, entry, in->distance[patch]);
    if (distance < in->distance[patch]) {
        in->distance[patch] = distance;
        in->index[patch] = entry;
    }
}

/* ---- entries of recent frames ---- */

/* Return an entry that a patch knows: its own first, the newest first, then the newest ones of the places around it. */
INLINE int64_t known_entry(const struct Search *in, Py_ssize_t patch, Py_ssize_t number)
{
    if (number < in->length)
        return in->history[patch * in->length + number];
    return in->history[in->around[patch * in->neighbours + number - in->length] * in->length];
}

static int is_among(const int64_t *some, Py_ssize_t count, int64_t entry)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (some[i] == entry)
            return 1;
    return 0;
}

/* Walk along the table of neighbours, from the nearest entry so far to the nearest of those beside it, and on from there
 * until none is nearer. */
static void walk_on(struct Search *in, Py_ssize_t patch)
{
    for (int64_t from = -1; from != in->index[patch] && !(in->distance[patch] < in->enough);) {
        from = in->index[patch];
        const int32_t *beside = in->beside + from * in->each;
        for (Py_ssize_t i = 0; i < in->each; i++)
            fetch_entry(in, beside[i]);
        for (Py_ssize_t i = 0; i < in->each && !(in->distance[patch] < in->enough); i++)
            if (beside[i] != from)
                offer(in, patch, beside[i]);
    }
}

/* Look at what a patch knows, at no entry twice: neighbouring places, and frames in a row, often know the same. */
static void look_at_list(struct Search *in, Py_ssize_t patch)
{
    int64_t seen[LIST];
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 1; i < in->length; i++)
        fetch_entry(in, known_entry(in, patch, i));
    for (Py_ssize_t i = 0; i < in->length + in->neighbours && !(in->distance[patch] < in->enough); i++) {
        int64_t entry = known_entry(in, patch, i);
        if (is_among(seen, count, entry))
            continue;
        if (count < LIST)
            seen[count++] = entry;
        if (i > 0)  /* the first one is what its distance is of */
            offer(in, patch, entry);
    }
    walk_on(in, patch);
}

/* ---- the whole bank ---- */

struct Asked {
    Py_ssize_t patch, compared;
    struct Aim aim;
};

/* Set how far the farthest entry may be, in Euclidean distance, that is near enough for a patch. */
static double set_reach(const struct Search *in, struct Asked *asked)
{
    double reach = radius_of(in, asked->patch) * in->widest;
    asked->aim.square = (float)(reach * reach);
    asked->aim.reach = (float)reach;
    return reach;
}

/* Round coordinates to levels of 16 bits, so that no sum of products with a point's overflows; return what a level is. */
static double round_to_levels(const struct Search *in, const double *coordinates, int16_t *levels)
{
    double largest = 0, norm = 0;
    for (Py_ssize_t i = 0; i < in->coordinates; i++) {
        largest = fabs(coordinates[i]) > largest ? fabs(coordinates[i]) : largest;
        norm += coordinates[i] * coordinates[i];
    }
    double level = fmax(largest / MAX_LEVEL, sqrt(norm) * in->levels / MAX_SUM);
    for (Py_ssize_t i = 0; i < in->coordinates; i++)
        levels[i] = level > 0 ? (int16_t)lrint(coordinates[i] / level) : 0;
    for (Py_ssize_t i = in->coordinates; i < 2 * in->pairs; i++)
        levels[i] = 0;
    return level;
}

/* Prepare a patch as runtime/search/tables.py prepares entries; the limit includes the largest rounding error. */
static void ask(const struct Search *in, struct Asked *asked, Py_ssize_t patch, int32_t *levels, double *room)
{
    const float *features = in->features + patch * in->size;
    Py_ssize_t axes = in->coordinates - 1, blocks = (axes + WIDTH - 1) / WIDTH;
    double *centred = room + blocks * WIDTH + 1, norm = 0, inside = 0, lost = 0, lengths[STAGES] = {0};
    for (Py_ssize_t i = 0; i < in->size; i++) {
        centred[i] = features[i] - in->centre[i];
        norm += centred[i] * centred[i];
    }
    project(centred, in->axes, in->size, blocks, room);
    for (Py_ssize_t axis = 0; axis < axes; axis++)
        inside += room[axis] * room[axis];
    room[axes] = sqrt(norm > inside ? norm - inside : 0);
    asked->patch = patch;
    asked->compared = 0;
    asked->aim = (struct Aim){.narrow = in->narrow, .last = in->last, .stages = in->stages, .levels = levels};
    double reach = set_reach(in, asked), most = sqrt(norm) + in->largest;
    if (!(most < MAX_LENGTH && reach < MAX_LENGTH)) {  /* squares overflow: all is possible */
        memset(levels, 0, (size_t)in->pairs * sizeof *levels);
        for (int stage = 0; stage < STAGES; stage++)
            asked->aim.limits[stage] = INFINITY;
        return;
    }
    for (Py_ssize_t i = 0; i < in->coordinates; i++) {
        for (int stage = (int)(i / NARROW); stage < in->stages - 1; stage++)
            lengths[stage] += room[i] * room[i];
        room[i] *= in->steps[i];
    }
    int16_t *own = (int16_t *)levels;
    double level = round_to_levels(in, room, own);
    for (Py_ssize_t i = 0; i < in->coordinates; i++)
        lost += (room[i] - level * own[i]) * (room[i] - level * own[i]);
    double roundings = 4.0 * (double)(in->size + 16);  /* of the largest squares: a radius is at most twice a length */
    double error = roundings * (ldexp(reach * reach + norm + most * most, -24) + TINY_SQUARE);
    asked->aim.times = (float)(2 * level);
    error += 2.000001 * sqrt(lost) * in->levels;
    lengths[in->stages - 1] = norm;
    for (int stage = 0; stage < in->stages; stage++)
        asked->aim.limits[stage] = (float)(error - lengths[stage]);
}

/* Return where a thread has room for one patch. */
INLINE double *axes_of(const struct Search *in, int thread)
{
    return in->room.axes + thread * (in->coordinates + WIDTH + in->size + 1);
}

/* ---- what the tables show to be near ---- */

/* Aim at what is near to a patch, in float32: this only chooses what is compared. Return whether that makes sense. */
static int sketch_patch(const struct Search *in, struct Aim *aim, Py_ssize_t patch, int32_t *levels, float *room)
{
    const float *features = in->features + patch * in->size;
    Py_ssize_t axes = in->coordinates - 1, blocks = (axes + WIDTH - 1) / WIDTH;
    float *centred = room + blocks * WIDTH + 1, norm = 0, inside = 0, largest = 0, length = 0;
    for (Py_ssize_t i = 0; i < in->size; i++)
        centred[i] = features[i] - in->sketched_centre[i];
    centred[in->size] = 0;
    sketch(centred, in->sketched_axes, (in->size + 1) / 2 * 2, blocks, room);
    norm = square(features, in->sketched_centre, in->size, INFINITY);
    for (Py_ssize_t axis = 0; axis < axes; axis++)
        inside += room[axis] * room[axis];
    room[axes] = sqrtf(norm > inside ? norm - inside : 0);
    for (Py_ssize_t i = 0; i < in->coordinates; i++) {
        room[i] *= (float)in->steps[i];
        largest = fabsf(room[i]) > largest ? fabsf(room[i]) : largest;
        length += room[i] * room[i];
    }
    float level = fmaxf(largest / (float)MAX_LEVEL, sqrtf(length) * (float)(in->levels / MAX_SUM));
    if (!(level > 0 && norm < (float)MAX_LENGTH))
        return 0;
    int16_t *own = (int16_t *)levels;
    for (Py_ssize_t i = 0; i < in->coordinates; i++)
        own[i] = (int16_t)lrintf(room[i] / level);
    for (Py_ssize_t i = in->coordinates; i < 2 * in->pairs; i++)
        own[i] = 0;
    float reach = fmaxf(0, fminf(in->distance[patch], in->enough)) * (float)in->widest;
    *aim = (struct Aim){
        .narrow = in->narrow, .last = in->last, .stages = in->stages, .levels = levels, .times = 2 * level,
        .square = reach * reach,
    };
    return 1;
}

/* Compare a patch with the entries that the tables show to be near: of the groups whose points are the nearest, those
 * whose own points are. */
static void look_near(struct Search *in, Py_ssize_t patch, int thread)
{
    struct Aim aim;
    Py_ssize_t some = in->groups / NEAR_SHARE;
    some = some < MIN_GROUPS ? MIN_GROUPS : some < MAX_GROUPS ? some : MAX_GROUPS;
    struct Shortlist groups = {.length = (int)some, .farthest = INFINITY};
    struct Shortlist entries = {.length = NEAR_ENTRIES, .farthest = INFINITY};
    int32_t *levels = in->room.levels + (TOGETHER + thread) * in->pairs;
    if (!sketch_patch(in, &aim, patch, levels, (float *)axes_of(in, thread)))
        return;
    near_groups(in->middles, in->squares, in->groups, in->narrow_block, &aim, &groups);
    for (int i = 0; i < groups.kept; i++)
        fetch(in->entries + groups.numbers[i] * in->block, in->block);
    for (int i = 0; i < groups.kept; i++)
        near_entries(in->entries + groups.numbers[i] * in->block, groups.numbers[i] * BLOCK, &aim, &entries);
    for (int i = 0; i < entries.kept; i++)
        if (in->order[entries.numbers[i]] >= 0)
            fetch_entry(in, in->order[entries.numbers[i]]);
    for (int i = 0; i < entries.kept; i++)
        if (in->order[entries.numbers[i]] >= 0)
            offer(in, patch, in->order[entries.numbers[i]]);
}

/* ---- the whole bank ---- */


/* Compare a patch with the entries of some groups, a bit each, of a block of the middles. */
static void compare_groups(struct Search *in, Py_ssize_t start, uint32_t groups, struct Asked *asked)
{
    uint32_t possible[BLOCK];
    groups = bound(in->entries + start * in->block, in->block, groups, &asked->aim, possible);
    for (uint32_t rest = groups; rest; rest &= rest - 1) {
        const int64_t *order = in->order + (start + __builtin_ctz(rest)) * BLOCK;
        for (uint32_t left = possible[__builtin_ctz(rest)]; left; left &= left - 1)
            if (order[__builtin_ctz(left)] >= 0)
                fetch_entry(in, order[__builtin_ctz(left)]);
    }
    for (; groups; groups &= groups - 1) {
        const int64_t *order = in->order + (start + __builtin_ctz(groups)) * BLOCK;
        for (uint32_t left = possible[__builtin_ctz(groups)]; left; left &= left - 1) {
            int64_t entry = order[__builtin_ctz(left)];
            if (entry < 0)
                continue;
            asked->compared++;
            float best = radius_of(in, asked->patch), distance = apart(in, asked->patch, entry, best);
            if (distance < best || (distance == best && entry < in->index[asked->patch])) {
                in->distance[asked->patch] = distance;
                in->index[asked->patch] = entry;
                set_reach(in, asked);
            }
        }
    }
}

/* Return the groups of a block of middles that may have a nearer entry, and prefetch what is read of them first. */
static uint32_t possible_groups(const struct Search *in, Py_ssize_t start, const struct Asked *asked)
{
    if (start >= in->groups || (in->radius < INFINITY && in->distance[asked->patch] < in->radius))
        return 0;  /* one nearer entry is enough */
    uint32_t possible = bound_narrow(in->middles + start / BLOCK * in->narrow_block, &asked->aim);
    if (in->groups - start < BLOCK)
        possible &= ((uint32_t)1 << (in->groups - start)) - 1;
    for (uint32_t left = possible; left; left &= left - 1)
        fetch(in->entries + (start + __builtin_ctz(left)) * in->block, in->narrow_block);
    return possible;
}

static void compare_with_bank(struct Search *in, struct Asked *asked, Py_ssize_t count)
{
    uint32_t next[TOGETHER];
    for (Py_ssize_t i = 0; i < count; i++)
        next[i] = possible_groups(in, 0, &asked[i]);
    for (Py_ssize_t start = 0; start < in->groups; start += BLOCK)
        for (Py_ssize_t i = 0; i < count; i++) {
            uint32_t possible = next[i];
            next[i] = possible_groups(in, start + BLOCK, &asked[i]);
            if (possible)
                compare_groups(in, start, possible, &asked[i]);
        }
}

/* ---- best first ---- */

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

static void refine_some(void *context, ptrdiff_t item, int thread)
{
    const struct Some *some = context;
    for (Py_ssize_t i = item * some->each; i < end_of(some, item); i++)
        if (some->in->tier[some->patches[i]] < NEAR)
            refine(some->in, some->patches[i], thread);
}

static void compare_some(void *context, ptrdiff_t item, int thread)
{
    const struct Some *some = context;
    Py_ssize_t start = item * some->each, end = end_of(some, item);
    for (Py_ssize_t i = start; i < end; i++) {
        int32_t *levels = some->in->room.levels + i * some->in->pairs;
        ask(some->in, &some->asked[i], some->patches[i], levels, axes_of(some->in, thread));
    }
    compare_with_bank(some->in, some->asked + start, end - start);
}

/* Compare patches, at most TOGETHER, with the whole bank. */
static void compare(struct Search *in, const int64_t *patches, Py_ssize_t count)
{
    struct Asked asked[TOGETHER];
    if (!count)
        return;
    int threads = count * in->groups < LITTLE_BANK ? 1 : in->threads;
    Py_ssize_t each = (count + threads - 1) / threads;  /* what a thread has at once shares what it reads of the tables */
    struct Some some = {.in = in, .patches = patches, .asked = asked, .count = count, .each = each};
    share_some(&some, threads, compare_some);
    for (Py_ssize_t i = 0; i < count; i++)
        in->compared += asked[i].compared;
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

/* Refine the top patches until the k largest distances, and all from `at_least` on, are exact; return the smallest of the
 * k, 0 if there are fewer patches. */
static float settle(struct Search *in, float at_least, float expected)
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

/* Find an entry nearer than `at_least` for every patch that has one; other distances remain bounds. */
static void tell_apart(struct Search *in, float at_least)
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

/* ---- a frame ---- */

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

static void begin(struct Search *in)
{
    struct Some some = {.in = in, .count = in->count, .each = ITEM};
    share_some(&some, in->length && in->count < LITTLE_KNOWN ? 1 : in->threads, begin_some);
}

/* ---- Python interface ---- */

static int refuse(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return 0;
}

static Py_ssize_t floats(const Py_buffer *buffer)
{
    return buffer->len / (Py_ssize_t)sizeof(float);
}

static Py_ssize_t numbers(const Py_buffer *buffer)
{
    return buffer->len / (Py_ssize_t)sizeof(int64_t);
}

/* Return the number of rows of a buffer, -1 if they are not complete. */
static Py_ssize_t rows_of(const Py_buffer *buffer, Py_ssize_t size)
{
    return size > 0 && floats(buffer) % size == 0 ? floats(buffer) / size : -1;
}

static int all_hold(const Py_buffer *buffers, const int *bytes, int count)
{
    return buffers_hold(buffers, bytes, count) || refuse("arrays of other types, or that are not aligned");
}

/* Return whether all are from 0 to below `end`; without comparisons, as SSE2 has none for 64 bits. */
static int all_below(int64_t end, const int64_t *some, Py_ssize_t count)
{
    uint64_t signs = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        signs |= (uint64_t)some[i] | ((uint64_t)(end - 1) - (uint64_t)some[i]);
    return signs >> 63 ? refuse("a number out of range") : 1;
}

static void release(Py_buffer *buffers, int count)
{
    for (int i = 0; i < count; i++)
        PyBuffer_Release(&buffers[i]);
}

PyDoc_STRVAR(distances_doc,
    "distances(size, features, entries, rows, divisors, out): row by row, of features and entries.");

static PyObject *distances(PyObject *self, PyObject *args)
{
    (void)self;
    /* features float32 [n or 1, size], entries float32 [k, size], rows of these int64 [n] or empty: 0 to n - 1,
     * divisors float32 [k] or empty: all 1, out float32 [n] */
    static const int bytes_of[5] = {4, 4, 8, 4, 4};
    Py_buffer in[5];
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "ny*y*y*y*w*", &size, &in[0], &in[1], &in[2], &in[3], &in[4]))
        return NULL;
    const float *features = in[0].buf, *entries = in[1].buf, *divisors = in[3].len ? in[3].buf : NULL;
    const int64_t *rows = in[2].buf;
    float *out = in[4].buf;
    Py_ssize_t count = floats(&in[4]), asked = numbers(&in[2]);
    Py_ssize_t patches = rows_of(&in[0], size), stored = rows_of(&in[1], size);
    int each = patches == count;
    int fits = (each || patches == 1) && stored >= 0 && (asked ? asked == count : stored == count || !count)
        && (!divisors || floats(&in[3]) == stored);
    int good = all_hold(in, bytes_of, 5) && (fits ? all_below(stored, rows, asked) : refuse("arrays of other shapes"));
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) {
            if (asked && i + AHEAD < count)
                fetch(entries + rows[i + AHEAD] * size, size);
            const Py_ssize_t row = asked ? rows[i] : i;
            const float *feature = features + (each ? i * size : 0);
            out[i] = sqrtf(square(feature, entries + row * size, size, INFINITY)) / (divisors ? divisors[row] : 1);
        }
        Py_END_ALLOW_THREADS
    }
    release(in, 5);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

/* Put an entry in front of what a patch remembers: if it is known, it moves there, else the oldest goes. */
INLINE void remember(int64_t *own, Py_ssize_t length, int64_t entry)
{
    Py_ssize_t place = 0;
    while (place < length - 1 && own[place] != entry)
        place++;
    memmove(own + 1, own, (size_t)place * sizeof(int64_t));
    own[0] = entry;
}

PyDoc_STRVAR(learn_doc, "learn(history, rows, index): put entries in front of what patches remember.");

static PyObject *learn(PyObject *self, PyObject *args)
{
    (void)self;
    Py_ssize_t length;
    static const int bytes_of[3] = {8, 8, 8};
    Py_buffer in[3];  /* history int64 [n, length], rows int64 [r], index int64 [r] */
    if (!PyArg_ParseTuple(args, "nw*y*y*", &length, &in[0], &in[1], &in[2]))
        return NULL;
    int64_t *history = in[0].buf;
    const int64_t *rows = in[1].buf, *index = in[2].buf;
    Py_ssize_t count = numbers(&in[1]);
    int fits = length > 0 && in[2].len == in[1].len;
    int good = all_hold(in, bytes_of, 3)
        && (fits ? all_below(numbers(&in[0]) / length, rows, count) : refuse("arrays of other shapes"));
    for (Py_ssize_t i = 0; good && i < count; i++)
        remember(history + rows[i] * length, length, index[i]);
    release(in, 3);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(learn_found_doc,
    "learn_found(history, index, tier, active): put what was found for patches in front of what they remember, where more\n"
    "than one entry was looked at; the share of patches that were searched by the tables, the graph or the bank.");

static PyObject *learn_found(PyObject *self, PyObject *args)
{
    (void)self;
    static const int bytes_of[4] = {8, 8, 1, 1};
    Py_buffer in[4];  /* history int64 [n, length], index int64 [n], tier uint8 [n], active bool [n] or empty: all */
    if (!PyArg_ParseTuple(args, "w*y*y*y*", &in[0], &in[1], &in[2], &in[3]))
        return NULL;
    const Py_ssize_t count = in[2].len, length = count ? numbers(&in[0]) / count : 0;
    const uint8_t *tier = in[2].buf, *active = in[3].len ? in[3].buf : NULL;
    int good = all_hold(in, bytes_of, 4)
        && ((numbers(&in[1]) == count && length > 0 && numbers(&in[0]) == count * length
             && (!active || in[3].len == count)) || refuse("arrays of other shapes"));
    Py_ssize_t judged = 0, searched = 0;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        if (active && !active[i])
            continue;
        judged++;
        searched += tier[i] >= NEAR;
        if (tier[i] > KNOWN)
            remember((int64_t *)in[0].buf + i * length, length, ((const int64_t *)in[1].buf)[i]);
    }
    release(in, 4);
    return good ? PyFloat_FromDouble(judged ? (double)searched / (double)judged : 0) : NULL;
}

/* ---- the tables of a bank, created once ---- */

enum { BANK, BESIDE, DIVISORS, CENTRE, AXES, STEPS, MIDDLES, ENTRIES, ORDER, TABLES };

static const int bytes_of_tables[TABLES] = {4, 4, 4, 8, 8, 8, 4, 4, 8};

struct Tables {
    PyObject_HEAD
    struct Search search;  /* the constant part; the rest is null */
    Py_buffer held[TABLES];
    float *sketched;
    Py_ssize_t compared;  /* number of full distances so far */
};

static int tables_fit(const struct Search *search, const Py_buffer *held)
{
    const Py_ssize_t across = (search->groups + BLOCK - 1) / BLOCK;
    const Py_ssize_t axes = (search->coordinates - 1 + WIDTH - 1) / WIDTH * WIDTH;
    if (!all_hold(held, bytes_of_tables, TABLES))
        return 0;
    if (!(search->stored > 0 && search->coordinates > 0 && floats(&held[DIVISORS]) == search->stored
          && held[BESIDE].len == search->stored * search->each * (Py_ssize_t)sizeof(int32_t)
          && numbers(&held[ORDER]) == search->groups * BLOCK && floats(&held[ENTRIES]) == search->groups * search->block
          && floats(&held[MIDDLES]) == across * search->narrow_block
          && held[AXES].len == search->size * axes * (Py_ssize_t)sizeof(double)))
        return refuse("arrays of other shapes");
    for (Py_ssize_t i = 0; i < search->stored; i++)
        if (!(search->divisors[i] > 0 && search->divisors[i] < INFINITY))
            return refuse("a divisor that is not above 0");
    for (Py_ssize_t i = 0; i < search->groups * BLOCK; i++)
        if (search->order[i] < -1 || search->order[i] >= search->stored)
            return refuse("a number out of range");
    for (Py_ssize_t i = 0; i < search->stored * search->each; i++)
        if (search->beside[i] < 0 || search->beside[i] >= search->stored)
            return refuse("a number out of range");
    return 1;
}

static void tables_free(PyObject *self)
{
    release(((struct Tables *)self)->held, TABLES);
    PyMem_Free(((struct Tables *)self)->sketched);
    Py_TYPE(self)->tp_free(self);
}

/* Round centre and axes to float32, with a channel more, of nothing, if their number is odd; and have the lengths of the
 * points of groups, |c|^2, from |c|^2 - reach^2, width^2 and 2 reach width. */
static int make_sketch(struct Tables *self)
{
    struct Search *search = &self->search;
    const Py_ssize_t size = search->size, even = (size + 1) / 2 * 2;
    const Py_ssize_t blocks = (search->coordinates - 1 + WIDTH - 1) / WIDTH, across = (search->groups + BLOCK - 1) / BLOCK;
    self->sketched = PyMem_Calloc((size_t)(even + blocks * even * WIDTH + across * BLOCK), sizeof(float));
    if (!self->sketched)
        return PyErr_NoMemory() != NULL;
    float *axes = self->sketched + even, *squares = axes + blocks * even * WIDTH;
    for (Py_ssize_t i = 0; i < size; i++)
        self->sketched[i] = (float)search->centre[i];
    for (Py_ssize_t block = 0; block < blocks; block++)
        for (Py_ssize_t i = 0; i < size * WIDTH; i++)
            axes[block * even * WIDTH + i] = (float)search->axes[block * size * WIDTH + i];
    for (Py_ssize_t i = 0; i < across * BLOCK; i++) {
        const float *columns = search->middles + i / BLOCK * search->narrow_block + i % BLOCK;
        float reach = columns[BLOCK] > 0 ? columns[2 * BLOCK] * columns[2 * BLOCK] / (4 * columns[BLOCK]) : 0;
        squares[i] = columns[0] + reach;
    }
    search->sketched_centre = self->sketched;
    search->sketched_axes = axes;
    search->squares = squares;
    return 1;
}

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    /* bank float32 [k, D], beside int32 [k, b] or empty, divisors float32 [k], centre float64 [D], axes float64
     * [blocks, D, WIDTH], steps float64 [c], middles and entries of blocks of float32, order int64 [groups, BLOCK] */
    Py_buffer in[TABLES];
    double largest, levels, widest;
    int threads;
    if (named && PyDict_GET_SIZE(named) > 0) {
        PyErr_SetString(PyExc_TypeError, "Tables takes no arguments by name");
        return NULL;
    }
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*y*y*y*dddi", &in[BANK], &in[BESIDE], &in[DIVISORS], &in[CENTRE], &in[AXES], &in[STEPS],
            &in[MIDDLES], &in[ENTRIES], &in[ORDER], &largest, &levels, &widest, &threads))
        return NULL;
    struct Tables *self = (struct Tables *)type->tp_alloc(type, 0);
    if (!self) {
        release(in, TABLES);
        return NULL;
    }
    memcpy(self->held, in, sizeof in);
    const Py_ssize_t size = in[CENTRE].len / (Py_ssize_t)sizeof(double), stored = rows_of(&in[BANK], size);
    const Py_ssize_t coordinates = in[STEPS].len / (Py_ssize_t)sizeof(double), pairs = (coordinates + 1) / 2;
    const Py_ssize_t narrow = pairs < NARROW / 2 ? pairs : NARROW / 2, most = (pairs + NARROW / 2 - 1) / (NARROW / 2);
    const int stages = most < STAGES ? (int)most : STAGES;
    self->search = (struct Search){
        .size = size, .stored = stored, .bank = in[BANK].buf,
        .divisors = in[DIVISORS].buf, .widest = widest,
        .beside = in[BESIDE].buf, .each = stored > 0 ? in[BESIDE].len / (Py_ssize_t)sizeof(int32_t) / stored : 0,
        .middles = in[MIDDLES].buf, .entries = in[ENTRIES].buf, .order = in[ORDER].buf,
        .centre = in[CENTRE].buf, .axes = in[AXES].buf, .steps = in[STEPS].buf,
        .groups = numbers(&in[ORDER]) / BLOCK, .coordinates = coordinates, .pairs = pairs, .narrow = narrow,
        .stages = stages, .last = pairs - (stages - 1) * narrow,
        .block = BLOCK * (NARROW_COLUMNS + stages - 1) + BLOCK / 2 * pairs,
        .narrow_block = BLOCK * NARROW_COLUMNS + BLOCK / 2 * narrow,
        .largest = largest, .levels = levels, .radius = INFINITY,
        .threads = threads < 1 ? 1 : threads < MAX_THREADS ? threads : MAX_THREADS,
    };
    if (!tables_fit(&self->search, in) || !make_sketch(self)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* The buffers of one frame: features float32 [n, D]; in and out: distance float32 [n], index int64 [n], tier uint8 [n];
 * history int64 [n, length] or empty, around int64 [n, a]; and for `search` active bool [n] or empty. */
enum { FEATURES, DISTANCE, INDEX, TIER, HISTORY, AROUND, FRAME, ACTIVE = FRAME };

static const int bytes_of_frame[FRAME] = {4, 4, 8, 1, 8, 8};

/* Set up a search of a frame over the tables. */
static struct Search search_of(const struct Tables *self, const Py_buffer *in)
{
    const Py_ssize_t count = floats(&in[DISTANCE]);
    struct Search search = self->search;
    search.count = count;
    search.features = in[FEATURES].buf;
    search.distance = in[DISTANCE].buf;
    search.index = in[INDEX].buf;
    search.tier = in[TIER].buf;
    search.history = in[HISTORY].len ? in[HISTORY].buf : NULL;
    search.around = in[AROUND].buf;
    search.length = count ? numbers(&in[HISTORY]) / count : 0;
    search.neighbours = count ? numbers(&in[AROUND]) / count : 0;
    return search;
}

static int frame_fits(const struct Search *search, const Py_buffer *in)
{
    const Py_ssize_t count = search->count;
    if (!all_hold(in, bytes_of_frame, FRAME))
        return 0;
    if (!(rows_of(&in[FEATURES], search->size) == count && numbers(&in[INDEX]) == count && in[TIER].len == count
          && numbers(&in[HISTORY]) == count * search->length && numbers(&in[AROUND]) == count * search->neighbours
          && (search->history || !search->neighbours)))
        return refuse("arrays of other shapes");
    return all_below(search->stored, search->history, count * search->length)
        && all_below(count, search->around, count * search->neighbours);
}

static int make_room(struct Search *search)
{
    const Py_ssize_t threads = search->threads;
    struct Room *room = &search->room;
    room->levels = PyMem_Malloc((size_t)((TOGETHER + threads) * search->pairs) * sizeof(int32_t));
    room->axes = PyMem_Malloc((size_t)(threads * (search->coordinates + WIDTH + search->size + 1)) * sizeof(double));
    room->heap = PyMem_Malloc((size_t)search->count * sizeof(int64_t));
    if (!room->levels || !room->axes || !room->heap)
        PyErr_NoMemory();
    return room->levels && room->axes && room->heap;
}

static void free_room(struct Room *room)
{
    PyMem_Free(room->levels);
    PyMem_Free(room->axes);
    PyMem_Free(room->heap);
}

PyDoc_STRVAR(search_doc,
    "search(features, active, (distance, index, tier), (history, around, expected), k, listed): bound all distances, and\n"
    "refine them, best first, until what decides is exact; the k-th largest. Not `listed`: only the first known entry of\n"
    "each patch is compared.");

static PyObject *tables_search(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME + 1];
    Py_ssize_t k;
    float expected, decides = 0;
    int listed;
    if (!PyArg_ParseTuple(
            args, "y*y*(w*w*w*)(y*y*f)np", &in[FEATURES], &in[ACTIVE], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY],
            &in[AROUND], &expected, &k, &listed))
        return NULL;
    struct Search search = search_of(self, in);
    search.k = k;
    search.listed = listed;
    search.active = in[ACTIVE].len ? in[ACTIVE].buf : NULL;
    int good = (k > 0 || refuse("counts that mean nothing"))
        && (!search.active || in[ACTIVE].len == search.count || refuse("arrays of other shapes")) && frame_fits(&search, in)
        && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        search.enough = SAFELY * expected;
        begin(&search);
        decides = settle(&search, INFINITY, expected);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME + 1);
    return good ? PyFloat_FromDouble(decides) : NULL;
}

PyDoc_STRVAR(settle_doc,
    "settle(features, (distance, index, tier), (history, around, expected), k, at_least): refine, best first, until what\n"
    "decides is exact.");

static PyObject *tables_settle(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME];
    Py_ssize_t k;
    float expected, at_least;
    if (!PyArg_ParseTuple(
            args, "y*(w*w*w*)(y*y*f)nf", &in[FEATURES], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY], &in[AROUND],
            &expected, &k, &at_least))
        return NULL;
    struct Search search = search_of(self, in);
    search.k = k;
    int good = (k > 0 || refuse("counts that mean nothing")) && frame_fits(&search, in)
        && all_below(search.stored, search.index, search.count) && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        settle(&search, at_least, expected);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(tell_apart_doc,
    "tell_apart(features, (distance, index, tier), (history, around, expected), at_least): find which patches are nearer\n"
    "than a distance.");

static PyObject *tables_tell_apart(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME];
    float expected, at_least;
    if (!PyArg_ParseTuple(
            args, "y*(w*w*w*)(y*y*f)f", &in[FEATURES], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY],
            &in[AROUND], &expected, &at_least))
        return NULL;
    struct Search search = search_of(self, in);
    int good = frame_fits(&search, in) && all_below(search.stored, search.index, search.count) && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        tell_apart(&search, at_least);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef tables_methods[] = {
    {"search", tables_search, METH_VARARGS, search_doc},
    {"settle", tables_settle, METH_VARARGS, settle_doc},
    {"tell_apart", tables_tell_apart, METH_VARARGS, tell_apart_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef tables_members[] = {
    {"compared", T_PYSSIZET, offsetof(struct Tables, compared), READONLY, "entries that were compared in full so far"},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject tables_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "runtime.search._kernels.Tables",
    .tp_doc = "Tables(bank, beside, divisors, ...): of runtime/search/tables.py, the largest divisor, and how many threads search.",
    .tp_basicsize = sizeof(struct Tables),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = tables_new,
    .tp_dealloc = tables_free,
    .tp_methods = tables_methods,
    .tp_members = tables_members,
};

PyDoc_STRVAR(use_doc,
    "use(name) -> bool: take the loops `plain` or `avx2`, or the best with an empty name; False where this processor\n"
    "lacks them. All find the same: for tests.");

static PyObject *use(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(args, "s", &name))
        return NULL;
    return PyBool_FromLong(choose_loops(name));
}

static PyMethodDef methods[] = {
    {"use", use, METH_VARARGS, use_doc},
    {"distances", distances, METH_VARARGS, distances_doc},
    {"learn", learn, METH_VARARGS, learn_doc},
    {"learn_found", learn_found, METH_VARARGS, learn_found_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernels", "The inner loops of the search.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernels(void)
{
    choose_loops("");
    PyObject *made = PyModule_Create(&module);
    if (made && (PyModule_AddIntConstant(made, "BLOCK", BLOCK) < 0
                 || PyModule_AddIntConstant(made, "WIDTH", WIDTH) < 0
                 || PyModule_AddIntConstant(made, "NARROW", NARROW) < 0
                 || PyModule_AddIntConstant(made, "STAGES", STAGES) < 0
                 || PyModule_AddType(made, &tables_type) < 0)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
