/* Included by kernels.c once for each instruction set, with NAMED to tell the instances apart: GCC lowers vectors to the
 * instruction set of the enclosing function, so inline functions of another one would undo it. `lanes`, the bits of a
 * comparison, and `multiply` are in kernels.c.
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

/* Bound by the first coordinates alone: of a block of the middles. */
static __attribute__((noinline)) uint32_t NAMED(bound_narrow)(const float *block, const struct Aim *aim)
{
    int32_t products[BLOCK] = {0};
    NAMED(multiply)((const int8_t *)(block + NARROW_COLUMNS * BLOCK), aim->levels, aim->narrow, products);
    return NAMED(possible)(block, block + BLOCK, products, aim, aim->narrow_limit);
}

/* Bound by all coordinates, unless the first ones exclude all points: of a block of the entries. */
static __attribute__((noinline)) uint32_t NAMED(bound)(const float *block, const struct Aim *aim)
{
    int32_t products[BLOCK] = {0};
    const float *lengths = block + NARROW_COLUMNS * BLOCK + aim->narrow * (BLOCK / 2);
    NAMED(multiply)((const int8_t *)(block + NARROW_COLUMNS * BLOCK), aim->levels, aim->narrow, products);
    if (!NAMED(possible)(block, block + BLOCK, products, aim, aim->narrow_limit))
        return 0;
    NAMED(multiply)((const int8_t *)(lengths + BLOCK), aim->levels + aim->narrow, aim->pairs - aim->narrow, products);
    return NAMED(possible)(lengths, block + BLOCK, products, aim, aim->limit);
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
