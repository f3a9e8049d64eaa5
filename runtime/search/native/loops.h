/* Included by choose.c once for each instruction set, with NAMED to tell the instances apart: GCC lowers vectors to the
 * instruction set of the enclosing function, so inline functions of another one would undo it. `lanes`, the bits of a
 * comparison, and `multiply` are in choose.c.
 */

INLINE Vector NAMED(load)(const float *from)
{
    Vector vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

INLINE Vector NAMED(all_lanes)(float a)
{
    return (Vector){a, a, a, a, a, a, a, a};
}

INLINE float NAMED(sum_of)(Vector a)
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* Return the squared distance of two rows, or any number above `enough` if it is above that, as the sum only grows. */
static __attribute__((noinline)) float NAMED(square)(
    const float *a, const float *b, Py_ssize_t size, float enough)
{
    Vector even = {0}, odd = {0};
    Py_ssize_t i = 0;
    while (i + STEP <= size) {
        for (Py_ssize_t end = i + STEP; i < end; i += 2 * WIDTH) {
            Vector one = NAMED(load)(a + i) - NAMED(load)(b + i);
            Vector other = NAMED(load)(a + i + WIDTH) - NAMED(load)(b + i + WIDTH);
            even += one * one;
            odd += other * other;
        }
        float so_far = NAMED(sum_of)(even + odd);
        if (so_far > enough)
            return so_far;
    }
    for (; i + WIDTH <= size; i += WIDTH) {
        Vector one = NAMED(load)(a + i) - NAMED(load)(b + i);
        even += one * one;
    }
    if (i < size) {
        Vector one = {0};
        for (Py_ssize_t lane = 0; i + lane < size; lane++)
            one[lane] = a[i + lane] - b[i + lane];
        odd += one * one;
    }
    return NAMED(sum_of)(even + odd);
}

/* Return the points of a block, a bit each, whose bound is at most the limit of a patch. `lengths` are |c|^2 - reach^2 of
 * each, `columns` width^2 and 2 reach width. A bound that is NaN after an overflow counts as possible. */
INLINE uint32_t NAMED(possible)(
    const float *lengths, const float *columns, const int32_t *products, const struct Aim *aim, float limit)
{
    uint32_t possible = 0;
    for (int half = 0; half < BLOCK; half += WIDTH) {
        Mask whole;
        memcpy(&whole, products + half, sizeof whole);
        Vector sum = NAMED(load)(lengths + half)
            - NAMED(all_lanes)(aim->times) * __builtin_convertvector(whole, Vector)
            - NAMED(all_lanes)(aim->square) * NAMED(load)(columns + half)
            - NAMED(all_lanes)(aim->reach) * NAMED(load)(columns + BLOCK + half);
        possible |= NAMED(lanes)(~(sum > NAMED(all_lanes)(limit))) << half;
    }
    return possible;
}

/* Write by how much the points of a block, of squared lengths, are farther than a patch may be, in squares, about;
 * return, a bit each, for which this is below a number. */
INLINE uint32_t NAMED(below)(
    const float *squares, const float *widths, const int32_t *products, const struct Aim *aim, float farthest,
    float *sums)
{
    uint32_t below = 0;
    for (int half = 0; half < BLOCK; half += WIDTH) {
        Mask whole;
        memcpy(&whole, products + half, sizeof whole);
        Vector sum = NAMED(load)(squares + half)
            - NAMED(all_lanes)(aim->times) * __builtin_convertvector(whole, Vector)
            - NAMED(all_lanes)(aim->square) * NAMED(load)(widths + half);
        memcpy(sums + half, &sum, sizeof sum);
        below |= NAMED(lanes)(sum < NAMED(all_lanes)(farthest)) << half;
    }
    return below;
}

/* Bound by the first coordinates alone: of a block of the middles. */
static __attribute__((noinline)) uint32_t NAMED(bound_narrow)(const float *block, const struct Aim *aim)
{
    int32_t products[BLOCK] = {0};
    NAMED(multiply)((const int8_t *)(block + NARROW_COLUMNS * BLOCK), aim->levels, aim->narrow, products);
    return NAMED(possible)(block, block + BLOCK, products, aim, aim->limits[0]);
}

/* Bound the entries of some groups, a bit each, by ever more coordinates, until these exclude all of a group. Return the
 * groups that are left, and write the entries of each that are, a bit each. A stage is done for all groups before the
 * next one, so that what that reads is on its way. */
static __attribute__((noinline)) uint32_t NAMED(bound)(
    const float *entries, Py_ssize_t block, uint32_t groups, const struct Aim *aim, uint32_t *left)
{
    int32_t products[BLOCK][BLOCK];
    Py_ssize_t column = 0, levels = NARROW_COLUMNS * BLOCK;  /* of this stage, in a block */
    const int32_t *own = aim->levels;
    for (int stage = 0; stage < aim->stages && groups; stage++) {
        Py_ssize_t pairs = stage < aim->stages - 1 ? aim->narrow : aim->last, next = levels + pairs * (BLOCK / 2);
        uint32_t still = 0;
        for (uint32_t rest = groups; rest; rest &= rest - 1) {
            int group = __builtin_ctz(rest);
            const float *from = entries + group * block;
            if (!stage)
                memset(products[group], 0, sizeof products[group]);
            NAMED(multiply)((const int8_t *)(from + levels), own, pairs, products[group]);
            left[group] = NAMED(possible)(from + column, from + BLOCK, products[group], aim, aim->limits[stage]);
            if (!left[group])
                continue;
            still |= (uint32_t)1 << group;
            if (stage + 1 < aim->stages)
                for (Py_ssize_t i = next; i < next + BLOCK + aim->narrow * (BLOCK / 2) && i < block; i += CACHE_LINE)
                    __builtin_prefetch(from + i);
        }
        groups = still;
        own += pairs;
        column = next;
        levels = next + BLOCK;
    }
    return groups;
}

/* Numbers of points by how near they may bring a patch: the nearest first. */
INLINE void NAMED(enlist)(struct Shortlist *list, const float *sums, uint32_t points, int64_t first)
{
    for (; points; points &= points - 1) {
        int point = __builtin_ctz(points);
        float sum = sums[point];
        if (!(sum < list->farthest))
            continue;
        int place = list->kept < list->length ? list->kept++ : list->length - 1;
        for (; place > 0 && list->sums[place - 1] > sum; place--) {
            list->sums[place] = list->sums[place - 1];
            list->numbers[place] = list->numbers[place - 1];
        }
        list->sums[place] = sum;
        list->numbers[place] = first + point;
        if (list->kept == list->length)
            list->farthest = list->sums[list->length - 1];
    }
}

/* Enlist the groups whose middles are the nearest, by the first coordinates. */
static __attribute__((noinline)) void NAMED(near_groups)(
    const float *middles, const float *squares, Py_ssize_t groups, Py_ssize_t block, const struct Aim *aim,
    struct Shortlist *list)
{
    float sums[BLOCK];
    for (Py_ssize_t start = 0; start < groups; start += BLOCK, middles += block) {
        int32_t products[BLOCK] = {0};
        NAMED(multiply)((const int8_t *)(middles + NARROW_COLUMNS * BLOCK), aim->levels, aim->narrow, products);
        uint32_t points = NAMED(below)(squares + start, middles + BLOCK, products, aim, list->farthest, sums);
        if (groups - start < BLOCK)
            points &= (1u << (groups - start)) - 1;
        NAMED(enlist)(list, sums, points, start);
    }
}

/* Enlist those points of a block of the entries that are the nearest, by all coordinates. */
static __attribute__((noinline)) void NAMED(near_entries)(
    const float *block, int64_t first, const struct Aim *aim, struct Shortlist *list)
{
    float sums[BLOCK];
    int32_t products[BLOCK] = {0};
    const float *lengths = block, *levels = block + NARROW_COLUMNS * BLOCK;
    const int32_t *own = aim->levels;
    for (int stage = 0; stage < aim->stages; stage++) {
        Py_ssize_t pairs = stage < aim->stages - 1 ? aim->narrow : aim->last;
        NAMED(multiply)((const int8_t *)levels, own, pairs, products);
        own += pairs;
        if (stage < aim->stages - 1)
            lengths = levels + pairs * (BLOCK / 2);
        levels = lengths + BLOCK;
    }
    uint32_t points = NAMED(below)(lengths, block + BLOCK, products, aim, list->farthest, sums);
    NAMED(enlist)(list, sums, points, first);
}

/* Write the parts of a vector along axes, float32 [blocks, size, WIDTH]. */
static __attribute__((noinline)) void NAMED(sketch)(
    const float *vector, const float *axes, Py_ssize_t size, Py_ssize_t blocks, float *inside)
{
    for (; blocks > 1; blocks -= 2, axes += 2 * size * WIDTH, inside += 2 * WIDTH) {  /* two at a time, for pipelining */
        const float *others = axes + size * WIDTH;
        Vector one = {0}, other = {0}, next_one = {0}, next_other = {0};
        for (Py_ssize_t i = 0; i + 1 < size; i += 2) {
            one += NAMED(all_lanes)(vector[i]) * NAMED(load)(axes + i * WIDTH);
            other += NAMED(all_lanes)(vector[i]) * NAMED(load)(others + i * WIDTH);
            next_one += NAMED(all_lanes)(vector[i + 1]) * NAMED(load)(axes + (i + 1) * WIDTH);
            next_other += NAMED(all_lanes)(vector[i + 1]) * NAMED(load)(others + (i + 1) * WIDTH);
        }
        one += next_one;
        other += next_other;
        memcpy(inside, &one, sizeof one);
        memcpy(inside + WIDTH, &other, sizeof other);
    }
    if (blocks) {
        Vector one = {0}, next = {0};
        for (Py_ssize_t i = 0; i + 1 < size; i += 2) {
            one += NAMED(all_lanes)(vector[i]) * NAMED(load)(axes + i * WIDTH);
            next += NAMED(all_lanes)(vector[i + 1]) * NAMED(load)(axes + (i + 1) * WIDTH);
        }
        one += next;
        memcpy(inside, &one, sizeof one);
    }
}

INLINE Doubles NAMED(load_doubles)(const double *from)
{
    Doubles some;
    memcpy(&some, from, sizeof some);
    return some;
}

/* Write the parts of a vector along axes, float64 [blocks, size, WIDTH]. */
static __attribute__((noinline)) void NAMED(project)(
    const double *vector, const double *axes, Py_ssize_t size, Py_ssize_t blocks, double *inside)
{
    for (Py_ssize_t block = 0; block < blocks; block++, inside += WIDTH) {
        Doubles low = {0}, high = {0}, next_low = {0}, next_high = {0};  /* sums of every other term, for pipelining */
        Py_ssize_t i = 0;
        for (; i + 1 < size; i += 2, axes += 2 * WIDTH) {
            low += vector[i] * NAMED(load_doubles)(axes);
            high += vector[i] * NAMED(load_doubles)(axes + WIDTH / 2);
            next_low += vector[i + 1] * NAMED(load_doubles)(axes + WIDTH);
            next_high += vector[i + 1] * NAMED(load_doubles)(axes + WIDTH + WIDTH / 2);
        }
        if (i < size) {
            low += vector[i] * NAMED(load_doubles)(axes);
            high += vector[i] * NAMED(load_doubles)(axes + WIDTH / 2);
            axes += WIDTH;
        }
        low += next_low;
        high += next_high;
        memcpy(inside, &low, sizeof low);
        memcpy(inside + WIDTH / 2, &high, sizeof high);
    }
}
