/* The module for Python: distances row by row, and what the other files add. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

#include "arguments.h"
#include "choose.h"
#include "history.h"
#include "tables.h"

PyDoc_STRVAR(distances_doc,
    "distances(size, features, entries, rows, divisors, out): row by row, of features and entries.");

static PyObject *distances(PyObject *self, PyObject *args)
{
    (void)self;
    /* features float32 [n or 1, size], entries float32 [k, size], rows of these int64 [n] or empty: 0 to n - 1,
     * divisors float32 [k] or empty: all 1, out float32 [n] */
    static const int bytes_of[5] = {4, 4, 8, 4, 4};
    Py_buffer in[5];
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "ny*y*y*y*w*", &size, &in[0], &in[1], &in[2], &in[3], &in[4]))
        return NULL;
    const float *features = in[0].buf, *entries = in[1].buf, *divisors = in[3].len ? in[3].buf : NULL;
    const int64_t *rows = in[2].buf;
    float *out = in[4].buf;
    Py_ssize_t count = floats(&in[4]), asked = numbers(&in[2]);
    Py_ssize_t patches = rows_of(&in[0], size), stored = rows_of(&in[1], size);
    int each = patches == count;
    int fits = (each || patches == 1) && stored >= 0 && (asked ? asked == count : stored == count || !count)
        && (!divisors || floats(&in[3]) == stored);
    int good = all_hold(in, bytes_of, 5) && (fits ? all_below(stored, rows, asked) : refuse("arrays of other shapes"));
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) {
            if (asked && i + AHEAD < count)
                fetch(entries + rows[i + AHEAD] * size, size);
            const Py_ssize_t row = asked ? rows[i] : i;
            const float *feature = features + (each ? i * size : 0);
            out[i] = sqrtf(square(feature, entries + row * size, size, INFINITY)) / (divisors ? divisors[row] : 1);
        }
        Py_END_ALLOW_THREADS
    }
    release(in, 5);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(use_doc,
    "use(name) -> bool: take the loops `plain` or `avx2`, or the best with an empty name; False where this processor\n"
    "lacks them. All find the same: for tests.");

static PyObject *use(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(args, "s", &name))
        return NULL;
    return PyBool_FromLong(choose_loops(name));
}

static PyMethodDef methods[] = {
    {"use", use, METH_VARARGS, use_doc},
    {"distances", distances, METH_VARARGS, distances_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernels", "The inner loops of the search.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernels(void)
{
    choose_loops("");
    PyObject *made = PyModule_Create(&module);
    if (made && (PyModule_AddFunctions(made, history_methods) < 0
                 || PyModule_AddIntConstant(made, "BLOCK", BLOCK) < 0
                 || PyModule_AddIntConstant(made, "WIDTH", WIDTH) < 0
                 || PyModule_AddIntConstant(made, "NARROW", NARROW) < 0
                 || PyModule_AddIntConstant(made, "STAGES", STAGES) < 0
                 || PyModule_AddType(made, &tables_type) < 0)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
