/* What a patch knows: entries of recent frames, and the table of neighbours that leads on from them. */
#include "search.h"

#define LIST 32  /* entries that a patch knows, of which none is compared twice */

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

void look_at_list(struct Search *in, Py_ssize_t patch)
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
