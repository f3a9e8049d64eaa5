/* What is done to the patch features of a frame after the graph, in two passes over them: each channel less a share of
 * its mean over the frame, less what is usual at that position, times a factor.
 *
 * The means are added up in one order, in float for a few patches and in double for all, so every processor computes the
 * same.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#include "../buffers.h"

enum { FEATURES, JUDGED, SCALE, OFFSET, BUFFERS };

static const int bytes_of[BUFFERS] = {4, 1, 4, 4};

#define TOGETHER 32  /* patches that are added in float */

/* Add sums in float to those in double, and begin them again. */
static void carry(double *sums, float *some, Py_ssize_t channels)
{
    for (Py_ssize_t j = 0; j < channels; j++)
        sums[j] += some[j];
    memset(some, 0, (size_t)channels * sizeof *some);
}

/* Write a share of the mean of each channel over the judged patches; no patch gives 0. */
static void shifts(
    double *sums, float *shift, const float *features, const uint8_t *judged, Py_ssize_t patches, Py_ssize_t channels,
    double share)
{
    Py_ssize_t count = 0;
    memset(sums, 0, (size_t)channels * sizeof *sums);
    memset(shift, 0, (size_t)channels * sizeof *shift);  /* it holds the sums in float at first */
    for (Py_ssize_t i = 0; i < patches; i++) {
        if (judged && !judged[i])
            continue;
        const float *row = features + i * channels;
        for (Py_ssize_t j = 0; j < channels; j++)
            shift[j] += row[j];
        if (++count % TOGETHER == 0)
            carry(sums, shift, channels);
    }
    carry(sums, shift, channels);
    for (Py_ssize_t j = 0; j < channels; j++)
        shift[j] = count ? (float)(share * sums[j] / (double)count) : 0;
}

static void move_and_scale(
    float *features, const float *shift, const float *offset, const float *scale, Py_ssize_t patches, Py_ssize_t channels)
{
    for (Py_ssize_t i = 0; i < patches; i++) {
        float *row = features + i * channels;
        if (offset) {
            const float *usual = offset + i * channels;
            for (Py_ssize_t j = 0; j < channels; j++)
                row[j] = (row[j] - shift[j] - usual[j]) * scale[j];
        } else {
            for (Py_ssize_t j = 0; j < channels; j++)
                row[j] = (row[j] - shift[j]) * scale[j];
        }
    }
}

PyDoc_STRVAR(adjust_doc,
    "adjust(features, judged, scale, share, offset): features float32 [n, D] less `share` of their mean over the judged\n"
    "patches, bool [n] or empty for all, less `offset` float32 [n, D] or empty for none, times `scale` float32 [D]; in\n"
    "place.");

static PyObject *adjust(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer in[BUFFERS];
    double share;
    if (!PyArg_ParseTuple(args, "w*y*y*dy*", &in[FEATURES], &in[JUDGED], &in[SCALE], &share, &in[OFFSET]))
        return NULL;
    Py_ssize_t channels = in[SCALE].len / (Py_ssize_t)sizeof(float);
    Py_ssize_t patches = channels ? in[FEATURES].len / in[SCALE].len : 0;
    int fits = buffers_hold(in, bytes_of, BUFFERS) && channels > 0
        && in[FEATURES].len == patches * in[SCALE].len && (in[JUDGED].len == 0 || in[JUDGED].len == patches)
        && (in[OFFSET].len == 0 || in[OFFSET].len == in[FEATURES].len);
    double *sums = fits ? PyMem_Malloc((size_t)channels * sizeof *sums) : NULL;
    float *shift = fits ? PyMem_Malloc((size_t)channels * sizeof *shift) : NULL;
    if (sums && shift) {
        const uint8_t *judged = in[JUDGED].len ? in[JUDGED].buf : NULL;
        const float *offset = in[OFFSET].len ? in[OFFSET].buf : NULL;
        Py_BEGIN_ALLOW_THREADS
        memset(shift, 0, (size_t)channels * sizeof *shift);
        if (share > 0)
            shifts(sums, shift, in[FEATURES].buf, judged, patches, channels, share);
        move_and_scale(in[FEATURES].buf, shift, offset, in[SCALE].buf, patches, channels);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "arrays of other shapes");
    }
    int failed = !sums || !shift;
    PyMem_Free(sums);
    PyMem_Free(shift);
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&in[i]);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"adjust", adjust, METH_VARARGS, adjust_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_features", "Centring and scaling features.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__features(void)
{
    return PyModule_Create(&module);
}
