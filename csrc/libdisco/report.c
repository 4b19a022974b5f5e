/*
 * The classic layer's messages: msg() and die(), tagged lines on stderr. STDERR-1 to STDERR-4 of
 * PROTOCOL.md.
 *
 * A message is composed in one buffer and written by as few write(2)s as it needs, so that the
 * lines of several processes do not mix. When memory runs out, the message is cut and says so,
 * but it always appears.
 */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_COUNTER_NAME 128
#define COUNTER_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"

int disco_is_dying = 0;

/* Bytes that wait to be written to stderr. */
struct lines {
    char data[8192];
    size_t n_bytes;
};

int disco_write_all(int descriptor, const void *data, size_t n_bytes)
{
    const char *at = data;
    while (n_bytes > 0) {
        ssize_t n_written = write(descriptor, at, n_bytes);
        if (n_written > 0) {
            at += n_written;
            n_bytes -= (size_t)n_written;
        } else if (n_written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd ready = {.fd = descriptor, .events = POLLOUT, .revents = 0};
            poll(&ready, 1, -1);
        } else if (n_written == 0 || errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

/* There is nowhere to report that stderr cannot be written. */
static void write_lines(struct lines *lines)
{
    (void)disco_write_all(STDERR_FILENO, lines->data, lines->n_bytes);
    lines->n_bytes = 0;
}

static void append(struct lines *lines, const char *text, size_t n_bytes)
{
    while (n_bytes > 0) {
        size_t room = sizeof lines->data - lines->n_bytes;
        size_t n_taken = n_bytes < room ? n_bytes : room;
        memcpy(lines->data + lines->n_bytes, text, n_taken);
        lines->n_bytes += n_taken;
        text += n_taken;
        n_bytes -= n_taken;
        if (lines->n_bytes == sizeof lines->data)
            write_lines(lines);
    }
}

/*
 * Write one tagged line for each line of text. A newline at its end closes the last line and does
 * not begin another.
 */
static void append_tagged(struct lines *lines, const char *tag, const char *text)
{
    do {
        size_t n_bytes = strcspn(text, "\n");
        append(lines, tag, strlen(tag));
        append(lines, text, n_bytes);
        append(lines, "\n", 1);
        text += n_bytes + (text[n_bytes] == '\n');
    } while (*text != '\0');
}

static void write_message(const char *tag, const char *format, va_list arguments)
{
    struct lines lines = {.n_bytes = 0};
    char short_text[2048], *long_text = NULL;
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(short_text, sizeof short_text, format, arguments);
    if (length >= (int)sizeof short_text)
        long_text = malloc((size_t)length + 1);
    if (long_text != NULL && vsnprintf(long_text, (size_t)length + 1, format, again) == length)
        append_tagged(&lines, tag, long_text);
    else if (length >= 0)
        append_tagged(&lines, tag, short_text);
    else
        append_tagged(&lines, tag,
                      format); /* it cannot be formatted: show the format rather than nothing */
    if (length >= (int)sizeof short_text && long_text == NULL)
        append_tagged(&lines, tag, "[the rest of this message is cut: out of memory]");
    write_lines(&lines);
    free(long_text);
    va_end(again);
}

void msg(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    write_message("**<MSG> ", format, arguments);
    va_end(arguments);
    errno = error;
}

void disco_count(const char *name, int64_t n)
{
    size_t n_bytes = strspn(name, COUNTER_CHARACTERS);
    if (n_bytes < 1 || n_bytes > MAX_COUNTER_NAME || name[n_bytes] != '\0')
        die("disco_count(\"%s\"): a name has 1 to %d letters, digits and _ . : - [STDERR-9]", name,
            MAX_COUNTER_NAME);
    msg("count %s %" PRId64, name, n);
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_message("**<ERR> ", format, arguments);
    va_end(arguments);
    if (disco_is_dying)
        _exit(1); /* called by an exit handler: exit() must not be called again */
    disco_is_dying = 1;
    exit(1);
}
