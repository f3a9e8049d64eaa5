/* The tables of a bank as a Python object, and its methods. */
#ifndef PATCHEDGE_TABLES_H
#define PATCHEDGE_TABLES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "search.h"

enum { BANK, BESIDE, DIVISORS, CENTRE, AXES, STEPS, MIDDLES, ENTRIES, ORDER, TABLES };

struct Tables {
    PyObject_HEAD
    struct Search search;  /* the constant part; the rest is null */
    Py_buffer held[TABLES];
    float *sketched;
    Py_ssize_t compared;  /* number of full distances so far */
};

#pragma GCC visibility push(hidden)

extern PyTypeObject tables_type;      /* tables.c */
extern PyMethodDef tables_methods[];  /* frame.c */

#pragma GCC visibility pop

#endif
