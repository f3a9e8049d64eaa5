/* Comparison of patches with the whole bank: of all entries but those that bounds exclude. */
#include "search.h"

#include <string.h>

#define LITTLE_BANK 4096      /* fewer patches times groups of entries are compared by one thread, as in best_first.c */
#define TINY_SQUARE 0x1p-100  /* far above what underflow takes away */

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

void compare(struct Search *in, const int64_t *patches, Py_ssize_t count)
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
