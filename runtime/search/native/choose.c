/* The loops of the search for each instruction set, and which of them are used.
 *
 * Vectors of eight floats, which the compiler lowers to the instruction set: AVX2 if an x86 has it, else SSE2; NEON on
 * ARM. Every distance is computed by one function, in one order of operations, so that the same two rows always have the
 * same distance. It is Euclidean, divided by a number that belongs to the entry: its divisor.
 */
#include "choose.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float Vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef double Doubles __attribute__((vector_size(WIDTH / 2 * sizeof(double))));

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

float (*square)(const float *, const float *, Py_ssize_t, float) = square_plain;
uint32_t (*bound)(const float *, Py_ssize_t, uint32_t, const struct Aim *, uint32_t *) = bound_plain;
uint32_t (*bound_narrow)(const float *, const struct Aim *) = bound_narrow_plain;
void (*near_groups)(
    const float *, const float *, Py_ssize_t, Py_ssize_t, const struct Aim *, struct Shortlist *) = near_groups_plain;
void (*near_entries)(const float *, int64_t, const struct Aim *, struct Shortlist *) = near_entries_plain;
void (*sketch)(const float *, const float *, Py_ssize_t, Py_ssize_t, float *) = sketch_plain;
void (*project)(const double *, const double *, Py_ssize_t, Py_ssize_t, double *) = project_plain;

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

int choose_loops(const char *name)
{
    if (!name[0])
        return choose_avx2() || choose_plain();
    return (!strcmp(name, "avx2") && choose_avx2()) || (!strcmp(name, "plain") && choose_plain());
}
