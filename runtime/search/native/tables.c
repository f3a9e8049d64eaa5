/* The tables of a bank, created once, as Python calls them. */
#include "tables.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

#include "arguments.h"

#define MAX_THREADS 64

static const int bytes_of_tables[TABLES] = {4, 4, 4, 8, 8, 8, 4, 4, 8};

static int tables_fit(const struct Search *search, const Py_buffer *held)
{
    const Py_ssize_t across = (search->groups + BLOCK - 1) / BLOCK;
    const Py_ssize_t axes = (search->coordinates - 1 + WIDTH - 1) / WIDTH * WIDTH;
    if (!all_hold(held, bytes_of_tables, TABLES))
        return 0;
    if (!(search->stored > 0 && search->coordinates > 0 && floats(&held[DIVISORS]) == search->stored
          && held[BESIDE].len == search->stored * search->each * (Py_ssize_t)sizeof(int32_t)
          && numbers(&held[ORDER]) == search->groups * BLOCK && floats(&held[ENTRIES]) == search->groups * search->block
          && floats(&held[MIDDLES]) == across * search->narrow_block
          && held[AXES].len == search->size * axes * (Py_ssize_t)sizeof(double)))
        return refuse("arrays of other shapes");
    for (Py_ssize_t i = 0; i < search->stored; i++)
        if (!(search->divisors[i] > 0 && search->divisors[i] < INFINITY))
            return refuse("a divisor that is not above 0");
    for (Py_ssize_t i = 0; i < search->groups * BLOCK; i++)
        if (search->order[i] < -1 || search->order[i] >= search->stored)
            return refuse("a number out of range");
    for (Py_ssize_t i = 0; i < search->stored * search->each; i++)
        if (search->beside[i] < 0 || search->beside[i] >= search->stored)
            return refuse("a number out of range");
    return 1;
}

static void tables_free(PyObject *self)
{
    release(((struct Tables *)self)->held, TABLES);
    PyMem_Free(((struct Tables *)self)->sketched);
    Py_TYPE(self)->tp_free(self);
}

/* Round centre and axes to float32, with a channel more, of nothing, if their number is odd; and have the lengths of the
 * points of groups, |c|^2, from |c|^2 - reach^2, width^2 and 2 reach width. */
static int make_sketch(struct Tables *self)
{
    struct Search *search = &self->search;
    const Py_ssize_t size = search->size, even = (size + 1) / 2 * 2;
    const Py_ssize_t blocks = (search->coordinates - 1 + WIDTH - 1) / WIDTH, across = (search->groups + BLOCK - 1) / BLOCK;
    self->sketched = PyMem_Calloc((size_t)(even + blocks * even * WIDTH + across * BLOCK), sizeof(float));
    if (!self->sketched)
        return PyErr_NoMemory() != NULL;
    float *axes = self->sketched + even, *squares = axes + blocks * even * WIDTH;
    for (Py_ssize_t i = 0; i < size; i++)
        self->sketched[i] = (float)search->centre[i];
    for (Py_ssize_t block = 0; block < blocks; block++)
        for (Py_ssize_t i = 0; i < size * WIDTH; i++)
            axes[block * even * WIDTH + i] = (float)search->axes[block * size * WIDTH + i];
    for (Py_ssize_t i = 0; i < across * BLOCK; i++) {
        const float *columns = search->middles + i / BLOCK * search->narrow_block + i % BLOCK;
        float reach = columns[BLOCK] > 0 ? columns[2 * BLOCK] * columns[2 * BLOCK] / (4 * columns[BLOCK]) : 0;
        squares[i] = columns[0] + reach;
    }
    search->sketched_centre = self->sketched;
    search->sketched_axes = axes;
    search->squares = squares;
    return 1;
}

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    /* bank float32 [k, D], beside int32 [k, b] or empty, divisors float32 [k], centre float64 [D], axes float64
     * [blocks, D, WIDTH], steps float64 [c], middles and entries of blocks of float32, order int64 [groups, BLOCK] */
    Py_buffer in[TABLES];
    double largest, levels, widest;
    int threads;
    if (named && PyDict_GET_SIZE(named) > 0) {
        PyErr_SetString(PyExc_TypeError, "Tables takes no arguments by name");
        return NULL;
    }
    if (!PyArg_ParseTuple(
            args, "y*y*y*y*y*y*y*y*y*dddi", &in[BANK], &in[BESIDE], &in[DIVISORS], &in[CENTRE], &in[AXES], &in[STEPS],
            &in[MIDDLES], &in[ENTRIES], &in[ORDER], &largest, &levels, &widest, &threads))
        return NULL;
    struct Tables *self = (struct Tables *)type->tp_alloc(type, 0);
    if (!self) {
        release(in, TABLES);
        return NULL;
    }
    memcpy(self->held, in, sizeof in);
    const Py_ssize_t size = in[CENTRE].len / (Py_ssize_t)sizeof(double), stored = rows_of(&in[BANK], size);
    const Py_ssize_t coordinates = in[STEPS].len / (Py_ssize_t)sizeof(double), pairs = (coordinates + 1) / 2;
    const Py_ssize_t narrow = pairs < NARROW / 2 ? pairs : NARROW / 2, most = (pairs + NARROW / 2 - 1) / (NARROW / 2);
    const int stages = most < STAGES ? (int)most : STAGES;
    self->search = (struct Search){
        .size = size, .stored = stored, .bank = in[BANK].buf,
        .divisors = in[DIVISORS].buf, .widest = widest,
        .beside = in[BESIDE].buf, .each = stored > 0 ? in[BESIDE].len / (Py_ssize_t)sizeof(int32_t) / stored : 0,
        .middles = in[MIDDLES].buf, .entries = in[ENTRIES].buf, .order = in[ORDER].buf,
        .centre = in[CENTRE].buf, .axes = in[AXES].buf, .steps = in[STEPS].buf,
        .groups = numbers(&in[ORDER]) / BLOCK, .coordinates = coordinates, .pairs = pairs, .narrow = narrow,
        .stages = stages, .last = pairs - (stages - 1) * narrow,
        .block = BLOCK * (NARROW_COLUMNS + stages - 1) + BLOCK / 2 * pairs,
        .narrow_block = BLOCK * NARROW_COLUMNS + BLOCK / 2 * narrow,
        .largest = largest, .levels = levels, .radius = INFINITY,
        .threads = threads < 1 ? 1 : threads < MAX_THREADS ? threads : MAX_THREADS,
    };
    if (!tables_fit(&self->search, in) || !make_sketch(self)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMemberDef tables_members[] = {
    {"compared", T_PYSSIZET, offsetof(struct Tables, compared), READONLY, "entries that were compared in full so far"},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject tables_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "runtime.search._kernels.Tables",
    .tp_doc = "Tables(bank, beside, divisors, ...): of runtime/search/tables.py, the largest divisor, and how many threads search.",
    .tp_basicsize = sizeof(struct Tables),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = tables_new,
    .tp_dealloc = tables_free,
    .tp_methods = tables_methods,
    .tp_members = tables_members,
};
