/* How far patches are from the nearest pictures but some: the inner loop of runtime/learning/normals/strangeness.py.
 *
 * Each squared distance is computed by the same operations in float, in the same order, on every processor.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>

#include "../../buffers.h"

#define MAX_TWINS 15

enum { PRODUCTS, LENGTHS, NORMS, WEIGHTS, STARTS, OUT, BUFFERS };

static const int bytes_of[BUFFERS] = {4, 4, 4, 4, 8, 4};

struct Bank {
    Py_ssize_t entries, pictures, own, twins;
    const float *norms, *weights;
    const int64_t *starts;
};

/* Return the `twins + 1`-th smallest of the pictures' smallest squares; entries are sorted by picture. */
static float nearest_but(const struct Bank *in, const float *products, float length, float *squares)
{
    float least[MAX_TWINS + 1];
    for (Py_ssize_t i = 0; i <= in->twins; i++)
        least[i] = INFINITY;
    for (Py_ssize_t i = 0; i < in->entries; i++)
        squares[i] = ((products[i] * -2.0f + in->norms[i]) + length) * in->weights[i];
    for (Py_ssize_t picture = 0; picture < in->pictures; picture++) {
        Py_ssize_t end = picture + 1 < in->pictures ? in->starts[picture + 1] : in->entries;
        float smallest = INFINITY;
        for (Py_ssize_t i = in->starts[picture]; i < end; i++)
            smallest = squares[i] < smallest ? squares[i] : smallest;
        if (picture == in->own || !(smallest < least[in->twins]))
            continue;
        Py_ssize_t at = in->twins;
        for (; at > 0 && least[at - 1] > smallest; at--)
            least[at] = least[at - 1];
        least[at] = smallest;
    }
    return least[in->twins];
}

PyDoc_STRVAR(nearest_doc,
    "nearest(products, lengths, norms, weights, starts, own, twins, out): write to `out`, float32 [n], the `twins + 1`-th\n"
    "smallest of the pictures' smallest squared distances, weighted, but for the picture `own`. `products` float32 [n, k]\n"
    "are those of n patches with k entries, `lengths` float32 [n] and `norms` float32 [k] their squared lengths, `weights`\n"
    "float32 [k]; entries from `starts` int64 [pictures] on are of one picture each.");

static PyObject *nearest(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer in[BUFFERS];
    struct Bank of;
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*nnw*", &in[PRODUCTS], &in[LENGTHS], &in[NORMS], &in[WEIGHTS], &in[STARTS], &of.own, &of.twins,
            &in[OUT]))
        return NULL;
    Py_ssize_t wide = (Py_ssize_t)sizeof(float), patches = in[LENGTHS].len / wide;
    of.entries = in[NORMS].len / wide;
    of.pictures = in[STARTS].len / (Py_ssize_t)sizeof(int64_t);
    of.norms = in[NORMS].buf;
    of.weights = in[WEIGHTS].buf;
    of.starts = in[STARTS].buf;
    int fits = buffers_hold(in, bytes_of, BUFFERS) && of.twins >= 0 && of.twins <= MAX_TWINS
        && in[WEIGHTS].len == in[NORMS].len && in[OUT].len == in[LENGTHS].len
        && (patches && of.entries
                ? in[PRODUCTS].len % in[NORMS].len == 0 && in[PRODUCTS].len / in[NORMS].len == patches
                : !in[PRODUCTS].len);
    for (Py_ssize_t i = 0; fits && i < of.pictures; i++)
        fits = of.starts[i] >= (i ? of.starts[i - 1] : 0) && of.starts[i] <= of.entries;
    float *squares = fits ? PyMem_Malloc((size_t)(of.entries + 1) * sizeof *squares) : NULL;
    if (squares) {
        const float *products = in[PRODUCTS].buf, *lengths = in[LENGTHS].buf;
        float *out = in[OUT].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < patches; i++)
            out[i] = nearest_but(&of, products + i * of.entries, lengths[i], squares);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "arrays of other shapes");
    }
    int failed = !squares;
    PyMem_Free(squares);
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&in[i]);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"nearest", nearest, METH_VARARGS, nearest_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_nearest", "Distances to pictures.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__nearest(void)
{
    return PyModule_Create(&module);
}
