/* What the tables show to be near to a patch: a few entries that are compared with it, and nothing that is relied on. */
#include "search.h"

#define NEAR_SHARE 64   /* one of so many groups of entries is looked at where the tables show what is near, */
#define MIN_GROUPS 8    /* at least so many, at most MAX_GROUPS */
#define NEAR_ENTRIES 8  /* entries of these that are compared */

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

void look_near(struct Search *in, Py_ssize_t patch, int thread)
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
