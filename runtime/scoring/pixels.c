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
#define LANES 4          /* a pixel and a value that is not used: as many as a vector has */
#define LIMIT 65535      /* maximum pixels of a side: no sum overflows */
#define ADDED 256        /* rows of 8 bits whose sum fits into 16 */

#if defined(__x86_64__) && defined(__GLIBC__)
#define WIDER __attribute__((target_clones("avx2", "default")))  /* all sums are of whole numbers: the same for both */
#else
#define WIDER
#endif

#define INLINE static inline __attribute__((always_inline))

typedef double Sums __attribute__((vector_size(LANES * sizeof(double))));

/* The input pixels covered by one output pixel; weights in units of 1 / `outputs` input pixels. */
struct Span {
    Py_ssize_t first, last;      /* input pixels, inclusive */
    int32_t of_first, of_last;   /* their weights; 0 for the last if it is the first; those between count in full */
};

static struct Span span_of(Py_ssize_t place, Py_ssize_t inputs, Py_ssize_t outputs)
{
    Py_ssize_t begin = place * inputs, end = begin + inputs;
    struct Span span = {begin / outputs, (end - 1) / outputs, 0, 0};
    Py_ssize_t after_first = (span.first + 1) * outputs;
    span.of_first = (int32_t)((end < after_first ? end : after_first) - begin);
    span.of_last = span.last > span.first ? (int32_t)(end - span.last * outputs) : 0;
    return span;
}

WIDER static void add_rows(uint16_t *sum, const uint8_t *row, Py_ssize_t size, Py_ssize_t rows)
{
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (; rows > 0; rows--, row += size)
        for (Py_ssize_t i = 0; i < size; i++)
            sum[i] = (uint16_t)(sum[i] + row[i]);
}

/* Sum the columns under a row of the output: at most 255 LIMIT, which a double holds exactly, as all sums below. */
WIDER static void sum_columns(
    double *sum, uint16_t *room, const uint8_t *image, Py_ssize_t size, struct Span span, int32_t whole)
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

INLINE Sums load(const double *sums)
{
    Sums some;
    memcpy(&some, sums, sizeof some);
    return some;
}

/* Sum what each pixel of a row of the output covers. */
WIDER static void sum_pixels(
    double *sums, const double *columns, const struct Span *spans, Py_ssize_t count, double whole)
{
    for (Py_ssize_t place = 0; place < count; place++) {
        const struct Span span = spans[place];
        const double *first = columns + span.first * CHANNELS, *last = columns + span.last * CHANNELS;
        Sums sum = (double)span.of_first * load(first) + (double)span.of_last * load(last);
        for (const double *pixel = first + CHANNELS; pixel < last; pixel += CHANNELS)
            sum += whole * load(pixel);
        memcpy(sums + place * CHANNELS, &sum, sizeof sum);  /* the next pixel overwrites the value that is not used */
    }
}

/* Divide by the area, and round half to even. A quotient by the reciprocal is off by less than 1e-13. What is no tie is
 * at least half of 1 / area from one: so to round a little more and a little less up, by a quarter of 1 / area, gives the
 * same number, or for a tie the two beside it. */
WIDER static void level(uint8_t *out, const double *sums, Py_ssize_t count, double area)
{
    const double by = 1 / area, little = 0.25 / area, half = 0.5 * area;
    for (Py_ssize_t i = 0; i < count; i++) {
        double mean = (sums[i] + half) * by;
        int32_t up = (int32_t)(mean + little), down = (int32_t)(mean - little);
        out[i] = (uint8_t)(down + ((up - down) & down));
    }
}

struct Size {
    Py_ssize_t height, width;
};

struct Room {
    double *columns;
    uint16_t *added;
    struct Span *spans;
    double *sums;
};

static void shrink(const uint8_t *image, struct Size have, uint8_t *out, struct Size want, const struct Room *room)
{
    double area = (double)have.height * (double)have.width;
    Py_ssize_t size = have.width * CHANNELS, out_size = want.width * CHANNELS;
    for (Py_ssize_t column = 0; column < want.width; column++)
        room->spans[column] = span_of(column, have.width, want.width);
    for (Py_ssize_t row = 0; row < want.height; row++, out += out_size) {
        struct Span span = span_of(row, have.height, want.height);
        sum_columns(room->columns, room->added, image, size, span, (int32_t)want.height);
        sum_pixels(room->sums, room->columns, room->spans, want.width, (double)want.width);
        level(out, room->sums, out_size, area);
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
    size_t size = fits ? (size_t)(have.width * CHANNELS) : 0, out_size = fits ? (size_t)(want.width * CHANNELS) : 0;
    struct Room room = {0};
    if (fits) {
        room.columns = PyMem_Calloc(size + LANES, sizeof *room.columns);
        room.added = PyMem_Calloc(size, sizeof *room.added);
        room.spans = PyMem_Calloc((size_t)want.width, sizeof *room.spans);
        room.sums = PyMem_Calloc(out_size + LANES, sizeof *room.sums);
    }
    int ready = room.columns && room.added && room.spans && room.sums;
    if (ready) {
        Py_BEGIN_ALLOW_THREADS
        shrink(image.buf, have, out.buf, want, &room);
        Py_END_ALLOW_THREADS
    } else if (fits) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "sizes that do not fit");
    }
    PyMem_Free(room.columns);
    PyMem_Free(room.added);
    PyMem_Free(room.spans);
    PyMem_Free(room.sums);
    PyBuffer_Release(&image);
    PyBuffer_Release(&out);
    if (!ready)
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
