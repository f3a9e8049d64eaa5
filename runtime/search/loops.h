/* Included by kernels.c once for each instruction set, with NAMED to tell the instances apart: GCC lowers vectors to the
 * instruction set of the enclosing function, so inline functions of another one would undo it.
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

INLINE int NAMED(any_of)(Mask mask)
{
    uint64_t halves[sizeof mask / sizeof(uint64_t)];
    memcpy(halves, &mask, sizeof mask);
    return (halves[0] | halves[1] | halves[2] | halves[3]) != 0;
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

/* Add BLOCK elements of a column, times a factor. */
INLINE void NAMED(add)(Vector *one, Vector *other, float times, const float *column)
{
    *one += NAMED(all_lanes)(times) * NAMED(load)(column);
    *other += NAMED(all_lanes)(times) * NAMED(load)(column + WIDTH);
}

/* A bound that is NaN after an overflow counts as possible. */
INLINE int NAMED(possible)(Vector one, Vector other, float limit, int32_t *possible)
{
    Mask first = ~(one > NAMED(all_lanes)(limit)), second = ~(other > NAMED(all_lanes)(limit));
    if (!NAMED(any_of)(first | second))
        return 0;
    memcpy(possible, &first, sizeof first);
    memcpy(possible + WIDTH, &second, sizeof second);
    return 1;
}

/* Find the rows of a BLOCK whose bound is at most the limit of a patch; return whether there are any. A table stores
 * column after column, BLOCK rows side by side; the first column has the factor 1, the others those of the patch. */
static __attribute__((noinline)) int NAMED(bound)(
    const float *table, const float *patch, Py_ssize_t columns, float limit, int32_t *possible)
{
    /* Two independent sums each, for pipelining. */
    Vector one = NAMED(load)(table), other = NAMED(load)(table + WIDTH), next_one = {0}, next_other = {0};
    Py_ssize_t column = 1;
    for (; column + 1 < columns; column += 2) {
        NAMED(add)(&one, &other, patch[column], table + column * BLOCK);
        NAMED(add)(&next_one, &next_other, patch[column + 1], table + (column + 1) * BLOCK);
    }
    if (column < columns)
        NAMED(add)(&one, &other, patch[column], table + column * BLOCK);
    return NAMED(possible)(one + next_one, other + next_other, limit, possible);
}
