/* The searches of one frame over the tables of a bank, as Python calls them. */
#include "tables.h"

#include <math.h>

#include "arguments.h"

/* The buffers of one frame: features float32 [n, D]; in and out: distance float32 [n], index int64 [n], tier uint8 [n];
 * history int64 [n, length] or empty, around int64 [n, a]; and for `search` active bool [n] or empty. */
enum { FEATURES, DISTANCE, INDEX, TIER, HISTORY, AROUND, FRAME, ACTIVE = FRAME };

static const int bytes_of_frame[FRAME] = {4, 4, 8, 1, 8, 8};

/* Set up a search of a frame over the tables. */
static struct Search search_of(const struct Tables *self, const Py_buffer *in)
{
    const Py_ssize_t count = floats(&in[DISTANCE]);
    struct Search search = self->search;
    search.count = count;
    search.features = in[FEATURES].buf;
    search.distance = in[DISTANCE].buf;
    search.index = in[INDEX].buf;
    search.tier = in[TIER].buf;
    search.history = in[HISTORY].len ? in[HISTORY].buf : NULL;
    search.around = in[AROUND].buf;
    search.length = count ? numbers(&in[HISTORY]) / count : 0;
    search.neighbours = count ? numbers(&in[AROUND]) / count : 0;
    return search;
}

static int frame_fits(const struct Search *search, const Py_buffer *in)
{
    const Py_ssize_t count = search->count;
    if (!all_hold(in, bytes_of_frame, FRAME))
        return 0;
    if (!(rows_of(&in[FEATURES], search->size) == count && numbers(&in[INDEX]) == count && in[TIER].len == count
          && numbers(&in[HISTORY]) == count * search->length && numbers(&in[AROUND]) == count * search->neighbours
          && (search->history || !search->neighbours)))
        return refuse("arrays of other shapes");
    return all_below(search->stored, search->history, count * search->length)
        && all_below(count, search->around, count * search->neighbours);
}

static int make_room(struct Search *search)
{
    const Py_ssize_t threads = search->threads;
    struct Room *room = &search->room;
    room->levels = PyMem_Malloc((size_t)((TOGETHER + threads) * search->pairs) * sizeof(int32_t));
    room->axes = PyMem_Malloc((size_t)(threads * (search->coordinates + WIDTH + search->size + 1)) * sizeof(double));
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

PyDoc_STRVAR(search_doc,
    "search(features, active, (distance, index, tier), (history, around, expected), k, listed): bound all distances, and\n"
    "refine them, best first, until what decides is exact; the k-th largest. Not `listed`: only the first known entry of\n"
    "each patch is compared.");

static PyObject *tables_search(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME + 1];
    Py_ssize_t k;
    float expected, decides = 0;
    int listed;
    if (!PyArg_ParseTuple(
            args, "y*y*(w*w*w*)(y*y*f)np", &in[FEATURES], &in[ACTIVE], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY],
            &in[AROUND], &expected, &k, &listed))
        return NULL;
    struct Search search = search_of(self, in);
    search.k = k;
    search.listed = listed;
    search.active = in[ACTIVE].len ? in[ACTIVE].buf : NULL;
    int good = (k > 0 || refuse("counts that mean nothing"))
        && (!search.active || in[ACTIVE].len == search.count || refuse("arrays of other shapes")) && frame_fits(&search, in)
        && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        search.enough = SAFELY * expected;
        begin(&search);
        decides = settle(&search, INFINITY, expected);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME + 1);
    return good ? PyFloat_FromDouble(decides) : NULL;
}

PyDoc_STRVAR(settle_doc,
    "settle(features, (distance, index, tier), (history, around, expected), k, at_least): refine, best first, until what\n"
    "decides is exact.");

static PyObject *tables_settle(PyObject *object, PyObject *args)
{
    struct Tables *self = (struct Tables *)object;
    Py_buffer in[FRAME];
    Py_ssize_t k;
    float expected, at_least;
    if (!PyArg_ParseTuple(
            args, "y*(w*w*w*)(y*y*f)nf", &in[FEATURES], &in[DISTANCE], &in[INDEX], &in[TIER], &in[HISTORY], &in[AROUND],
            &expected, &k, &at_least))
        return NULL;
    struct Search search = search_of(self, in);
    search.k = k;
    int good = (k > 0 || refuse("counts that mean nothing")) && frame_fits(&search, in)
        && all_below(search.stored, search.index, search.count) && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        settle(&search, at_least, expected);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
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
    struct Search search = search_of(self, in);
    int good = frame_fits(&search, in) && all_below(search.stored, search.index, search.count) && make_room(&search);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        tell_apart(&search, at_least);
        Py_END_ALLOW_THREADS
        self->compared += search.compared;
    }
    free_room(&search.room);
    release(in, FRAME);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyMethodDef tables_methods[] = {
    {"search", tables_search, METH_VARARGS, search_doc},
    {"settle", tables_settle, METH_VARARGS, settle_doc},
    {"tell_apart", tables_tell_apart, METH_VARARGS, tell_apart_doc},
    {NULL, NULL, 0, NULL},
};
