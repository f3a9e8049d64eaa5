/* The inner loops of a selection: which points have an entry nearer than what they know, and how far it is.
 *
 * Points are integers in float32, so every squared distance is an integer that float64 holds, whatever the order of the
 * sum. Most pairs are excluded before, by a product in 16 bits whose error is bounded: what that leaves is computed in
 * float64. So all instruction sets give the same distances.
 *
 * All functions take C-contiguous buffers. Sizes are checked here; runtime/learning/bank/chosen.py documents their meaning.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../../buffers.h"

#define CHUNK 64   /* entries that are compared together: those of 128 coordinates take 16 kB */
#define GROUP 6    /* points whose sums stay in registers */
#define TILE 1024  /* points that go through all entries together: their levels stay in the second cache */
#define AHEAD 8    /* points to prefetch ahead */
#define ROUNDING 12582912.0f  /* added to a float, leaves it rounded in its last bits */
#define STRAY 1.05  /* of a vector of levels from what it stands for and another, by the root of its size: 0.5 each, and
                     * what float32 rounds */
#define CACHE_LINE 64  /* bytes */
#define SUMS 8     /* of a distance, side by side */

#define INLINE static inline __attribute__((always_inline))

/* Multiply the levels of GROUP points with those of CHUNK entries, a pair of coordinates at a time; no sum overflows, as
 * every vector is at most 2^15 long. */
static void multiply_plain(
    const int32_t *const rows[GROUP], const int16_t *entries, Py_ssize_t pairs, int32_t products[GROUP][CHUNK])
{
    memset(products, 0, GROUP * sizeof products[0]);
    for (int point = 0; point < GROUP; point++)
        for (Py_ssize_t pair = 0; pair < pairs; pair++) {
            const int16_t *these = entries + pair * 2 * CHUNK;
            int16_t own[2];
            memcpy(own, rows[point] + pair, sizeof own);
            for (int entry = 0; entry < CHUNK; entry++)
                products[point][entry] += own[0] * these[2 * entry] + own[1] * these[2 * entry + 1];
        }
}

typedef void Multiply(const int32_t *const[GROUP], const int16_t *, Py_ssize_t, int32_t[GROUP][CHUNK]);

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
static void multiply_avx2(
    const int32_t *const rows[GROUP], const int16_t *entries, Py_ssize_t pairs, int32_t products[GROUP][CHUNK])
{
    for (int first = 0; first < CHUNK; first += 16) {
        __m256i sums[GROUP][2];
        memset(sums, 0, sizeof sums);
        for (Py_ssize_t pair = 0; pair < pairs; pair++) {
            const __m256i *these = (const __m256i *)(entries + 2 * (pair * CHUNK + first));
            __m256i one = _mm256_loadu_si256(these), other = _mm256_loadu_si256(these + 1);
#pragma GCC unroll 6
            for (int point = 0; point < GROUP; point++) {
                __m256i own = _mm256_set1_epi32(rows[point][pair]);
                sums[point][0] = _mm256_add_epi32(sums[point][0], _mm256_madd_epi16(one, own));
                sums[point][1] = _mm256_add_epi32(sums[point][1], _mm256_madd_epi16(other, own));
            }
        }
        for (int point = 0; point < GROUP; point++)
            memcpy(products[point] + first, sums[point], sizeof sums[point]);
    }
}
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512vnni")
static void multiply_vnni(
    const int32_t *const rows[GROUP], const int16_t *entries, Py_ssize_t pairs, int32_t products[GROUP][CHUNK])
{
    __m512i sums[GROUP][4];
#pragma GCC unroll 6
    for (int point = 0; point < GROUP; point++)
#pragma GCC unroll 4
        for (int part = 0; part < 4; part++)
            sums[point][part] = _mm512_setzero_si512();
    for (Py_ssize_t pair = 0; pair < pairs; pair++) {
        const int16_t *these = entries + pair * 2 * CHUNK;
        __m512i some[4];
#pragma GCC unroll 4
        for (int part = 0; part < 4; part++)
            some[part] = _mm512_loadu_si512(these + 32 * part);
#pragma GCC unroll 6
        for (int point = 0; point < GROUP; point++) {
            __m512i own = _mm512_set1_epi32(rows[point][pair]);
#pragma GCC unroll 4
            for (int part = 0; part < 4; part++)
                sums[point][part] = _mm512_dpwssd_epi32(sums[point][part], some[part], own);
        }
    }
#pragma GCC unroll 6
    for (int point = 0; point < GROUP; point++)
#pragma GCC unroll 4
        for (int part = 0; part < 4; part++)
            _mm512_storeu_si512(products[point] + 16 * part, sums[point][part]);
}
#pragma GCC pop_options
#endif

struct Selection {
    Py_ssize_t size, pairs, count;  /* coordinates, pairs of them, entries */
    const float *points, *entries, *centre;
    const int16_t *levels;          /* of the entries, [chunk][pair][CHUNK][2] */
    const int32_t *halves;          /* of the squared lengths of the entries, in levels */
    float scale;                    /* levels of a unit */
    double limit;                   /* squared distance below which a point is left */
    double *distances;
    int32_t *nearest, *compared;
};

/* A point that goes through the entries. */
struct Walker {
    int64_t place;
    double square;     /* of its length, in levels */
    int32_t most;      /* half of (squared distance - square) in levels that an entry nearer than what is known can have */
    int32_t *levels;
};

INLINE double square_of(const float *a, const float *b, Py_ssize_t size)
{
    double sums[SUMS] = {0};
    Py_ssize_t i = 0;
    for (; i + SUMS <= size; i += SUMS)
        for (int lane = 0; lane < SUMS; lane++) {
            double apart = (double)a[i + lane] - (double)b[i + lane];
            sums[lane] += apart * apart;
        }
    for (; i < size; i++) {
        double apart = (double)a[i] - (double)b[i];
        sums[0] += apart * apart;
    }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* Levels are the coordinates relative to the centre, rounded: by half a level in each coordinate, and so by half of the
 * root of their number in all, for a point and for an entry. */
INLINE void aim(const struct Selection *in, struct Walker *one)
{
    double reach = sqrt(in->distances[one->place]) * in->scale + STRAY * sqrt((double)in->size);
    double most = (reach * reach - one->square) / 2 + 1;
    one->most = most >= INT32_MAX ? INT32_MAX : most <= INT32_MIN ? INT32_MIN : (int32_t)most;
}

INLINE void begin(const struct Selection *in, struct Walker *one, int64_t place, int32_t *levels)
{
    const float *point = in->points + place * in->size;
    int16_t *to = (int16_t *)levels;
    int32_t square = 0;
    for (Py_ssize_t i = 0; i < in->size; i++) {
        float level = (point[i] - in->centre[i]) * in->scale + ROUNDING;
        int32_t bits;
        memcpy(&bits, &level, sizeof bits);
        to[i] = (int16_t)bits;
        square += (int32_t)to[i] * to[i];
    }
    if (in->size % 2)
        to[in->size] = 0;
    one->place = place;
    one->square = square;
    one->levels = levels;
    aim(in, one);
}

/* Compute the distances of a point to the entries of a chunk that may be nearer than what it knows. */
INLINE void settle(
    const struct Selection *in, struct Walker *one, const int32_t *products, const int32_t *halves, Py_ssize_t first)
{
    for (Py_ssize_t lane = 0; lane < CHUNK && first + lane < in->count; lane++) {
        if (halves[lane] - products[lane] > one->most)
            continue;
        double square = square_of(
            in->points + one->place * in->size, in->entries + (first + lane) * in->size, in->size);
        if (square < in->distances[one->place]) {
            in->distances[one->place] = square;
            in->nearest[one->place] = (int32_t)(first + lane);
            aim(in, one);
        }
    }
}

/* Compare some points with a chunk of entries. */
INLINE void compare_chunk(
    const struct Selection *in, struct Walker *walkers, Py_ssize_t alive, Py_ssize_t first, Multiply *multiply)
{
    int32_t products[GROUP][CHUNK];
    const int16_t *entries = in->levels + first * 2 * in->pairs;
    const int32_t *halves = in->halves + first;
    for (Py_ssize_t at = 0; at < alive; at += GROUP) {
        const int32_t *rows[GROUP];
        int some = alive - at < GROUP ? (int)(alive - at) : GROUP;
        for (int point = 0; point < GROUP; point++)
            rows[point] = walkers[at + (point < some ? point : 0)].levels;
        multiply(rows, entries, in->pairs, products);
        for (int point = 0; point < some; point++) {
            int32_t most = walkers[at + point].most, possible = 0;
            for (int lane = 0; lane < CHUNK; lane++)
                possible |= halves[lane] - products[point][lane] <= most;
            if (possible)
                settle(in, walkers + at + point, products[point], halves, first);
        }
    }
}

/* Compare some points with the entries from the first one that one of them lacks, until they are within the limit. */
INLINE void walk_tile(
    const struct Selection *in, const int64_t *places, Py_ssize_t alive, struct Walker *walkers, int32_t *levels,
    Multiply *multiply)
{
    int32_t least = (int32_t)in->count;
    for (Py_ssize_t at = 0; at < alive; at++) {
        const char *ahead = (const char *)(in->points + places[at + AHEAD < alive ? at + AHEAD : at] * in->size);
        for (Py_ssize_t byte = 0; byte < in->size * (Py_ssize_t)sizeof(float); byte += CACHE_LINE)
            __builtin_prefetch(ahead + byte);
        begin(in, walkers + at, places[at], levels + at * in->pairs);
        if (in->compared[places[at]] < least)
            least = in->compared[places[at]];
    }
    for (Py_ssize_t first = least / CHUNK * CHUNK; first < in->count && alive; first += CHUNK) {
        compare_chunk(in, walkers, alive, first, multiply);
        Py_ssize_t next = first + CHUNK < in->count ? first + CHUNK : in->count, left = 0;
        for (Py_ssize_t at = 0; at < alive; at++) {
            int64_t place = walkers[at].place;
            if (next > in->compared[place])
                in->compared[place] = (int32_t)next;
            if (in->distances[place] >= in->limit)
                walkers[left++] = walkers[at];
        }
        alive = left;
    }
}

typedef void Tile(const struct Selection *, const int64_t *, Py_ssize_t, struct Walker *, int32_t *);

/* The same for an instruction set: what is above is compiled for it again. */
#define TILE_OF(name) \
    static void tile_##name( \
        const struct Selection *in, const int64_t *places, Py_ssize_t alive, struct Walker *walkers, int32_t *levels) \
    { \
        walk_tile(in, places, alive, walkers, levels, multiply_##name); \
    }

TILE_OF(plain)
#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
TILE_OF(avx2)
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512vnni")
TILE_OF(vnni)
#pragma GCC pop_options
#endif

static Tile *compare_tile = tile_plain;

/* Take the best loops that this processor has, of "plain", "avx2" and "vnni"; return whether it has those named. */
static int choose_loops(const char *name)
{
    int any = !name[0];
#if defined(__x86_64__)
    __builtin_cpu_init();
    if ((any || !strcmp(name, "vnni")) && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")) {
        compare_tile = tile_vnni;
        return 1;
    }
    if ((any || !strcmp(name, "avx2")) && __builtin_cpu_supports("avx2")) {
        compare_tile = tile_avx2;
        return 1;
    }
#endif
    if (any || !strcmp(name, "plain")) {
        compare_tile = tile_plain;
        return 1;
    }
    return 0;
}

enum { POINTS, PLACES, ENTRIES, CENTRE, LEVELS, HALVES, DISTANCES, NEAREST, COMPARED, BUFFERS };

static const int bytes_of[BUFFERS] = {4, 8, 4, 4, 2, 4, 8, 4, 4};

/* Return whether sizes fit, and all numbers that say where to read are in range; by division, which has no overflow. */
static int all_fits(const struct Selection *of, const Py_buffer *in)
{
    const Py_ssize_t row = in[CENTRE].len, total = in[DISTANCES].len / 8;
    if (!buffers_hold(in, bytes_of, BUFFERS) || of->size < 1 || of->count < 0 || of->count > in[ENTRIES].len / row
        || of->count > INT32_MAX - CHUNK || in[POINTS].len % row || in[POINTS].len / row != total
        || in[NEAREST].len / 4 != total || in[COMPARED].len / 4 != total)
        return 0;
    const Py_ssize_t chunks = (of->count + CHUNK - 1) / CHUNK;
    if (in[HALVES].len / (CHUNK * 4) < chunks || in[LEVELS].len / (CHUNK * 4) / of->pairs < chunks)
        return 0;
    const int64_t *places = in[PLACES].buf;
    const int32_t *compared = in[COMPARED].buf;
    for (Py_ssize_t at = 0; at < in[PLACES].len / 8; at++)
        if (places[at] < 0 || places[at] >= total || compared[places[at]] < 0)
            return 0;
    return 1;
}

PyDoc_STRVAR(compare_doc,
    "compare(points, places, entries, centre, levels, halves, distances, nearest, compared, count, scale, limit):\n"
    "compare points [N, d] at some places int64 [n] with the first `count` entries [k, d] that they were not compared\n"
    "with, until their squared distance is below the limit. Changes distances float64, nearest int32 and compared int32,\n"
    "[N]. `levels` int16 [chunks, pairs, CHUNK, 2] and `halves` int32 [chunks, CHUNK] are of the entries.");

static PyObject *compare(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer in[BUFFERS];
    struct Selection of = {0};
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*w*w*w*nfd", &in[POINTS], &in[PLACES], &in[ENTRIES], &in[CENTRE], &in[LEVELS],
            &in[HALVES], &in[DISTANCES], &in[NEAREST], &in[COMPARED], &of.count, &of.scale, &of.limit))
        return NULL;
    const Py_ssize_t places = in[PLACES].len / (Py_ssize_t)sizeof(int64_t);
    const int64_t *rows = in[PLACES].buf;
    of.size = in[CENTRE].len / (Py_ssize_t)sizeof(float);
    of.pairs = (of.size + 1) / 2;
    int fits = all_fits(&of, in);
    struct Walker *walkers = fits ? PyMem_Malloc(TILE * sizeof *walkers) : NULL;
    int32_t *levels = fits ? PyMem_Malloc((size_t)(TILE * of.pairs) * sizeof *levels) : NULL;
    if (walkers && levels) {
        of.points = in[POINTS].buf;
        of.entries = in[ENTRIES].buf;
        of.centre = in[CENTRE].buf;
        of.levels = in[LEVELS].buf;
        of.halves = in[HALVES].buf;
        of.distances = in[DISTANCES].buf;
        of.nearest = in[NEAREST].buf;
        of.compared = in[COMPARED].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = 0; at < places; at += TILE)
            compare_tile(&of, rows + at, places - at < TILE ? places - at : TILE, walkers, levels);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "arrays of other shapes");
    }
    int failed = !walkers || !levels;
    PyMem_Free(walkers);
    PyMem_Free(levels);
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&in[i]);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(use_doc,
    "use(name) -> bool: take the loops `plain`, `avx2` or `vnni`, or the best with an empty name; False where this\n"
    "processor lacks them. All give the same distances: for tests.");

static PyObject *use(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(args, "s", &name))
        return NULL;
    return PyBool_FromLong(choose_loops(name));
}

static PyMethodDef methods[] = {
    {"compare", compare, METH_VARARGS, compare_doc},
    {"use", use, METH_VARARGS, use_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_selection", "Distances of a selection.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__selection(void)
{
    choose_loops("");
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddIntConstant(made, "CHUNK", CHUNK) < 0)
        Py_CLEAR(made);
    return made;
}
