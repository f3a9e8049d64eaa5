/* What patches remember from frame to frame, as Python calls it. */
#include "history.h"

#include <string.h>

#include "arguments.h"
#include "search.h"

/* Put an entry in front of what a patch remembers: if it is known, it moves there, else the oldest goes. */
INLINE void remember(int64_t *own, Py_ssize_t length, int64_t entry)
{
    Py_ssize_t place = 0;
    while (place < length - 1 && own[place] != entry)
        place++;
    memmove(own + 1, own, (size_t)place * sizeof(int64_t));
    own[0] = entry;
}

PyDoc_STRVAR(learn_doc, "learn(history, rows, index): put entries in front of what patches remember.");

static PyObject *learn(PyObject *self, PyObject *args)
{
    (void)self;
    Py_ssize_t length;
    static const int bytes_of[3] = {8, 8, 8};
    Py_buffer in[3];  /* history int64 [n, length], rows int64 [r], index int64 [r] */
    if (!PyArg_ParseTuple(args, "nw*y*y*", &length, &in[0], &in[1], &in[2]))
        return NULL;
    int64_t *history = in[0].buf;
    const int64_t *rows = in[1].buf, *index = in[2].buf;
    Py_ssize_t count = numbers(&in[1]);
    int fits = length > 0 && in[2].len == in[1].len;
    int good = all_hold(in, bytes_of, 3)
        && (fits ? all_below(numbers(&in[0]) / length, rows, count) : refuse("arrays of other shapes"));
    for (Py_ssize_t i = 0; good && i < count; i++)
        remember(history + rows[i] * length, length, index[i]);
    release(in, 3);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(learn_found_doc,
    "learn_found(history, index, tier, active): put what was found for patches in front of what they remember, where more\n"
    "than one entry was looked at; the share of patches that were searched by the tables, the graph or the bank.");

static PyObject *learn_found(PyObject *self, PyObject *args)
{
    (void)self;
    static const int bytes_of[4] = {8, 8, 1, 1};
    Py_buffer in[4];  /* history int64 [n, length], index int64 [n], tier uint8 [n], active bool [n] or empty: all */
    if (!PyArg_ParseTuple(args, "w*y*y*y*", &in[0], &in[1], &in[2], &in[3]))
        return NULL;
    const Py_ssize_t count = in[2].len, length = count ? numbers(&in[0]) / count : 0;
    const uint8_t *tier = in[2].buf, *active = in[3].len ? in[3].buf : NULL;
    int good = all_hold(in, bytes_of, 4)
        && ((numbers(&in[1]) == count && length > 0 && numbers(&in[0]) == count * length
             && (!active || in[3].len == count)) || refuse("arrays of other shapes"));
    Py_ssize_t judged = 0, searched = 0;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        if (active && !active[i])
            continue;
        judged++;
        searched += tier[i] >= NEAR;
        if (tier[i] > KNOWN)
            remember((int64_t *)in[0].buf + i * length, length, ((const int64_t *)in[1].buf)[i]);
    }
    release(in, 4);
    return good ? PyFloat_FromDouble(judged ? (double)searched / (double)judged : 0) : NULL;
}

PyMethodDef history_methods[] = {
    {"learn", learn, METH_VARARGS, learn_doc},
    {"learn_found", learn_found, METH_VARARGS, learn_found_doc},
    {NULL, NULL, 0, NULL},
};
