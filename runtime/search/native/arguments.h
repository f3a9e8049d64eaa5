/* What the functions of the module check of their arguments.
 *
 * All functions take C-contiguous buffers. Sizes are checked here; the meaning of the arrays is documented by their
 * callers, runtime/search/full.py and runtime/search/pruned.py.
 */
#ifndef PATCHEDGE_ARGUMENTS_H
#define PATCHEDGE_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#include "../../buffers.h"

static inline int refuse(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return 0;
}

static inline Py_ssize_t floats(const Py_buffer *buffer)
{
    return buffer->len / (Py_ssize_t)sizeof(float);
}

static inline Py_ssize_t numbers(const Py_buffer *buffer)
{
    return buffer->len / (Py_ssize_t)sizeof(int64_t);
}

/* Return the number of rows of a buffer, -1 if they are not complete. */
static inline Py_ssize_t rows_of(const Py_buffer *buffer, Py_ssize_t size)
{
    return size > 0 && floats(buffer) % size == 0 ? floats(buffer) / size : -1;
}

static inline int all_hold(const Py_buffer *buffers, const int *bytes, int count)
{
    return buffers_hold(buffers, bytes, count) || refuse("arrays of other types, or that are not aligned");
}

/* Return whether all are from 0 to below `end`; without comparisons, as SSE2 has none for 64 bits. */
static inline int all_below(int64_t end, const int64_t *some, Py_ssize_t count)
{
    uint64_t signs = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        signs |= (uint64_t)some[i] | ((uint64_t)(end - 1) - (uint64_t)some[i]);
    return signs >> 63 ? refuse("a number out of range") : 1;
}

static inline void release(Py_buffer *buffers, int count)
{
    for (int i = 0; i < count; i++)
        PyBuffer_Release(&buffers[i]);
}

#endif
