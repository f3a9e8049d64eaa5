/* What is done to the patch features of a frame after the graph, in two passes over them: each channel less a share of
 * its mean over the frame, less what is usual at that position, times a factor.
 *
 * The means are added up in one order, in float for a few patches and in double for all, and nothing is fused, so every
 * processor computes the same. On an x86 that has it the compiler makes AVX2 of the loops, else what all have.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#include "../buffers.h"

enum { FEATURES, JUDGED, SCALE, OFFSET, BUFFERS };

static const int bytes_of[BUFFERS] = {4, 1, 4, 4};

#define TOGETHER 32  /* patches that are added in float */

#define INLINE static inline __attribute__((always_inline))

struct Frame {
    float *features;        /* [patches, channels] */
    const uint8_t *judged;  /* [patches]; null: all */
    const float *scale;     /* [channels] */
    const float *offset;    /* [patches, channels]; null: nothing */
    Py_ssize_t patches, channels;
    double share;
    double *sums;  /* [channels] */
    float *shift;  /* [channels]: a share of the mean; while they are added up, the sums in float */
};

/* Add sums in float to those in double, and begin them again. */
INLINE void carry(double *restrict sums, float *restrict some, Py_ssize_t channels)
{
    for (Py_ssize_t j = 0; j < channels; j++) {
        sums[j] += some[j];
        some[j] = 0;
    }
}

/* Have a share of the mean of each channel over the judged patches; no patch gives 0. */
INLINE void find_shift(const struct Frame *in)
{
    double *restrict sums = in->sums;
    float *restrict shift = in->shift;
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < in->patches; i++) {
        if (in->judged && !in->judged[i])
            continue;
        const float *restrict row = in->features + i * in->channels;
        for (Py_ssize_t j = 0; j < in->channels; j++)
            shift[j] += row[j];
        if (++count % TOGETHER == 0)
            carry(sums, shift, in->channels);
    }
    carry(sums, shift, in->channels);
    for (Py_ssize_t j = 0; j < in->channels; j++)
        shift[j] = count ? (float)(in->share * sums[j] / (double)count) : 0;
}

INLINE void move_and_scale(const struct Frame *in)
{
    const float *restrict shift = in->shift, *restrict scale = in->scale;
    for (Py_ssize_t i = 0; i < in->patches; i++) {
        float *restrict row = in->features + i * in->channels;
        if (in->offset) {
            const float *restrict usual = in->offset + i * in->channels;
            for (Py_ssize_t j = 0; j < in->channels; j++)
                row[j] = (row[j] - shift[j] - usual[j]) * scale[j];
        } else {
            for (Py_ssize_t j = 0; j < in->channels; j++)
                row[j] = (row[j] - shift[j]) * scale[j];
        }
    }
}

INLINE void adjust_all(const struct Frame *in)
{
    if (in->share > 0)
        find_shift(in);
    move_and_scale(in);
}

static void adjust_plain(const struct Frame *in)
{
    adjust_all(in);
}

static void (*adjust_frame)(const struct Frame *) = adjust_plain;

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void adjust_avx2(const struct Frame *in)
{
    adjust_all(in);
}

static void choose_loops(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        adjust_frame = adjust_avx2;
}
#else
static void choose_loops(void) {}
#endif

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
    struct Frame frame = {
        .features = in[FEATURES].buf, .judged = in[JUDGED].len ? in[JUDGED].buf : NULL, .scale = in[SCALE].buf,
        .offset = in[OFFSET].len ? in[OFFSET].buf : NULL, .patches = patches, .channels = channels, .share = share,
        .sums = fits ? PyMem_Calloc((size_t)channels, sizeof(double)) : NULL,
        .shift = fits ? PyMem_Calloc((size_t)channels, sizeof(float)) : NULL,
    };
    int good = frame.sums && frame.shift;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        adjust_frame(&frame);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "arrays of other shapes");
    }
    PyMem_Free(frame.sums);
    PyMem_Free(frame.shift);
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&in[i]);
    if (!good)
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
    choose_loops();
    return PyModule_Create(&module);
}
