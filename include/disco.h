/*
 * disco.h - libdisco: write a map or reduce worker in C.
 *
 * Two layers. The classic one is what a worker calls: read_kv(), write_kv() and their like. It owns
 * stdin and stdout, and ends the program by die() when a clause of PROTOCOL.md is broken on either
 * side: a worker that uses it cannot exit 0 with wrong output. The core, disco_*, takes buffers and
 * returns a status; it does no I/O, never exits and never allocates.
 *
 * Not thread-safe: one thread at a time may call the classic layer. The core has no state of its
 * own. A program that forks calls fflush(stdout) before, or what is still in the buffer may come
 * out twice. Link with what `pkg-config --cflags --libs disco` or `kvproto config --cflags --libs`
 * prints.
 */
#ifndef DISCO_H
#define DISCO_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define DISCO_VERSION_MAJOR 0
#define DISCO_VERSION_MINOR 1
#define DISCO_VERSION_PATCH 0
#define DISCO_VERSION "0.1.0"

#if defined(__GNUC__)
#define DISCO_API __attribute__((visibility("default")))
#define DISCO_PRINTF(string, arguments) __attribute__((__format__(__printf__, string, arguments)))
#define DISCO_NORETURN __attribute__((noreturn))
#else
#define DISCO_API
#define DISCO_PRINTF(string, arguments)
#define DISCO_NORETURN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The core ----------------------------------------------------------------------------- */

/* The default limit of an item: 1 GiB, its 4-byte size not counted (LIMITS-1). */
#define DISCO_MAX_ITEM 1073741824u

/* cffi: begin */

typedef enum disco_status {
    DISCO_OK = 0,         /* complete: the data ends on a boundary */
    DISCO_MORE = 1,       /* the data ends inside an element: not yet; at end of file, truncated */
    DISCO_TOO_LARGE = 2,  /* a size field announces more than the limit (LIMITS-1, LIMITS-4) */
    DISCO_BAD_NUMBER = 3, /* a parameter set: not 1 to 10 digits and the closing byte (PARAMS-3) */
    DISCO_BAD_CLOSING =
        4,            /* a parameter set: an item is not followed by its closing byte (PARAMS-2) */
    DISCO_OVERRUN = 5 /* a parameter set: an item ends behind the announced total (PARAMS-5) */
} disco_status;

typedef enum disco_field {
    DISCO_NUM_PAIRS = 0,
    DISCO_KEY_SIZE = 1,
    DISCO_KEY = 2,
    DISCO_VALUE_SIZE = 3,
    DISCO_VALUE = 4
} disco_field;

/* Bytes that belong to somebody else: valid as long as the buffer they were found in. */
typedef struct disco_slice {
    const unsigned char *data;
    size_t n_bytes;
} disco_slice;

/*
 * A stream of pairs, or of result lists, checked as it passes by in pieces of any size. Holds no
 * bytes but those of a size that is cut. Plain data: copy it freely, nothing to release.
 */
typedef struct disco_walker {
    uint64_t offset;       /* bytes taken */
    uint64_t field_offset; /* where the field under way, or the field at fault, began */
    uint64_t list_offset;  /* where the result list under way began */
    uint64_t n_pairs;      /* complete pairs */
    uint64_t n_lists;      /* complete result lists */
    uint32_t num_pairs;    /* pairs that the list under way announced */
    uint32_t pairs_left;   /* of them not yet complete */
    uint32_t wanted;       /* bytes of the field under way */
    uint32_t had;          /* of them taken; after DISCO_TOO_LARGE `wanted` is the announced size */
    uint32_t max_item;     /* limit of an item in bytes */
    uint8_t field;         /* a disco_field */
    uint8_t with_lists;    /* result lists, not bare pairs */
    uint8_t in_list;       /* a list is under way */
    uint8_t size[4];       /* the size under way */
} disco_walker;

/* The version of the library in use, DISCO_VERSION of its header. Static storage. */
const char *disco_version(void);

/* A u32, little-endian, at any address and on any host (FRAME-1). */
uint32_t disco_get_u32(const void *data);
void disco_put_u32(void *data, uint32_t number);

/*
 * Decode the pair at the start of data (FRAME-3). DISCO_OK: *key and *value point into data and
 * *consumed is its length in bytes. DISCO_MORE: n_bytes is not the whole pair. DISCO_TOO_LARGE: the
 * size field at *consumed announces more than max_item.
 */
disco_status disco_decode_pair(const void *data, size_t n_bytes, uint32_t max_item,
                               disco_slice *key, disco_slice *value, size_t *consumed);

/* Begin a stream: with_lists 1 for result lists, 0 for bare pairs. */
void disco_walk_start(disco_walker *walker, int with_lists, uint32_t max_item);

/*
 * Take the next n_bytes of the stream. Unless `pairs` is NULL, the stream less its num-pairs fields
 * is written there (room for n_bytes; it may be `data` itself) and *n_pair_bytes says how much that
 * was. Returns DISCO_OK on a boundary, DISCO_MORE inside an element, DISCO_TOO_LARGE at the field
 * that walker->field_offset names; once it has failed, a walker is not to be fed again.
 */
disco_status disco_walk(disco_walker *walker, const void *data, size_t n_bytes, void *pairs,
                        size_t *n_pair_bytes);

/*
 * Read the head `<total>\n` of a parameter set (PARAMS-1). DISCO_OK: *total bytes of entries follow
 * *consumed bytes of head. DISCO_MORE: not there yet. Else *consumed is the offset of the fault.
 */
disco_status disco_params_head(const void *data, size_t n_bytes, uint32_t *total, size_t *consumed);

/*
 * Read the entry at *offset of the `total` bytes of entries (PARAMS-2). DISCO_OK: key and value
 * point into entries and *offset is moved behind it. Else *offset is that of the fault.
 */
disco_status disco_params_entry(const void *entries, uint32_t total, size_t *offset,
                                disco_slice *key, disco_slice *value);

/* cffi: end */

/* ---- The classic layer -------------------------------------------------------------------- */

/*
 * A string: len bytes of data, and a zero byte behind them that is not counted. len <= sze, the
 * bytes that data can hold besides the zero byte. One allocation: free() releases it whole.
 */
typedef struct p_entry {
    unsigned int len;
    unsigned int sze;
#ifdef __cplusplus
    char data[1];
#else
    char data[];
#endif
} p_entry;

/*
 * Read the next pair. 1: *key and *val hold it. 0: end of file between pairs. Everything else, an
 * end of file inside a pair included, is die(). Both are grown by realloc() as needed and used
 * again by the next call; begin with NULL. They are the caller's: free() them in the end,
 * copy_entry() what is to stay. stdout is flushed if, and only if, the read would block (MAP-4).
 */
DISCO_API int read_kv(p_entry **key, p_entry **val);

/*
 * Announce a result list of num pairs: exactly num calls of write_kv() must follow (LIST-2). num <
 * 0: die().
 */
DISCO_API void write_num_prefix(int num);

/*
 * Write a pair of the list under way; without one, or with more than it announced: die(). Ends are
 * checked at exit too.
 */
DISCO_API void write_kv(const p_entry *key, const p_entry *val);

/* Write one item, a half of a pair: key first, then value. Two of them are one write_kv(). */
DISCO_API void write_entry(const p_entry *e);

/*
 * As write_kv(), from any bytes. Either pointer may be NULL when its size is 0. An item over the
 * limit: die() (LIMITS-1).
 */
DISCO_API void disco_write_kv(const void *key, size_t key_size, const void *val, size_t val_size);

/*
 * Copy src to *dst, grown by realloc() as needed; *dst may be NULL. The copy is the caller's to
 * free().
 */
DISCO_API void copy_entry(p_entry **dst, const p_entry *src);

/* malloc() that never returns NULL: die() instead. size 0 gives a pointer to free() too. */
DISCO_API void *dxmalloc(unsigned int size);

/*
 * Tell the driver something: one `**<MSG>` line on stderr for each line of text (STDERR-1 to
 * STDERR-4).
 */
DISCO_API void msg(const char *format, ...) DISCO_PRINTF(1, 2);

/* Fail the job: `**<ERR>` lines on stderr, then exit status 1. */
DISCO_API DISCO_NORETURN void die(const char *format, ...) DISCO_PRINTF(1, 2);

/*
 * Set the limit of an item read by read_kv(), in bytes; DISCO_MAX_ITEM unless set (LIMITS-1). A
 * limit over that holds for writing too.
 */
DISCO_API void disco_set_max_item(uint32_t max_item);

/*
 * Read n_bytes of raw parameters, as ext_params = a string sends them, into data (PARAMS-6). An end
 * of file before that is die(). Before the first read_kv(); fread() on stdin is as good.
 */
DISCO_API void disco_read_raw(void *data, size_t n_bytes);

/* The parameter set, read from stdin. Entries stay valid until disco_params_free(). */
typedef struct disco_params disco_params;

/* Read the parameter set; before the first read_kv(). A set of bad form is die(). Never NULL. */
DISCO_API disco_params *disco_params_read(void);

/*
 * The value of a name (a C string, its bytes), or NULL. Of two entries with one name the last
 * counts (PARAMS-8).
 */
DISCO_API const p_entry *disco_params_get(const disco_params *params, const char *name);

/*
 * The number of entries; names and values by index, 0 to count - 1, in the order sent. NULL for
 * other indexes.
 */
DISCO_API size_t disco_params_count(const disco_params *params);
DISCO_API const p_entry *disco_params_name(const disco_params *params, size_t index);
DISCO_API const p_entry *disco_params_value(const disco_params *params, size_t index);

/* Release the set and all its entries. NULL is allowed. */
DISCO_API void disco_params_free(disco_params *params);

/* ---- The parameter set as a Judy array, where Judy.h is ------------------------------------- */

#if defined(__has_include) && !defined(DISCO_NO_JUDY)
#if __has_include(<Judy.h>)
#define DISCO_JUDY 1
#endif
#endif

#ifdef DISCO_JUDY
#ifdef __cplusplus
}
#include <Judy.h>
extern "C" {
#else
#include <Judy.h>
#endif

/*
 * Read the parameter set; before the first read_kv(). A JudySL array: name -> p_entry * (in its
 * Word_t). NULL, the empty array, for no parameters. Array and entries are the caller's and live
 * until exit. Compiled into the caller, so that libdisco itself does not need Judy; link with
 * -lJudy. A name with a zero byte, which JudySL cannot hold, is die().
 */
static inline Pvoid_t read_parameters(void)
{
    disco_params *params = disco_params_read();
    Pvoid_t array = NULL;
    size_t index;
    for (index = 0; index < disco_params_count(params); index++) {
        const p_entry *name = disco_params_name(params, index);
        p_entry *value = NULL;
        PPvoid_t slot;
        unsigned int at;
        for (at = 0; at < name->len; at++)
            if (name->data[at] == 0)
                die("the name of parameter %lu has a zero byte, which a JudySL array cannot hold: "
                    "use disco_params_read()",
                    (unsigned long)index);
        slot = JudySLIns(&array, (const uint8_t *)name->data, PJE0);
        if (slot == PPJERR)
            die("out of memory for the parameters");
        free(*slot);
        copy_entry(&value, disco_params_value(params, index));
        *slot = value;
    }
    disco_params_free(params);
    return array;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
