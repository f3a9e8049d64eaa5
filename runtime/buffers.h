/* What all C extensions check of the arrays that they get. */
#ifndef PATCHEDGE_BUFFERS_H
#define PATCHEDGE_BUFFERS_H

#include <Python.h>

#include <stdint.h>

/* Return whether each buffer is empty, or of items of so many bytes, a power of two, that are aligned. `y*` and `w*` see
 * that all are C-contiguous. */
static int buffers_hold(const Py_buffer *buffers, const int *bytes, int count)
{
    for (int i = 0; i < count; i++)
        if (buffers[i].len && (buffers[i].itemsize != bytes[i] || (uintptr_t)buffers[i].buf % (size_t)bytes[i]))
            return 0;
    return 1;
}

#endif
