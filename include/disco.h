/*
 * disco.h - libdisco: map and reduce workers in C, and the protocol that they speak.
 *
 * There are three layers. Clause names such as FRAME-1 refer to PROTOCOL.md.
 *
 *   core      disco_encode_*, disco_decode_*, disco_walk, ...: buffers in, a status out. It does no
 *             I/O, never allocates, never exits and keeps no state.
 *   stream    disco_stream_*: a handle that reads pairs from one descriptor and writes result lists
 *             to another. It reports its errors as statuses.
 *   classic   read_kv, write_kv, msg, die, ...: what an ordinary worker calls. It is a stream over
 *             stdin and stdout whose errors end in die(), so that a worker cannot exit 0 with
 *             wrong output.
 *
 * Threads. Core functions may run at the same time in any threads, as long as no two of them write
 * to the same object. A stream belongs to one thread at a time; different streams are independent.
 * The classic layer is one stream: one thread at a time may call it. Any thread may call msg() and
 * disco_count().
 *
 * Pointers. No pointer may be NULL unless the comment says so. A pointer to data may be NULL when
 * its size is 0. Functions keep no pointer that you pass to them, unless the comment says so.
 *
 * Link with what `pkg-config --cflags --libs disco` or `kvproto config --cflags --libs` prints.
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

/*
 * Attributes, empty for compilers that lack them. DISCO_API: exported. DISCO_USE_RESULT: ignoring
 * the result is a mistake. DISCO_NONNULL(1, 3): arguments 1 and 3 are not NULL.
 */
#if defined(__GNUC__)
#define DISCO_API __attribute__((__visibility__("default")))
#define DISCO_USE_RESULT __attribute__((__warn_unused_result__))
#define DISCO_NONNULL(...) __attribute__((__nonnull__(__VA_ARGS__)))
#define DISCO_PRINTF(string, arguments) __attribute__((__format__(__printf__, string, arguments)))
#define DISCO_NORETURN __attribute__((__noreturn__))
#else
#define DISCO_API
#define DISCO_USE_RESULT
#define DISCO_NONNULL(...)
#define DISCO_PRINTF(string, arguments)
#define DISCO_NORETURN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Core --------------------------------------------------------------------------------- */

/* The default limit of an item: 1 GiB, without its 4-byte size (LIMITS-1). */
#define DISCO_MAX_ITEM 1073741824u

/* The limit of what is kept of a line of stderr, without tag and newline: 64 KiB (LIMITS-3). */
#define DISCO_MAX_LINE 65536u

/* cffi: begin */

typedef enum disco_status {
    /* Done. For a walker: the data ends on a boundary. */
    DISCO_OK = 0,
    /* The data ends inside an element. More may come; at the end of the input it is truncated. */
    DISCO_MORE = 1,
    /* An item, or the size that a size field announces, is over the limit (LIMITS-1, LIMITS-4). */
    DISCO_TOO_LARGE = 2,
    /* A parameter set: not 1 to 10 digits and the closing byte (PARAMS-3). */
    DISCO_BAD_NUMBER = 3,
    /* A parameter set: the closing byte does not follow an item (PARAMS-2). */
    DISCO_BAD_CLOSING = 4,
    /* A parameter set: an item ends after the announced total (PARAMS-5). */
    DISCO_OVERRUN = 5,
    /* The output buffer is too small. */
    DISCO_NO_ROOM = 6,
    /* The input has ended between elements. */
    DISCO_END = 7,
    /* The caller broke a rule, for example wrote more or fewer pairs than announced. */
    DISCO_MISUSE = 8,
    /* A stream: the system cannot read or write. */
    DISCO_IO = 9,
    /* A stream: out of memory. */
    DISCO_NO_MEMORY = 10
} disco_status;

typedef enum disco_field {
    DISCO_NUM_PAIRS = 0,
    DISCO_KEY_SIZE = 1,
    DISCO_KEY = 2,
    DISCO_VALUE_SIZE = 3,
    DISCO_VALUE = 4
} disco_field;

/* Bytes that belong to someone else. They are valid as long as the buffer that contains them. */
typedef struct disco_slice {
    const unsigned char *data;
    size_t n_bytes;
} disco_slice;

/* The version of the library; DISCO_VERSION is the version of the header. Static storage. */
DISCO_API const char *disco_version(void);

/* Read or write a u32, little-endian, at any address and on any host (FRAME-1). */
DISCO_API uint32_t disco_get_u32(const void *data) DISCO_NONNULL(1);
DISCO_API void disco_put_u32(void *data, uint32_t number) DISCO_NONNULL(1);

/*
 * Decode the pair at the start of `data` (FRAME-3).
 *
 * DISCO_OK         *key and *value point into `data`; *consumed is the length of the pair
 * DISCO_MORE       the n_bytes are not the whole pair; nothing is set
 * DISCO_TOO_LARGE  the size field at offset *consumed announces more than max_item bytes
 */
DISCO_API DISCO_USE_RESULT disco_status disco_decode_pair(const void *data, size_t n_bytes,
                                                          uint32_t max_item, disco_slice *key,
                                                          disco_slice *value, size_t *consumed)
    DISCO_NONNULL(4, 5, 6);

/* Decode the num-pairs field that begins a result list (LIST-1). DISCO_OK or DISCO_MORE. */
DISCO_API DISCO_USE_RESULT disco_status disco_decode_list_head(const void *data, size_t n_bytes,
                                                               uint32_t *num_pairs,
                                                               size_t *consumed)
    DISCO_NONNULL(3, 4);

/*
 * The disco_encode_* functions write to `out`, which has room for `room` bytes.
 *
 * DISCO_OK         *n_bytes bytes are written
 * DISCO_NO_ROOM    *n_bytes bytes are needed; the contents of `out` are undefined. To measure, pass
 *                  NULL and 0
 * DISCO_TOO_LARGE  a limit forbids it, or the length overflows a size_t
 *
 * `out` must not overlap the data that is encoded.
 */

/*
 * Encode a pair (FRAME-1 to FRAME-3). DISCO_TOO_LARGE: an item is over max_item; *n_bytes is the
 * offset that its size field would have: 0 for the key, 4 + key_size for the value.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_encode_pair(const void *key, size_t key_size,
                                                          const void *value, size_t value_size,
                                                          uint32_t max_item, void *out, size_t room,
                                                          size_t *n_bytes) DISCO_NONNULL(8);

/* Encode the head of a result list: num_pairs pairs must follow (LIST-1, LIST-2). */
DISCO_API DISCO_USE_RESULT disco_status disco_encode_list_head(uint32_t num_pairs, void *out,
                                                               size_t room, size_t *n_bytes)
    DISCO_NONNULL(4);

/*
 * A walker checks a stream of pairs, or of result lists, that arrives in pieces of any size. It
 * holds no bytes except those of a partial size field. It is plain data: copy it freely. There is
 * nothing to release.
 */
typedef struct disco_walker {
    uint64_t offset;       /* bytes taken */
    uint64_t field_offset; /* where the current field, or the field at fault, begins */
    uint64_t list_offset;  /* where the current result list begins */
    uint64_t pair_offset;  /* where the current pair begins, or the next list */
    uint64_t n_pairs;      /* complete pairs */
    uint64_t n_lists;      /* complete result lists */
    uint32_t num_pairs;    /* pairs that the current list announces */
    uint32_t pairs_left;   /* how many of them are not complete */
    uint32_t wanted;       /* bytes of the current field; after DISCO_TOO_LARGE its size */
    uint32_t had;          /* how many of them were taken */
    uint32_t max_item;     /* limit of an item in bytes */
    uint8_t field;         /* a disco_field */
    uint8_t with_lists;    /* result lists, not bare pairs */
    uint8_t in_list;       /* inside a list */
    uint8_t size[4];       /* the current size field */
} disco_walker;

/* Begin a stream. with_lists: 1 for result lists, 0 for bare pairs. */
DISCO_API void disco_walk_start(disco_walker *walker, int with_lists, uint32_t max_item)
    DISCO_NONNULL(1);

/*
 * Take the next n_bytes of the stream. If `pairs` is not NULL, write the stream without its
 * num-pairs fields to it. It needs room for n_bytes and may be `data` itself. If n_pair_bytes is
 * not NULL, set *n_pair_bytes to the number of bytes written.
 *
 * Returns DISCO_OK on a boundary, DISCO_MORE inside an element, and DISCO_TOO_LARGE if the field
 * that begins at walker->field_offset is too large. Do not use the walker after that.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_walk(disco_walker *walker, const void *data,
                                                   size_t n_bytes, void *pairs,
                                                   size_t *n_pair_bytes) DISCO_NONNULL(1);

/*
 * Decode the head `<total>\n` of a parameter set (PARAMS-1).
 *
 * DISCO_OK    *total bytes of entries follow after *consumed bytes of head
 * DISCO_MORE  the head is not complete yet
 * otherwise   *consumed is the offset of the fault
 */
DISCO_API DISCO_USE_RESULT disco_status disco_params_head(const void *data, size_t n_bytes,
                                                          uint32_t *total, size_t *consumed)
    DISCO_NONNULL(3, 4);

/*
 * Decode the entry at *offset of the `total` bytes of entries, all of which are there (PARAMS-2).
 * DISCO_OK: *key and *value point into `entries`, and *offset is where the next entry begins; the
 * set is complete when that is `total`. Otherwise *offset is the offset of the fault.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_params_entry(const void *entries, uint32_t total,
                                                           size_t *offset, disco_slice *key,
                                                           disco_slice *value)
    DISCO_NONNULL(3, 4, 5);

/*
 * Encode a parameter set: its entries, and before them the head with their total in bytes.
 * DISCO_TOO_LARGE: over 1 GiB, the most that a set may have (LIMITS-4). Give each name once.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_encode_params_head(uint32_t total, void *out,
                                                                 size_t room, size_t *n_bytes)
    DISCO_NONNULL(4);
DISCO_API DISCO_USE_RESULT disco_status disco_encode_params_entry(const void *key, size_t key_size,
                                                                  const void *value,
                                                                  size_t value_size, void *out,
                                                                  size_t room, size_t *n_bytes)
    DISCO_NONNULL(7);

typedef enum disco_message_kind {
    DISCO_MESSAGE_UNTAGGED = 0,
    DISCO_MESSAGE_MSG = 1,
    DISCO_MESSAGE_ERR = 2
} disco_message_kind;

/* A line of stderr. The text excludes the tag, the space after the tag, and the newline. */
typedef struct disco_message {
    disco_message_kind kind;
    disco_slice text;
    uint64_t n_cut; /* bytes dropped at its end, because it was longer than DISCO_MAX_LINE */
} disco_message;

/* The start of a line that has not ended, tag included. Plain data: there is nothing to release. */
typedef struct disco_message_parser {
    uint64_t n_cut;
    uint32_t n_line;
    unsigned char line[65544];
} disco_message_parser;

/* Begin a stream of lines. */
DISCO_API void disco_messages_start(disco_message_parser *parser) DISCO_NONNULL(1);

/*
 * Take bytes of stderr up to the end of a line; *consumed says how many. No line is invalid.
 *
 * DISCO_OK    *message is the line that ended. Its text points into `data` or into the parser: it
 *             is valid until either changes
 * DISCO_MORE  all n_bytes are taken, and no line has ended
 */
DISCO_API DISCO_USE_RESULT disco_status disco_decode_message(disco_message_parser *parser,
                                                             const void *data, size_t n_bytes,
                                                             disco_message *message,
                                                             size_t *consumed)
    DISCO_NONNULL(1, 4, 5);

/*
 * Call this at the end of the stream. DISCO_OK: *message is a last line that has no newline.
 * DISCO_END: there is no such line.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_decode_last_message(disco_message_parser *parser,
                                                                  disco_message *message)
    DISCO_NONNULL(1, 2);

/*
 * Encode a message: one tagged line for each line of `text` (STDERR-1 to STDERR-4). A newline at
 * the end of the text ends its last line and begins no other. DISCO_MISUSE: the kind is not MSG or
 * ERR.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_encode_message(disco_message_kind kind,
                                                             const void *text, size_t text_size,
                                                             void *out, size_t room,
                                                             size_t *n_bytes) DISCO_NONNULL(6);

/* cffi: end */

/* ---- Entries and parameters, for both layers below ------------------------------------------ */

/*
 * A string: len bytes of data and a zero byte that is not counted. len <= sze, which is what data
 * can hold besides the zero byte. It is one allocation, released with free().
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

/* A parameter set. It owns its entries, which are valid until disco_params_free(). */
typedef struct disco_params disco_params;

/*
 * The value of a name, which is a C string, or NULL if there is no such name. If a name occurs
 * twice, the last entry counts (PARAMS-8).
 */
DISCO_API const p_entry *disco_params_get(const disco_params *params, const char *name)
    DISCO_NONNULL(1, 2);

/*
 * The number of entries, and their names and values by index, from 0 to count - 1, in the order in
 * which they were sent. Any other index gives NULL.
 */
DISCO_API size_t disco_params_count(const disco_params *params) DISCO_NONNULL(1);
DISCO_API const p_entry *disco_params_name(const disco_params *params, size_t index)
    DISCO_NONNULL(1);
DISCO_API const p_entry *disco_params_value(const disco_params *params, size_t index)
    DISCO_NONNULL(1);

/* Release the set and all its entries. NULL is allowed and does nothing. */
DISCO_API void disco_params_free(disco_params *params);

/* ---- Stream ------------------------------------------------------------------------------- */

/*
 * A stream reads pairs and writes result lists. It flushes its output when its next read would
 * block, so that a peer that waits for each answer gets it (MAP-4), and when it is closed.
 *
 * The first error stays: from then on every call returns the same status, and
 * disco_stream_error() says what happened. DISCO_END is not an error.
 *
 *   DISCO_MORE         the input ended inside an element
 *   DISCO_TOO_LARGE    an item is over the limit
 *   DISCO_BAD_NUMBER, DISCO_BAD_CLOSING, DISCO_OVERRUN   the parameter set is malformed
 *   DISCO_MISUSE       more or fewer pairs than a list announced
 *   DISCO_IO           a read or a write failed. SIGPIPE ends a program that does not ignore it
 *   DISCO_NO_MEMORY
 */
typedef struct disco_stream disco_stream;

/*
 * Open a stream over two descriptors, which must differ: for a socket, dup() it for the second one.
 * The stream owns both, and disco_stream_close() closes them. Returns NULL, with errno set, if it
 * cannot open a stream; it then closes both descriptors.
 */
DISCO_API DISCO_USE_RESULT disco_stream *disco_stream_open(int input, int output);

/*
 * Flush, check that the last list is complete, close both descriptors and release the stream.
 * Returns the first error of the stream, this call included. NULL is allowed and gives DISCO_OK.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_close(disco_stream *stream);

/*
 * A message for people that says what went wrong and which clause is broken; "" if nothing went
 * wrong. It belongs to the stream and is valid until disco_stream_close().
 */
DISCO_API const char *disco_stream_error(const disco_stream *stream) DISCO_NONNULL(1);

/*
 * Set the limit of an item that is read, in bytes; the default is DISCO_MAX_ITEM. Items that are
 * written may have DISCO_MAX_ITEM bytes, or this limit if it is larger (LIMITS-1).
 */
DISCO_API void disco_stream_set_max_item(disco_stream *stream, uint32_t max_item) DISCO_NONNULL(1);

/*
 * Read the parameter set, before the first pair. DISCO_OK: *params is a set that the caller
 * releases with disco_params_free(). Otherwise it is NULL.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_read_params(disco_stream *stream,
                                                                 disco_params **params)
    DISCO_NONNULL(1, 2);

/* Read n_bytes of raw parameters into `data`, before the first pair (PARAMS-6). */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_read_raw(disco_stream *stream, void *data,
                                                              size_t n_bytes) DISCO_NONNULL(1);

/*
 * Read the next pair. DISCO_OK: *key and *value hold it. DISCO_END: the input has ended between
 * pairs. Both entries grow with realloc() and are used again by the next call: begin with NULL, and
 * free() them at the end. The caller owns them, even after an error.
 */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_read_pair(disco_stream *stream, p_entry **key,
                                                               p_entry **value)
    DISCO_NONNULL(1, 2, 3);

/* Begin a result list: exactly num_pairs pairs must follow (LIST-2). */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_begin_list(disco_stream *stream,
                                                                uint32_t num_pairs)
    DISCO_NONNULL(1);

/* Write a pair of the current list. */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_write_pair(disco_stream *stream,
                                                                const void *key, size_t key_size,
                                                                const void *value,
                                                                size_t value_size) DISCO_NONNULL(1);

/* Write the buffered output now, for a program that reads from another stream meanwhile. */
DISCO_API DISCO_USE_RESULT disco_status disco_stream_flush(disco_stream *stream) DISCO_NONNULL(1);

/* ---- Classic ------------------------------------------------------------------------------ */

/*
 * A stream over stdin and stdout, through stdio: a program may read stdin before its first
 * read_kv(), and its own output to stdout keeps its place. Anything that breaks a clause ends in
 * die(). At exit, libdisco checks that the last list is complete and written. A program that forks
 * must call fflush(stdout) first; otherwise the buffered output may be written twice.
 */

/*
 * Read the next pair. Returns 1 when *key and *val hold it, 0 at the end of the input between
 * pairs. Both entries grow with realloc() and are used again by the next call: begin with NULL, and
 * free() them at the end. Use copy_entry() to keep one longer.
 */
DISCO_API DISCO_USE_RESULT int read_kv(p_entry **key, p_entry **val) DISCO_NONNULL(1, 2);

/*
 * Begin a result list: exactly num calls of write_kv() must follow (LIST-2). num is not negative.
 */
DISCO_API void write_num_prefix(int num);

/* Write a pair of the current list. */
DISCO_API void write_kv(const p_entry *key, const p_entry *val) DISCO_NONNULL(1, 2);

/* Write one item: a key, and in the next call its value. Both calls together are one write_kv(). */
DISCO_API void write_entry(const p_entry *e) DISCO_NONNULL(1);

/* Write a pair of any bytes, as write_kv() does. */
DISCO_API void disco_write_kv(const void *key, size_t key_size, const void *val, size_t val_size);

/*
 * Copy src to *dst, which may be NULL and grows with realloc(). The caller releases the copy with
 * free(). It calls die() if there is no memory.
 */
DISCO_API void copy_entry(p_entry **dst, const p_entry *src) DISCO_NONNULL(1, 2);

/* malloc() that calls die() instead of returning NULL. size may be 0. Release it with free(). */
DISCO_API DISCO_USE_RESULT void *dxmalloc(unsigned int size);

/*
 * Send a message to the driver: one `**<MSG>` line on stderr for each line of the text (STDERR-1 to
 * STDERR-4). It preserves errno.
 */
DISCO_API void msg(const char *format, ...) DISCO_PRINTF(1, 2);

/*
 * Add n to a counter of the job: a message `count NAME N` (STDERR-9). The name has 1 to 128 of the
 * characters A-Z a-z 0-9 _ . : -; any other name ends in die(). It preserves errno. Each call
 * writes a message: in a loop over many pairs, add up first.
 */
DISCO_API void disco_count(const char *name, int64_t n) DISCO_NONNULL(1);

/* Fail the job: `**<ERR>` lines on stderr, then exit status 1. */
DISCO_API DISCO_NORETURN void die(const char *format, ...) DISCO_PRINTF(1, 2);

/* Like disco_stream_set_max_item(), for the classic layer. */
DISCO_API void disco_set_max_item(uint32_t max_item);

/*
 * Read n_bytes of raw parameters, which a driver sends for a string (PARAMS-6), before the first
 * read_kv(). fread() from stdin does the same.
 */
DISCO_API void disco_read_raw(void *data, size_t n_bytes);

/*
 * Read the parameter set, before the first read_kv(). The result is never NULL.
 * disco_params_free() releases it.
 */
DISCO_API DISCO_USE_RESULT disco_params *disco_params_read(void);

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
 * Read the parameter set, before the first read_kv(), into a JudySL array: name -> p_entry *, in
 * its Word_t. NULL is the empty array. The caller owns the array and its entries. This function is
 * compiled into the program, so libdisco does not need Judy: link with -lJudy. It calls die() for a
 * name with a zero byte, which JudySL cannot hold.
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
