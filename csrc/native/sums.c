/*
 * Sum pairs as they come, without a list of them and without an interpreter step for each:
 * sum_pairs of kvproto/protocol/reference.py, in C.
 *
 * As long as keys are str or bytes and values are ints of 64 bits, the sums are in a table of C
 * numbers and become objects once, at the end. At the first other pair the contents of the table go
 * into the dict, and the sums continue there.
 */
#include "builtins.h"

#include "crc.h"
#include "keys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * ---- the table: open addressing over entries in the order of their first pair -----------------
 */

/*
 * Two entries fit into a cache line. A key of at most SHORT bytes is in its entry: its bytes in
 * little-endian order, then zeros, then its size and type in the last byte. Of a longer key, there
 * are the first 8 bytes, a part of the hash, and LONG_KEY and the type in the last byte.
 */
typedef struct sum_entry {
    uint64_t head[2];
    PyObject *key; /* a strong reference */
    int64_t sum;
} sum_entry;

typedef struct sum_table {
    sum_entry *entries; /* room for half as many as there are slots */
    uint32_t *slots;    /* 0, or 1 + the number of an entry; a power of two of them */
    size_t n_entries, n_slots;
    uint64_t seed;
    PyObject *last_value; /* a strong reference, or NULL: values are often the same object */
    int64_t last_number;
} sum_table;

enum { SHORT = 15, LONG_KEY = 0x80, CACHE_LINE = 64, FEWEST_SLOTS = 1 << 10 };
static const size_t MOST_SLOTS = (size_t)1
                                 << 20; /* half a million keys: with more, the dict is as fast */

static inline uint64_t last_byte(unsigned int byte) { return (uint64_t)byte << 56; }

static inline int is_long(const sum_entry *entry) { return entry->head[1] >> 56 >= LONG_KEY; }

/*
 * The bytes of a short key, of which the 8 before its end must be readable: whole words, because
 * copying single bytes takes several times as long.
 */
static inline void load_short(uint64_t *head, const unsigned char *data, size_t n_bytes)
{
    uint64_t tail = kvproto_get_u64(data + n_bytes - 8);
    if (n_bytes > 8) {
        head[0] = kvproto_get_u64(data);
        head[1] = tail >> (8 * (16 - n_bytes));
    } else {
        head[0] = n_bytes == 0 ? 0 : tail >> (8 * (8 - n_bytes));
        head[1] = 0;
    }
}

/* The bytes of a str or bytes object, or NULL without an exception. */
static inline const unsigned char *data_of(PyObject *key, int is_str, Py_ssize_t *size)
{
    char *data = NULL;
    if (is_str)
        data = (char *)PyUnicode_AsUTF8AndSize(key, size);
    else if (Py_IS_TYPE(key, &PyBytes_Type))
        PyBytes_AsStringAndSize(key, &data, size);
    if (data == NULL)
        PyErr_Clear(); /* it has lone surrogates, for instance */
    return (unsigned char *)data;
}

/*
 * Make an entry for a key, with the sum 0. Returns 0, or -1 without an exception for a key that the
 * table cannot hold.
 */
static inline int make_entry(sum_entry *entry, PyObject *key)
{
    Py_ssize_t size;
    unsigned int is_str = Py_IS_TYPE(key, &PyUnicode_Type);
    const unsigned char *data = data_of(key, (int)is_str, &size);
    if (data == NULL)
        return -1;
    entry->key = key;
    entry->sum = 0;
    if (size > SHORT) {
        uint64_t hash = (uint64_t)PyObject_Hash(key);
        entry->head[0] = kvproto_get_u64(data);
        entry->head[1] = hash >> 8 | last_byte(LONG_KEY + is_str);
        return 0;
    }
    unsigned char copy[8 + SHORT] = {0};
    /* Where the data is a part of the object, other parts of the object come before it. */
    if ((uintptr_t)data - (uintptr_t)key - 8 > 256) {
        memcpy(copy + 8, data, (size_t)size);
        data = copy + 8;
    }
    load_short(entry->head, data, (size_t)size);
    entry->head[1] |= last_byte(2 * (unsigned int)size + is_str);
    return 0;
}

/* The seed keeps others from choosing short keys that collide. */
static inline size_t hash_of(const sum_table *table, const sum_entry *entry)
{
    return (size_t)mix(mix(table->seed, entry->head[0]), entry->head[1]);
}

static int have_same_key(const sum_entry *one, const sum_entry *other)
{
    if (one->head[0] != other->head[0] || one->head[1] != other->head[1])
        return 0;
    return !is_long(one) || PyObject_RichCompareBool(one->key, other->key, Py_EQ) == 1;
}

/* The slot of this key's entry, or the free slot where its number belongs. */
static uint32_t *find_slot(const sum_table *table, const sum_entry *wanted, size_t hash)
{
    for (size_t at = hash;; at++) {
        uint32_t *slot = &table->slots[at & (table->n_slots - 1)];
        if (*slot == 0 || have_same_key(&table->entries[*slot - 1], wanted))
            return slot;
    }
}

static int grow_table(sum_table *table)
{
    size_t n_slots = table->n_slots == 0 ? FEWEST_SLOTS : 4 * table->n_slots;
    if (n_slots > MOST_SLOTS)
        return -1;
    sum_entry *entries = aligned_alloc(CACHE_LINE, n_slots / 2 * sizeof *entries);
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (entries == NULL || slots == NULL) {
        free(entries);
        free(slots);
        return -1;
    }
    if (table->n_entries > 0)
        memcpy(entries, table->entries, table->n_entries * sizeof *entries);
    free(table->entries);
    free(table->slots);
    table->entries = entries;
    table->slots = slots;
    table->n_slots = n_slots;
    for (size_t index = 0; index < table->n_entries; index++)
        *find_slot(table, &entries[index], hash_of(table, &entries[index])) = (uint32_t)index + 1;
    return 0;
}

/*
 * Pairs that are read ahead: while the first of them is added, the slots and entries of the others
 * come from memory.
 */
enum { AHEAD = 16 };

typedef struct sum_step {
    PyObject *pair;        /* a strong reference */
    PyObject *key, *value; /* borrowed from it; NULL if it is no pair */
    sum_entry wanted;
    int64_t number;
    size_t hash;
    int fits; /* whether the table can hold the pair */
} sum_step;

/* Returns whether the step has a pair: a tuple of two. */
static inline int read_pair(sum_step *step)
{
    int is_pair = Py_IS_TYPE(step->pair, &PyTuple_Type) && PyTuple_Size(step->pair) == 2;
    step->key = is_pair ? PyTuple_GetItem(step->pair, 0) : NULL;
    step->value = is_pair ? PyTuple_GetItem(step->pair, 1) : NULL;
    return is_pair;
}

/*
 * Read the next pairs, up to something that is none, so that the iterator is still at what gave it.
 * Returns their number, with an exception set if the iterator raised one.
 */
static int read_pairs(PyObject *pairs, iternextfunc next_pair, sum_step *steps)
{
    int n_steps = 0, is_whole = 1;
    while (n_steps < AHEAD && is_whole && (steps[n_steps].pair = next_pair(pairs)) != NULL)
        is_whole = read_pair(&steps[n_steps++]);
    /* A StopIteration is the end, as for PyIter_Next(), which takes longer. */
    if (n_steps < AHEAD && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_StopIteration))
        PyErr_Clear();
    return n_steps;
}

/* Returns whether a value is an int of 64 bits: table->last_number. */
static int read_value(sum_table *table, PyObject *value)
{
    int overflow;
    if (value == table->last_value)
        return 1;
    if (!Py_IS_TYPE(value, &PyLong_Type))
        return 0;
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return 0;
    Py_XDECREF(table->last_value);
    table->last_value = Py_NewRef(value);
    table->last_number = number;
    return 1;
}

static void prepare_step(sum_step *step, sum_table *table)
{
    step->fits = step->key != NULL && read_value(table, step->value) &&
                 make_entry(&step->wanted, step->key) == 0;
    if (!step->fits)
        return;
    step->number = table->last_number;
    step->hash = hash_of(table, &step->wanted);
    if (table->n_slots > 0)
        __builtin_prefetch(&table->slots[step->hash & (table->n_slots - 1)]);
}

static void prepare_steps(sum_step *steps, int n_steps, sum_table *table)
{
    for (int index = 0; index < n_steps; index++)
        prepare_step(&steps[index], table);
    for (int index = 0; index < n_steps; index++) {
        if (!steps[index].fits || table->n_slots == 0)
            continue;
        uint32_t number = table->slots[steps[index].hash & (table->n_slots - 1)];
        if (number != 0)
            __builtin_prefetch(&table->entries[number - 1]);
    }
}

/* Returns 1 if the pair was added to its sum; 0 if not, without an exception. */
static int add_to_table(sum_table *table, const sum_step *step)
{
    if (!step->fits || (table->n_entries == table->n_slots / 2 && grow_table(table) != 0))
        return 0;
    uint32_t *slot = find_slot(table, &step->wanted, step->hash);
    if (*slot == 0) {
        table->entries[table->n_entries] = step->wanted;
        Py_INCREF(step->wanted.key);
        *slot = (uint32_t)++table->n_entries;
    }
    int64_t *sum = &table->entries[*slot - 1].sum, number = step->number;
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
    free(table->entries);
    free(table->slots);
    Py_XDECREF(table->last_value);
    *table = (sum_table){0};
    return failed ? -1 : 0;
}

/* ---- the dict, and the choice between the two ----------------------------------------------- */

/*
 * Returns 1 if the pair was added to its sum; 0 if not, for any reason, and without an exception.
 */
static int add_to_dict(PyObject *sums, PyObject *zero, PyObject *key, PyObject *value)
{
    if (Py_IS_TYPE(value, &PyBytes_Type)) /* + would join them */
        return 0;
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

/* Where the sums are: in the table, which then has all of them, or in the dict. */
typedef struct sum_place {
    PyObject *sums, *zero;
    Py_ssize_t max_keys;
    int has_table;
    sum_table table;
} sum_place;

/*
 * Returns 1 if the pair was added; 0 if it is left to the caller; -1 with an exception set.
 */
static int add_step(sum_place *place, const sum_step *step)
{
    Py_ssize_t n_keys =
        place->has_table ? (Py_ssize_t)place->table.n_entries : PyDict_Size(place->sums);
    if (n_keys >= place->max_keys || step->key == NULL)
        return 0;
    if (place->has_table && add_to_table(&place->table, step))
        return 1;
    if (place->has_table && empty_table(&place->table, place->sums) != 0)
        return -1;
    place->has_table = 0;
    return add_to_dict(place->sums, place->zero, step->key, step->value);
}

/* Add pairs until one is left to the caller: it and those read with it go to the list `left`. */
static int add_steps(sum_place *place, sum_step *steps, int n_steps, PyObject *left)
{
    int is_added = 1;
    if (place->has_table)
        prepare_steps(steps, n_steps, &place->table);
    for (int index = 0; index < n_steps; index++) {
        if (is_added == 1)
            is_added = add_step(place, &steps[index]);
        if (is_added == 0 && PyList_Append(left, steps[index].pair) != 0)
            is_added = -1;
        Py_DECREF(steps[index].pair);
    }
    return is_added;
}

/*
 * Add all pairs, or all before one that is left to the caller. Returns 0, or -1 with an exception
 * set. If the iterator raised it, the pairs before it are added nevertheless.
 */
static int sum_all(PyObject *pairs, sum_place *place, PyObject *left)
{
    sum_step steps[AHEAD];
    int is_added = 1, n_steps = AHEAD;
    PyObject *type = NULL, *error, *traceback;
    iternextfunc next_pair = (iternextfunc)PyType_GetSlot(Py_TYPE(pairs), Py_tp_iternext);
    while (is_added == 1 && n_steps == AHEAD) {
        n_steps = read_pairs(pairs, next_pair, steps);
        PyErr_Fetch(&type, &error, &traceback);
        is_added = add_steps(place, steps, n_steps, left);
    }
    if (place->has_table && empty_table(&place->table, place->sums) != 0)
        is_added = -1;
    if (type == NULL)
        return is_added < 0 ? -1 : 0;
    PyErr_Restore(type, error, traceback);
    return -1;
}

PyObject *kvproto_sum_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("sum_pairs", n_args, 3) != 0)
        return NULL;
    sum_place place = {.sums = args[1], .max_keys = PyLong_AsSsize_t(args[2])};
    if (place.max_keys == -1 && PyErr_Occurred())
        return NULL;
    if (!PyIter_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "sum_pairs() takes an iterator, a dict and an int");
        return NULL;
    }
    place.has_table = PyDict_Size(args[1]) == 0;
    if (getentropy(&place.table.seed, sizeof place.table.seed) != 0)
        place.has_table = 0; /* without a seed, keys could be chosen that collide */
    PyObject *left = PyList_New(0);
    place.zero = PyLong_FromLong(0);
    if (left == NULL || place.zero == NULL || sum_all(args[0], &place, left) != 0)
        Py_CLEAR(left);
    Py_XDECREF(place.zero);
    return left;
}
