/*
 * Sum pairs as they come, without a list of them and without an interpreter step for each:
 * sum_pairs of kvproto/protocol/reference.py, in C.
 *
 * As long as keys are str or bytes and values are ints of 64 bits, the sums are in a table of C
 * numbers and become objects once, at the end. At the first other pair the contents of the table go
 * into the dict, and the sums continue there.
 */
#include "builtins.h"

#include <stdint.h>
#include <string.h>

/*
 * ---- the table: open addressing over entries in the order of their first pair -----------------
 */

/*
 * A key with its first bytes beside its sum, so that a short key is found without reading the
 * object.
 */
typedef struct sum_entry {
    uint64_t size;    /* bytes of the key (of a str: of its UTF-8) times two, plus 1 for a str */
    uint64_t head[2]; /* padded with zeros */
    PyObject *key;    /* a strong reference */
    int64_t sum;
} sum_entry;

typedef struct sum_table {
    sum_entry *entries; /* room for half as many as there are slots */
    uint32_t *slots;    /* 0, or 1 + the number of an entry; a power of two of them */
    size_t n_entries, n_slots;
} sum_table;

enum { FEWEST_SLOTS = 1 << 10 };
static const size_t MOST_SLOTS = (size_t)1
                                 << 20; /* half a million keys: with more, the dict is as fast */

/*
 * Make an entry for a key, with the sum 0. Returns 0, or -1 without an exception for a key that the
 * table cannot hold.
 */
static int make_entry(sum_entry *entry, PyObject *key)
{
    Py_ssize_t size;
    char *data = NULL;
    int is_str = Py_IS_TYPE(key, &PyUnicode_Type);
    if (is_str)
        data = (char *)PyUnicode_AsUTF8AndSize(key, &size);
    else if (Py_IS_TYPE(key, &PyBytes_Type))
        PyBytes_AsStringAndSize(key, &data, &size);
    if (data == NULL) {
        PyErr_Clear(); /* it has lone surrogates, for instance */
        return -1;
    }
    *entry = (sum_entry){.size = 2 * (uint64_t)size + (uint64_t)is_str, .key = key};
    memcpy(entry->head, data,
           (size_t)size < sizeof entry->head ? (size_t)size : sizeof entry->head);
    return 0;
}

static int have_same_key(const sum_entry *one, const sum_entry *other)
{
    if (one->size != other->size || one->head[0] != other->head[0] ||
        one->head[1] != other->head[1])
        return 0;
    return one->size / 2 <= sizeof one->head ||
           PyObject_RichCompareBool(one->key, other->key, Py_EQ) == 1;
}

/* The slot of this key's entry, or the free slot where its number belongs. */
static uint32_t *find_slot(const sum_table *table, const sum_entry *wanted)
{
    size_t at = (size_t)PyObject_Hash(wanted->key); /* Python's own hash, which is randomized:
                                                       nobody can choose keys that collide */
    for (;; at++) {
        uint32_t *slot = &table->slots[at & (table->n_slots - 1)];
        if (*slot == 0 || have_same_key(&table->entries[*slot - 1], wanted))
            return slot;
    }
}

static int grow_table(sum_table *table)
{
    size_t n_slots = table->n_slots == 0 ? FEWEST_SLOTS : 4 * table->n_slots;
    sum_entry *entries =
        n_slots > MOST_SLOTS ? NULL : PyMem_Realloc(table->entries, n_slots / 2 * sizeof *entries);
    if (entries == NULL)
        return -1;
    table->entries = entries;
    uint32_t *slots = PyMem_Calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return -1;
    PyMem_Free(table->slots);
    table->slots = slots;
    table->n_slots = n_slots;
    for (size_t index = 0; index < table->n_entries; index++)
        *find_slot(table, &entries[index]) = (uint32_t)index + 1;
    return 0;
}

/*
 * Returns 1 if the pair was added to its sum; 0 if not, for any reason, and without an exception.
 */
static int add_to_table(sum_table *table, PyObject *key, PyObject *value)
{
    sum_entry wanted;
    int overflow;
    if (!Py_IS_TYPE(value, &PyLong_Type) || make_entry(&wanted, key) != 0)
        return 0;
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || (table->n_entries == table->n_slots / 2 && grow_table(table) != 0))
        return 0;
    uint32_t *slot = find_slot(table, &wanted);
    if (*slot == 0) {
        wanted.key = Py_NewRef(key);
        table->entries[table->n_entries] = wanted;
        *slot = (uint32_t)++table->n_entries;
    }
    int64_t *sum = &table->entries[*slot - 1].sum;
    if (number > 0 ? *sum > INT64_MAX - number : *sum < INT64_MIN - number)
        return 0;
    *sum += number;
    return 1;
}

/* Put the sums into an empty dict and free the table. Returns 0, or -1 with an exception set. */
static int empty_table(sum_table *table, PyObject *sums)
{
    int failed = 0;
    for (size_t index = 0; index < table->n_entries; index++) {
        const sum_entry *entry = &table->entries[index];
        PyObject *sum = failed ? NULL : PyLong_FromLongLong(entry->sum);
        failed = sum == NULL || PyDict_SetItem(sums, entry->key, sum) != 0;
        Py_XDECREF(sum);
        Py_DECREF(entry->key);
    }
    PyMem_Free(table->entries);
    PyMem_Free(table->slots);
    *table = (sum_table){0};
    return failed ? -1 : 0;
}

/* ---- the dict, and the choice between the two ----------------------------------------------- */

/*
 * Returns 1 if the pair was added to its sum; 0 if not, for any reason, and without an exception.
 */
static int add_to_dict(PyObject *sums, PyObject *zero, PyObject *key, PyObject *value)
{
    PyObject *sum = PyDict_GetItemWithError(sums, key);
    if (sum == NULL)
        sum = zero;
    Py_INCREF(sum); /* an addition is Python code and may do anything */
    PyObject *more = PyErr_Occurred() ? NULL : PyNumber_Add(sum, value);
    Py_DECREF(sum);
    int is_added = more != NULL && PyDict_SetItem(sums, key, more) == 0;
    Py_XDECREF(more);
    if (!is_added)
        PyErr_Clear(); /* the caller adds the pair again and gets the same error */
    return is_added;
}

/*
 * Returns the first pair that is left to the caller, a new reference; NULL at the end or with an
 * exception set.
 */
static PyObject *sum_until(PyObject *pairs, PyObject *sums, Py_ssize_t max_keys, PyObject *zero,
                           sum_table *table)
{
    PyObject *pair;
    int has_table = PyDict_Size(sums) == 0;
    while ((pair = PyIter_Next(pairs)) != NULL) {
        Py_ssize_t n_keys = has_table ? (Py_ssize_t)table->n_entries : PyDict_Size(sums);
        if (n_keys >= max_keys || !Py_IS_TYPE(pair, &PyTuple_Type) || PyTuple_Size(pair) != 2)
            return pair;
        PyObject *key = PyTuple_GetItem(pair, 0), *value = PyTuple_GetItem(pair, 1);
        if (has_table && !add_to_table(table, key, value)) {
            has_table = 0;
            if (empty_table(table, sums) != 0)
                return pair;
        }
        if (!has_table && !add_to_dict(sums, zero, key, value))
            return pair;
        Py_DECREF(pair);
    }
    return NULL;
}

PyObject *kvproto_sum_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("sum_pairs", n_args, 3) != 0)
        return NULL;
    sum_table table = {0};
    Py_ssize_t max_keys = PyLong_AsSsize_t(args[2]);
    if (max_keys == -1 && PyErr_Occurred())
        return NULL;
    if (!PyIter_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "sum_pairs() takes an iterator, a dict and an int");
        return NULL;
    }
    PyObject *left = PyList_New(0), *zero = PyLong_FromLong(0), *type, *error, *traceback;
    PyObject *pair =
        left == NULL || zero == NULL ? NULL : sum_until(args[0], args[1], max_keys, zero, &table);
    PyErr_Fetch(
        &type, &error,
        &traceback); /* an error of the iterator: the pairs before it are summed nevertheless */
    int failed =
        empty_table(&table, args[1]) != 0 || (pair != NULL && PyList_Append(left, pair) != 0);
    if (type != NULL)
        PyErr_Restore(type, error, traceback);
    if (failed || type != NULL)
        Py_CLEAR(left);
    Py_XDECREF(pair);
    Py_XDECREF(zero);
    return left;
}
