/* Area resize: each pixel is the mean of the input that it covers, rounded to the nearest level, half to even.
 *
 * All sums are integers, so every processor computes the same picture. OpenCV's area kernel adds in float32: one value
 * in a thousand differs by a level between x86 and ARM, and scores by 1e-3.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#define CHANNELS 3
#define LIMIT 65535      /* maximum pixels of a side: no sum overflows */
#define ADDED 256        /* rows of 8 bits whose sum fits into 16 */

/* The input pixels covered by one output pixel; weights in units of 1 / `outputs` input pixels. */
struct Span {
    Py_ssize_t first, last;      /* input pixels, inclusive */
    uint32_t of_first, of_last;  /* their weights; 0 for the last if it is the first; those between count in full */
};

static struct Span span_of(Py_ssize_t place, Py_ssize_t inputs, Py_ssize_t outputs)
{
    Py_ssize_t begin = place * inputs, end = begin + inputs;
    struct Span span = {begin / outputs, (end - 1) / outputs, 0, 0};
    Py_ssize_t after_first = (span.first + 1) * outputs;
    span.of_first = (uint32_t)((end < after_first ? end : after_first) - begin);
    span.of_last = span.last > span.first ? (uint32_t)(end - span.last * outputs) : 0;
    return span;
}

static void add_rows(uint16_t *sum, const uint8_t *row, Py_ssize_t size, Py_ssize_t rows)
{
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (; rows > 0; rows--, row += size)
        for (Py_ssize_t i = 0; i < size; i++)
            sum[i] = (uint16_t)(sum[i] + row[i]);
}

/* Sum the columns under a row of the output. */
static void sum_columns(
    uint32_t *sum, uint16_t *room, const uint8_t *image, Py_ssize_t size, struct Span span, uint32_t whole)
{
    const uint8_t *first = image + span.first * size, *last = image + span.last * size;
    for (Py_ssize_t i = 0; i < size; i++)
        sum[i] = span.of_first * first[i] + span.of_last * last[i];
    for (Py_ssize_t row = span.first + 1; row < span.last; row += ADDED) {
        add_rows(room, image + row * size, size, span.last - row < ADDED ? span.last - row : ADDED);
        for (Py_ssize_t i = 0; i < size; i++)
            sum[i] += whole * room[i];
    }
}

/* Divide, and round half to even: at 2^52 a double has integers only. Both operands are exact. */
static uint8_t level(uint64_t sum, double area)
{
    return (uint8_t)((double)sum / area + 4503599627370496.0 - 4503599627370496.0);
}

static void sum_row(
    uint8_t *out, const uint32_t *columns, struct Span span, uint32_t whole, double area)
{
    const uint32_t *first = columns + span.first * CHANNELS, *last = columns + span.last * CHANNELS;
    uint64_t between[CHANNELS] = {0};
    for (const uint32_t *pixel = first + CHANNELS; pixel < last; pixel += CHANNELS)
        for (int channel = 0; channel < CHANNELS; channel++)
            between[channel] += pixel[channel];
    for (int channel = 0; channel < CHANNELS; channel++)
        out[channel] = level(
            (uint64_t)span.of_first * first[channel] + (uint64_t)span.of_last * last[channel]
                + whole * between[channel],
            area);
}

struct Size {
    Py_ssize_t height, width;
};

static void shrink(
    const uint8_t *image, struct Size have, uint8_t *out, struct Size want, uint32_t *columns, uint16_t *room)
{
    double area = (double)have.height * (double)have.width;
    Py_ssize_t size = have.width * CHANNELS;
    for (Py_ssize_t row = 0; row < want.height; row++) {
        sum_columns(columns, room, image, size, span_of(row, have.height, want.height), (uint32_t)want.height);
        for (Py_ssize_t column = 0; column < want.width; column++, out += CHANNELS)
            sum_row(out, columns, span_of(column, have.width, want.width), (uint32_t)want.width, area);
    }
}

PyDoc_STRVAR(
    shrink_doc,
    "shrink(image, height, width, out, out_height, out_width): uint8 [height, width, 3] to [out_height, out_width, 3].");

static PyObject *shrink_from_python(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer image, out;
    struct Size have, want;
    if (!PyArg_ParseTuple(
            args, "y*nnw*nn", &image, &have.height, &have.width, &out, &want.height, &want.width))
        return NULL;
    int fits = 1 <= want.height && want.height <= have.height && have.height <= LIMIT
        && 1 <= want.width && want.width <= have.width && have.width <= LIMIT
        && image.len == have.height * have.width * CHANNELS && out.len == want.height * want.width * CHANNELS;
    size_t size = fits ? (size_t)(have.width * CHANNELS) : 0;
    uint32_t *columns = fits ? PyMem_Malloc(size * sizeof *columns) : NULL;
    uint16_t *room = fits ? PyMem_Malloc(size * sizeof *room) : NULL;
    if (columns && room) {
        Py_BEGIN_ALLOW_THREADS
        shrink(image.buf, have, out.buf, want, columns, room);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "sizes that do not fit");
    }
    int failed = !columns || !room;
    PyMem_Free(columns);
    PyMem_Free(room);
    PyBuffer_Release(&image);
    PyBuffer_Release(&out);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"shrink", shrink_from_python, METH_VARARGS, shrink_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_pixels", "Shrinking a picture.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__pixels(void)
{
    return PyModule_Create(&module);
}
