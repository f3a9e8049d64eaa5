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

#define WIDTH 8
#define BLOCK (2 * WIDTH)  /* points whose bounds are computed together */
#define NARROW 16          /* coordinates that middles have, and that most entries are excluded by */
#define NARROW_COLUMNS 3   /* of float32 in a block: |c|^2 - reach^2 of these, width^2, 2 reach width */
#define COLUMNS 4          /* and for entries, behind the levels of the first, |c|^2 - reach^2 of all coordinates */
#define STEP (8 * WIDTH)   /* elements after which a sum is checked, to stop early if it is too large */
#define BEAM 4             /* beam width of a short walk: entries to continue from */
#define WIDE_BEAM 32       /* beam width of a long walk */
#define LIST 32            /* entries that a patch knows, of which none is compared twice */
#define SEEN 1024          /* size of the set of visited entries: a walk ends when it is half full */
#define TOGETHER 32        /* patches compared with the bank at once, so that its tables are read once for all */
#define AHEAD 4            /* rows to prefetch ahead */
#define CACHE_LINE 16      /* elements */
#define MAX_LEVEL 32767.0
#define MAX_SUM 1073741824.0    /* of products of levels, less what rounding adds */
#define MAX_LENGTH 1e18         /* whose square is in float32, many times over */
#define TINY_SQUARE 0x1p-100    /* far above what underflow takes away */
#define SAFELY 0.9f        /* a bound below this share of the expected deciding distance is low enough */

typedef float Vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef double Doubles __attribute__((vector_size(WIDTH / 2 * sizeof(double))));

#define INLINE static inline __attribute__((always_inline))

/* What a patch is compared with the points of a block by, see runtime/search/tables.py. */
struct Aim {
    Py_ssize_t pairs, narrow;  /* of coordinates; of the first ones */
    const int32_t *levels;  /* of the patch, 16 bits each, a pair in each number */
    float times, limit, narrow_limit;
    float square, reach;  /* how far an entry with the width 1 may be: it falls */
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
static uint32_t (*bound)(const float *, const struct Aim *) = bound_plain;
static uint32_t (*bound_narrow)(const float *, const struct Aim *) = bound_narrow_plain;
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

static void choose_loops(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        square = square_avx2;
        bound = bound_avx2;
        bound_narrow = bound_narrow_avx2;
        project = project_avx2;
    }
}
#else
static void choose_loops(void) {}
#endif

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

enum Tier { KNOWN, LISTED, BESIDE, WALKED, GRAPH, EXACT };  /* as in runtime/frame.py */

struct Search {
    Py_ssize_t count, size, stored, k;
    const float *features, *bank, *divisors;
    float *distance;
    int64_t *index;
    uint8_t *tier;
    float expected;  /* the distance that decided in the last frame */
    float radius;    /* only entries nearer than this are searched for: infinite, or the threshold of `tell_apart` */
    /* Entries that were near in recent frames, see runtime/search/history.py; null without. */
    const int64_t *history, *around;
    Py_ssize_t length, neighbours;
    /* Table of neighbours, int32 [stored, each]; null without. */
    const int32_t *beside;
    Py_ssize_t each;
    /* Tables made by runtime/search/tables.py. */
    const float *middles, *entries;  /* in blocks */
    const int64_t *order;
    const double *centre, *axes, *steps;
    Py_ssize_t groups, coordinates, pairs, narrow, block, narrow_block;  /* blocks in float32 */
    double largest, levels, widest;  /* length of an entry, of a point in levels; divisor */
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

/* Look at what a patch knows, at no entry twice: neighbouring places, and frames in a row, often know the same. */
static void look_at_list(struct Search *in, Py_ssize_t patch)
{
    float enough = SAFELY * in->expected;
    int64_t seen[LIST];
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 1; i < in->length; i++)
        fetch_entry(in, known_entry(in, patch, i));
    for (Py_ssize_t i = 0; i < in->length + in->neighbours && !(in->distance[patch] < enough); i++) {
        int64_t entry = known_entry(in, patch, i);
        if (is_among(seen, count, entry))
            continue;
        if (count < LIST)
            seen[count++] = entry;
        if (i > 0)  /* the first one is what its distance is of */
            offer(in, patch, entry);
    }
}

/* ---- walks along the table of neighbours ---- */

struct Walk {
    float distance[WIDE_BEAM];
    int64_t entry[WIDE_BEAM];
    int gone_from[WIDE_BEAM];
    int beam, kept, compared;
    int32_t seen[SEEN];
};

/* Return whether an entry is new to the walk, and remember it. */
static int is_new(struct Walk *walk, int32_t entry)
{
    uint32_t place = (uint32_t)entry * 2654435761u % SEEN;
    for (; walk->seen[place] >= 0; place = (place + 1) % SEEN)
        if (walk->seen[place] == entry)
            return 0;
    walk->seen[place] = entry;
    return 1;
}

/* Insert an entry into the sorted list of the nearest. */
static void keep(struct Walk *walk, float distance, int64_t entry)
{
    int place = walk->kept < walk->beam ? walk->kept++ : walk->beam - 1;
    for (; place > 0 && walk->distance[place - 1] > distance; place--) {
        walk->distance[place] = walk->distance[place - 1];
        walk->entry[place] = walk->entry[place - 1];
        walk->gone_from[place] = walk->gone_from[place - 1];
    }
    walk->distance[place] = distance;
    walk->entry[place] = entry;
    walk->gone_from[place] = 0;
}

static void go_on_from(struct Walk *walk, const struct Search *in, Py_ssize_t patch, int64_t entry)
{
    const int32_t *next = in->beside + entry * in->each;
    for (Py_ssize_t i = 0; i < in->each;) {
        int32_t some[BLOCK];
        int count = 0;
        for (; i < in->each && count < BLOCK && walk->compared < SEEN / 2; i++)
            if (is_new(walk, next[i])) {
                walk->compared++;
                fetch_entry(in, next[i]);
                some[count++] = next[i];
            }
        for (int j = 0; j < count; j++) {
            float farthest = walk->kept < walk->beam ? INFINITY : walk->distance[walk->beam - 1];
            float distance = apart(in, patch, some[j], farthest);
            if (distance < farthest) {
                keep(walk, distance, some[j]);
                __builtin_prefetch(in->beside + some[j] * in->each);
            }
        }
        if (walk->compared >= SEEN / 2)
            return;
    }
}

/* Walk from the known entry along the table of neighbours, always on from the nearest ones. */
static void walk_on(struct Search *in, Py_ssize_t patch, int beam)
{
    struct Walk walk;
    walk.beam = beam;
    memset(walk.seen, -1, sizeof walk.seen);
    walk.kept = walk.compared = 0;
    is_new(&walk, (int32_t)in->index[patch]);
    keep(&walk, in->distance[patch], in->index[patch]);
    int place = 0;
    while (place < walk.kept && walk.compared < SEEN / 2 && !(walk.distance[0] < SAFELY * in->expected)) {
        if (walk.gone_from[place]) {
            place++;
            continue;
        }
        walk.gone_from[place] = 1;
        go_on_from(&walk, in, patch, walk.entry[place]);
        place = 0;
    }
    in->distance[patch] = walk.distance[0];
    in->index[patch] = walk.entry[0];
}

/* ---- the whole bank ---- */

struct Asked {
    Py_ssize_t patch;
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
    double *centred = room + blocks * WIDTH + 1, norm = 0, inside = 0, narrow = 0, lost = 0;
    for (Py_ssize_t i = 0; i < in->size; i++) {
        centred[i] = features[i] - in->centre[i];
        norm += centred[i] * centred[i];
    }
    project(centred, in->axes, in->size, blocks, room);
    for (Py_ssize_t axis = 0; axis < axes; axis++)
        inside += room[axis] * room[axis];
    room[axes] = sqrt(norm > inside ? norm - inside : 0);
    asked->patch = patch;
    asked->aim = (struct Aim){.pairs = in->pairs, .narrow = in->narrow, .levels = levels};
    double reach = set_reach(in, asked), most = sqrt(norm) + in->largest;
    if (!(most < MAX_LENGTH && reach < MAX_LENGTH)) {  /* squares overflow: all is possible */
        memset(levels, 0, (size_t)in->pairs * sizeof *levels);
        asked->aim.limit = asked->aim.narrow_limit = INFINITY;
        return;
    }
    for (Py_ssize_t i = 0; i < in->coordinates; i++) {
        narrow += i < NARROW ? room[i] * room[i] : 0;
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
    asked->aim.limit = (float)(error - norm);
    asked->aim.narrow_limit = (float)(error - narrow);
}

static void compare_group(struct Search *in, Py_ssize_t group, struct Asked *asked)
{
    const int64_t *order = in->order + group * BLOCK;
    uint32_t possible = bound(in->entries + group * in->block, &asked->aim);
    for (uint32_t left = possible; left; left &= left - 1)
        if (order[__builtin_ctz(left)] >= 0)
            fetch_entry(in, order[__builtin_ctz(left)]);
    for (uint32_t left = possible; left; left &= left - 1) {
        int64_t entry = order[__builtin_ctz(left)];
        if (entry < 0)
            continue;
        in->compared++;
        float best = radius_of(in, asked->patch), distance = apart(in, asked->patch, entry, best);
        if (distance < best || (distance == best && entry < in->index[asked->patch])) {
            in->distance[asked->patch] = distance;
            in->index[asked->patch] = entry;
            set_reach(in, asked);
        }
    }
}

/* Return the groups of a block of middles that may have a nearer entry, and prefetch what is read of them first. */
static uint32_t possible_groups(const struct Search *in, Py_ssize_t start, const struct Asked *asked)
{
    if (start >= in->groups || (in->radius < INFINITY && in->distance[asked->patch] < in->radius))
        return 0;  /* one nearer entry is enough */
    uint32_t possible = bound_narrow(in->middles + start / BLOCK * in->narrow_block, &asked->aim);
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
            for (; possible; possible &= possible - 1)
                if (start + __builtin_ctz(possible) < in->groups)
                    compare_group(in, start + __builtin_ctz(possible), &asked[i]);
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

static void refine(struct Search *in, Py_ssize_t patch)
{
    if (in->tier[patch] == KNOWN)
        look_at_list(in, patch);
    else
        walk_on(in, patch, in->tier[patch] == LISTED ? BEAM : WIDE_BEAM);
    in->tier[patch]++;
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

/* Take patches until the k largest distances, and all from `at_least` on, were taken; those below WALKED are refined, and
 * put back. Write the patches that are to be compared with the bank, at most TOGETHER, and return their number; -1 if
 * there are others from `least` on, the smallest in the heap. */
static Py_ssize_t take(struct Search *in, float at_least, float least, int64_t *heap, int64_t *taken)
{
    enum Tier enough = in->beside ? WALKED : LISTED;
    Py_ssize_t left = heap_of(in, least, heap), all = 0, count = 0;
    while (count < TOGETHER) {
        if (!left || in->distance[heap[0]] < least) {  /* patches that are not in the heap may be next */
            if (least > -INFINITY && (all < in->k || at_least < least))
                return -1;
            if (!left)
                return count;
        }
        int64_t top = heap[0];
        if (all >= in->k && in->distance[top] < at_least)
            return count;
        if (isnan(in->distance[top]))
            in->tier[top] = EXACT;  /* no entry is nearer to it */
        if (in->tier[top] < enough) {
            refine(in, top);
        } else {
            if (in->tier[top] != EXACT)
                taken[count++] = top;
            all++;
            heap[0] = heap[--left];
        }
        sift(in, heap, left, 0);
    }
    return count;
}

/* Refine the top patch until the k largest distances, and all from `at_least` on, are exact.
 *
 * At most `most` patches without the graph's bound are compared with the bank; then it returns the number of patches that
 * need a better bound, which are first in the heap. */
static Py_ssize_t settle(
    struct Search *in, float at_least, Py_ssize_t most, int64_t *heap, int32_t *levels, double *room)
{
    struct Asked asked[TOGETHER];
    int64_t taken[TOGETHER];
    float least = SAFELY * in->expected;  /* those below hardly decide */
    for (;;) {
        Py_ssize_t count = take(in, at_least, least, heap, taken), rough = 0;
        if (count < 0) {
            least = -INFINITY;
            continue;
        }
        if (!count)
            return 0;
        for (Py_ssize_t i = 0; i < count; i++)
            if (in->tier[taken[i]] < GRAPH)
                heap[rough++] = taken[i];
        if (rough > most)
            return rough;
        most -= rough;
        for (Py_ssize_t i = 0; i < count; i++)
            ask(in, &asked[i], taken[i], levels + i * in->pairs, room);
        compare_with_bank(in, asked, count);
        for (Py_ssize_t i = 0; i < count; i++)
            in->tier[taken[i]] = EXACT;
    }
}

/* Find an entry nearer than `at_least` for every patch that has one; other distances remain bounds. */
static void tell_apart(struct Search *in, float at_least, int32_t *levels, double *room)
{
    struct Asked asked[TOGETHER];
    Py_ssize_t ready = 0;
    in->radius = at_least;
    in->expected = at_least / SAFELY;  /* patches below are skipped */
    for (Py_ssize_t patch = 0; patch < in->count; patch++) {
        while (in->tier[patch] < LISTED && in->distance[patch] >= at_least)
            refine(in, patch);
        if (in->tier[patch] == EXACT || !(in->distance[patch] >= at_least))
            continue;
        ask(in, &asked[ready], patch, levels + ready * in->pairs, room);
        if (++ready == TOGETHER) {
            compare_with_bank(in, asked, ready);
            ready = 0;
        }
    }
    compare_with_bank(in, asked, ready);
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
    int good = fits ? all_below(stored, rows, asked) : refuse("arrays of other shapes");
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

PyDoc_STRVAR(learn_doc, "learn(history, rows, index): put entries in front of what patches remember.");

static PyObject *learn(PyObject *self, PyObject *args)
{
    (void)self;
    Py_ssize_t length;
    Py_buffer in[3];  /* history int64 [n, length], rows int64 [r], index int64 [r] */
    if (!PyArg_ParseTuple(args, "nw*y*y*", &length, &in[0], &in[1], &in[2]))
        return NULL;
    int64_t *history = in[0].buf;
    const int64_t *rows = in[1].buf, *index = in[2].buf;
    Py_ssize_t count = numbers(&in[1]);
    int fits = length > 0 && in[2].len == in[1].len;
    int good = fits ? all_below(numbers(&in[0]) / length, rows, count) : refuse("arrays of other shapes");
    for (Py_ssize_t i = 0; good && i < count; i++) {
        int64_t *own = history + rows[i] * length;
        Py_ssize_t place = 0;  /* of the entry, if known; else of the oldest */
        while (place < length - 1 && own[place] != index[i])
            place++;
        memmove(own + 1, own, (size_t)place * sizeof(int64_t));
        own[0] = index[i];
    }
    release(in, 3);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- the tables of a bank, created once ---- */

enum { BANK, BESIDE_EACH, DIVISORS, CENTRE, AXES, STEPS, MIDDLES, ENTRIES, ORDER, TABLES };

struct Tables {
    PyObject_HEAD
    struct Search search;  /* the constant part; the rest is null */
    Py_buffer held[TABLES];
    Py_ssize_t compared;  /* number of full distances so far */
};

static int tables_fit(const struct Search *search, const Py_buffer *held)
{
    const Py_ssize_t across = (search->groups + BLOCK - 1) / BLOCK;
    const Py_ssize_t axes = (search->coordinates - 1 + WIDTH - 1) / WIDTH * WIDTH;
    if (!(search->stored > 0 && search->coordinates > 0 && floats(&held[DIVISORS]) == search->stored
          && held[BESIDE_EACH].len == search->stored * search->each * (Py_ssize_t)sizeof(int32_t)
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
    Py_TYPE(self)->tp_free(self);
}

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    /* bank float32 [k, D], beside int32 [k, b] or empty, divisors float32 [k], centre float64 [D], axes float64
     * [blocks, D, WIDTH], steps float64 [c], middles and entries of blocks of float32, order int64 [groups, BLOCK] */
    Py_buffer in[TABLES];
    double largest, levels, widest;
    if (named && PyDict_GET_SIZE(named) > 0) {
        PyErr_SetString(PyExc_TypeError, "Tables takes no arguments by name");
        return NULL;
    }
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*y*y*y*ddd", &in[BANK], &in[BESIDE_EACH], &in[DIVISORS], &in[CENTRE], &in[AXES], &in[STEPS],
            &in[MIDDLES], &in[ENTRIES], &in[ORDER], &largest, &levels, &widest))
        return NULL;
    struct Tables *self = (struct Tables *)type->tp_alloc(type, 0);
    if (!self) {
        release(in, TABLES);
        return NULL;
    }
    memcpy(self->held, in, sizeof in);
    const Py_ssize_t size = in[CENTRE].len / (Py_ssize_t)sizeof(double), stored = rows_of(&in[BANK], size);
    const Py_ssize_t coordinates = in[STEPS].len / (Py_ssize_t)sizeof(double), pairs = (coordinates + 1) / 2;
    const Py_ssize_t narrow = pairs < NARROW / 2 ? pairs : NARROW / 2;
    self->search = (struct Search){
        .size = size, .stored = stored, .bank = in[BANK].buf,
        .divisors = in[DIVISORS].buf, .widest = widest,
        .beside = in[BESIDE_EACH].len ? in[BESIDE_EACH].buf : NULL,
        .each = stored > 0 ? in[BESIDE_EACH].len / (Py_ssize_t)sizeof(int32_t) / stored : 0,
        .middles = in[MIDDLES].buf, .entries = in[ENTRIES].buf, .order = in[ORDER].buf,
        .centre = in[CENTRE].buf, .axes = in[AXES].buf, .steps = in[STEPS].buf,
        .groups = numbers(&in[ORDER]) / BLOCK, .coordinates = coordinates, .pairs = pairs, .narrow = narrow,
        .block = BLOCK * COLUMNS + BLOCK / 2 * pairs, .narrow_block = BLOCK * NARROW_COLUMNS + BLOCK / 2 * narrow,
        .largest = largest, .levels = levels,
    };
    if (!tables_fit(&self->search, in)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* The buffers of one frame: features float32 [n, D]; in and out: distance float32 [n], index int64 [n], tier uint8 [n];
 * history int64 [n, length] or empty, around int64 [n, a]. */
enum { FEATURES, DISTANCE, INDEX, TIER, HISTORY, AROUND, FRAME };

/* Set up a search of a frame over the tables. */
static struct Search search_of(const struct Tables *self, const Py_buffer *in, float expected)
{
    const Py_ssize_t count = floats(&in[DISTANCE]);
    struct Search search = self->search;
    search.count = count;
    search.features = in[FEATURES].buf;
    search.distance = in[DISTANCE].buf;
    search.index = in[INDEX].buf;
    search.tier = in[TIER].buf;
    search.expected = expected;
    search.radius = INFINITY;
    search.history = in[HISTORY].len ? in[HISTORY].buf : NULL;
    search.around = in[AROUND].buf;
    search.length = count ? numbers(&in[HISTORY]) / count : 0;
    search.neighbours = count ? numbers(&in[AROUND]) / count : 0;
    return search;
}

static int frame_fits(const struct Search *search, const Py_buffer *in)
{
    const Py_ssize_t count = search->count;
    if (!(rows_of(&in[FEATURES], search->size) == count && numbers(&in[INDEX]) == count && in[TIER].len == count
          && numbers(&in[HISTORY]) == count * search->length && numbers(&in[AROUND]) == count * search->neighbours
          && (search->history || !search->neighbours)))
        return refuse("arrays of other shapes");
    return all_below(search->stored, search->index, count)
        && all_below(search->stored, search->history, count * search->length)
        && all_below(count, search->around, count * search->neighbours);
}

/* Scratch memory of the loops. */
struct Room {
    int32_t *levels;
    double *axes;
    int64_t *heap;
};

static int make_room(struct Room *room, const struct Search *search)
{
    room->levels = PyMem_Malloc((size_t)(TOGETHER * search->pairs) * sizeof(int32_t));
    room->axes = PyMem_Malloc((size_t)(search->coordinates + WIDTH + search->size) * sizeof(double));
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

PyDoc_STRVAR(settle_doc,
    "settle(features, (distance, index, tier), (history, around, expected), k, most, at_least): refine, best first, until\n"
    "what decides is exact; the numbers of the patches that want a better bound first, as bytes of int64.");

static PyObject *tables_settle(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME];
    Py_ssize_t k, most;
    float expected, at_least;
    if (!PyArg_ParseTuple(
            args, "y*(w*w*w*)(y*y*f)nnf", &in[FEATURES], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY],
            &in[AROUND], &expected, &k, &most, &at_least))
        return NULL;
    struct Search search = search_of(self, in, expected);
    struct Room room = {0};
    PyObject *wanting = NULL;
    int counts_fit = (k > 0 && most >= 0) || refuse("counts that mean nothing");
    if (counts_fit && frame_fits(&search, in) && make_room(&room, &search)) {
        Py_ssize_t count;
        search.k = k;
        Py_BEGIN_ALLOW_THREADS
        count = settle(&search, at_least, most, room.heap, room.levels, room.axes);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
        wanting = PyBytes_FromStringAndSize((const char *)room.heap, count * (Py_ssize_t)sizeof(int64_t));
    }
    free_room(&room);
    release(in, FRAME);
    return wanting;
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
    struct Search search = search_of(self, in, expected);
    struct Room room = {0};
    int good = frame_fits(&search, in) && make_room(&room, &search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        tell_apart(&search, at_least, room.levels, room.axes);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&room);
    release(in, FRAME);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef tables_methods[] = {
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
    .tp_doc = "Tables(bank, beside, divisors, ...): of runtime/search/tables.py, and the largest divisor.",
    .tp_basicsize = sizeof(struct Tables),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = tables_new,
    .tp_dealloc = tables_free,
    .tp_methods = tables_methods,
    .tp_members = tables_members,
};

static PyMethodDef methods[] = {
    {"distances", distances, METH_VARARGS, distances_doc},
    {"learn", learn, METH_VARARGS, learn_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernels", "The inner loops of the search.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernels(void)
{
    choose_loops();
    PyObject *made = PyModule_Create(&module);
    if (made && (PyModule_AddIntConstant(made, "BLOCK", BLOCK) < 0
                 || PyModule_AddIntConstant(made, "WIDTH", WIDTH) < 0
                 || PyModule_AddIntConstant(made, "NARROW", NARROW) < 0
                 || PyModule_AddType(made, &tables_type) < 0)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
