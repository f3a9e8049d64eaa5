/* What patches remember from frame to frame, as functions of the module. */
#ifndef PATCHEDGE_HISTORY_H
#define PATCHEDGE_HISTORY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#pragma GCC visibility push(hidden)

extern PyMethodDef history_methods[];

#pragma GCC visibility pop

#endif
