/*
 * The items that a function gives for each of many entries, one after the other: flat_map of
 * kvproto/protocol/reference.py, in C. An iterator that takes no interpreter step for an item.
 */
#include "builtins.h"

typedef struct flat_map {
    PyObject_HEAD PyObject *function, *entries, *params, *other, *failed;
    PyObject *items; /* what the function gave for the last entry; NULL between entries */
    iternextfunc next_entry, next_item;
} flat_map;

static int flat_map_traverse(PyObject *object, visitproc visit, void *arg)
{
    flat_map *self = (flat_map *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->function);
    Py_VISIT(self->entries);
    Py_VISIT(self->params);
    Py_VISIT(self->other);
    Py_VISIT(self->failed);
    Py_VISIT(self->items);
    return 0;
}

static int flat_map_clear(PyObject *object)
{
    flat_map *self = (flat_map *)object;
    Py_CLEAR(self->function);
    Py_CLEAR(self->entries);
    Py_CLEAR(self->params);
    Py_CLEAR(self->other);
    Py_CLEAR(self->failed);
    Py_CLEAR(self->items);
    return 0;
}

static void flat_map_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    flat_map_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* A StopIteration of the function is an error, as it is in a generator, and not the end. */
static void check_stop(void)
{
    PyObject *type, *cause, *traceback, *error;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return;
    PyErr_Fetch(&type, &cause, &traceback);
    PyErr_NormalizeException(&type, &cause, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(cause, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    PyException_SetContext(error, Py_NewRef(cause));
    PyException_SetCause(error, cause);
    PyErr_Restore(type, error, traceback);
}

/* Replaces an iterator by one of all its items, which are made now; NULL stays NULL. */
static PyObject *complete(PyObject *items)
{
    PyObject *whole = items == NULL ? NULL : PySequence_List(items);
    PyObject *again = whole == NULL ? NULL : PyObject_GetIter(whole);
    Py_XDECREF(items);
    Py_XDECREF(whole);
    return again;
}

/* Returns an iterator of what the function gives for an entry, or NULL with an exception set. */
static PyObject *items_of(flat_map *self, PyObject *entry)
{
    PyObject *given = PyObject_CallFunctionObjArgs(self->function, entry, self->params, NULL);
    PyObject *items = given == NULL ? NULL : PyObject_GetIter(given);
    if (given != NULL && items == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        PyObject *instead = PyObject_CallFunctionObjArgs(self->other, given, NULL);
        items = instead == NULL ? NULL : PyObject_GetIter(instead);
        Py_XDECREF(instead);
    }
    int is_whole = given != NULL && (PyList_CheckExact(given) || PyTuple_CheckExact(given));
    Py_XDECREF(given);
    return self->failed == Py_None || is_whole ? items : complete(items);
}

/* Pass the exception that is set to `failed`, if it is an Exception. Returns 0, or -1 with one. */
static int pass_failure(flat_map *self, PyObject *entry)
{
    PyObject *type, *error, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *result = PyObject_CallFunctionObjArgs(self->failed, entry, error, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Begin the next entry that has items. Returns 1, 0 at the end, or -1 with an exception set. */
static int begin_entry(flat_map *self)
{
    for (;;) {
        PyObject *entry = self->next_entry(self->entries);
        if (entry == NULL)
            return PyErr_Occurred() ? -1 : 0;
        PyObject *items = items_of(self, entry);
        int status = items != NULL ? 1 : -1;
        if (items == NULL && self->failed == Py_None)
            check_stop();
        else if (items == NULL)
            status = pass_failure(self, entry);
        Py_DECREF(entry);
        if (status == 0)
            continue;
        if (status == 1) {
            self->items = items;
            self->next_item = (iternextfunc)PyType_GetSlot(Py_TYPE(items), Py_tp_iternext);
        }
        return status;
    }
}

static PyObject *flat_map_next(PyObject *object)
{
    flat_map *self = (flat_map *)object;
    if (self->entries == NULL)
        return NULL;
    for (;;) {
        while (self->items == NULL) {
            int is_begun = begin_entry(self);
            if (is_begun != 1) {
                flat_map_clear(object);
                return NULL;
            }
        }
        PyObject *item = self->next_item(self->items);
        if (item != NULL)
            return item;
        if (PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
                flat_map_clear(object);
                return NULL;
            }
            PyErr_Clear();
        }
        Py_CLEAR(self->items);
    }
}

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)flat_map_dealloc}, {Py_tp_traverse, (void *)flat_map_traverse},
    {Py_tp_clear, (void *)flat_map_clear},     {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)flat_map_next},   {0, NULL},
};

static PyType_Spec spec = {
    .name = "kvproto._disco.flat_map",
    .basicsize = sizeof(flat_map),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

PyObject *kvproto_flat_map(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    static PyTypeObject *type;
    if (kvproto_check_count("flat_map", n_args, 5) != 0)
        return NULL;
    if (type == NULL)
        type = (PyTypeObject *)PyType_FromSpec(&spec);
    PyObject *entries = type == NULL ? NULL : PyObject_GetIter(args[1]);
    if (entries == NULL)
        return NULL;
    flat_map *self = PyObject_GC_New(flat_map, type);
    if (self == NULL) {
        Py_DECREF(entries);
        return NULL;
    }
    self->function = Py_NewRef(args[0]);
    self->entries = entries;
    self->params = Py_NewRef(args[2]);
    self->other = Py_NewRef(args[3]);
    self->failed = Py_NewRef(args[4]);
    self->items = NULL;
    self->next_entry = (iternextfunc)PyType_GetSlot(Py_TYPE(entries), Py_tp_iternext);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}
