/* The loops of the search, for the instruction set of this processor: what they take, and their names. */
#ifndef PATCHEDGE_CHOOSE_H
#define PATCHEDGE_CHOOSE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define WIDTH 8
#define BLOCK (2 * WIDTH)  /* points whose bounds are computed together */
#define NARROW 16          /* coordinates that middles have, and that most entries are excluded by */
#define NARROW_COLUMNS 3   /* of float32 in a block: |c|^2 - reach^2 of these, width^2, 2 reach width */
#define STAGES 5           /* at most: NARROW coordinates, NARROW more ..., at last all; the later ones begin with */
                           /* |c|^2 - reach^2 of the coordinates up to there */
#define STEP (8 * WIDTH)   /* elements after which a sum is checked, to stop early if it is too large */
#define MAX_GROUPS 32      /* at most, of entries, that are looked at where the tables show what is near */
#define AHEAD 4            /* rows to prefetch ahead */
#define CACHE_LINE 16      /* elements */

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

#pragma GCC visibility push(hidden)

/* The loops in use; what each one does is said in loops.h. */
extern float (*square)(const float *, const float *, Py_ssize_t, float);
extern uint32_t (*bound)(const float *, Py_ssize_t, uint32_t, const struct Aim *, uint32_t *);
extern uint32_t (*bound_narrow)(const float *, const struct Aim *);
extern void (*near_groups)(
    const float *, const float *, Py_ssize_t, Py_ssize_t, const struct Aim *, struct Shortlist *);
extern void (*near_entries)(const float *, int64_t, const struct Aim *, struct Shortlist *);
extern void (*sketch)(const float *, const float *, Py_ssize_t, Py_ssize_t, float *);
extern void (*project)(const double *, const double *, Py_ssize_t, Py_ssize_t, double *);

/* Take the best loops that this processor has, of "plain" and "avx2"; return whether it has those named. */
int choose_loops(const char *name);

#pragma GCC visibility pop

/* Prefetch a row, which may be anywhere in a large bank. */
INLINE void fetch(const float *row, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += CACHE_LINE)
        __builtin_prefetch(row + i);
}

#endif
