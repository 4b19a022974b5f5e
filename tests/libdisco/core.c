/*
 * Test the core with inputs that end at a guard page, cut at every length, so that reading past the
 * end crashes. Prints the checks that fail and exits with 1; prints nothing when all succeed.
 */
#define _GNU_SOURCE
#include <disco.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int n_wrong;

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            n_wrong++;                                                     \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #condition); \
        }                                                                  \
    } while (0)

/* Copy at most a page of data to the end of the page, until the next call. */
static unsigned char *place(const void *data, size_t n_bytes)
{
    static unsigned char *guard;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (guard == NULL) {
        unsigned char *pages =
            mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0)
            exit(2);
        guard = pages + page;
    }
    memset(guard - page, 0xA5, page);
    return n_bytes ? memcpy(guard - n_bytes, data, n_bytes) : guard;
}

static const char two_pairs[] = "\3\0\0\0key\5\0\0\0value"                      /* 16 bytes */
                                "\0\0\0\0\1\0\0\0x";                            /* 9 bytes */
static const char lists[] = "\2\0\0\0\3\0\0\0key\5\0\0\0value\0\0\0\0\1\0\0\0x" /* 29 bytes */
                            "\0\0\0\0"
                            "\1\0\0\0\0\0\0\0\0\0\0\0"; /* 45 in all */
enum { PAIRS_BYTES = 25, LISTS_BYTES = 45 };

static void numbers(void)
{
    unsigned char *at = place("\x01\x02\x03\xF4", 4);
    CHECK(disco_get_u32(at) == 0xF4030201u);
    disco_put_u32(at, 0xFEDCBA98u);
    CHECK(memcmp(at, "\x98\xBA\xDC\xFE", 4) == 0);
    CHECK(strcmp(disco_version(), DISCO_VERSION) == 0);
}

static void pairs_cut_anywhere(void)
{
    for (size_t n = 0; n <= PAIRS_BYTES; n++) {
        disco_slice key = {NULL, 0}, value = {NULL, 0};
        size_t consumed = 99;
        const unsigned char *data = place(two_pairs, n);
        disco_status status = disco_decode_pair(data, n, DISCO_MAX_ITEM, &key, &value, &consumed);
        CHECK(status == (n < 16 ? DISCO_MORE : DISCO_OK));
        if (status == DISCO_OK) {
            CHECK(consumed == 16 && key.n_bytes == 3 && value.n_bytes == 5);
            CHECK(memcmp(key.data, "key", 3) == 0 && memcmp(value.data, "value", 5) == 0);
        }
    }
}

/* A size over the limit is rejected as soon as its 4 bytes are complete. */
static void items_over_the_limit(void)
{
    static const struct {
        const char *data;
        size_t n_bytes, fault;
        uint32_t limit;
    } cases[] = {
        {"\xF7\xFF\xFF\xFF", 4, 0, DISCO_MAX_ITEM},
        {"\1\0\0\0k\xF7\xFF\xFF\xFF", 9, 5, DISCO_MAX_ITEM},
        {"\3\0\0\0key", 7, 0, 2},
        {"\0\0\0\0\1\0\0\0x", 9, 4, 0},
        {"\1\0\0\x40", 4, 0, DISCO_MAX_ITEM},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        disco_slice key, value;
        size_t consumed = 99;
        const unsigned char *data = place(cases[n].data, cases[n].n_bytes);
        CHECK(disco_decode_pair(data, cases[n].n_bytes, cases[n].limit, &key, &value, &consumed) ==
              DISCO_TOO_LARGE);
        CHECK(consumed == cases[n].fault);
        disco_walker walker;
        disco_walk_start(&walker, 0, cases[n].limit);
        CHECK(disco_walk(&walker, data, cases[n].n_bytes, NULL, NULL) == DISCO_TOO_LARGE);
        CHECK(walker.field_offset == cases[n].fault);
        CHECK(walker.wanted == disco_get_u32(data + cases[n].fault));
        CHECK(walker.field == (cases[n].fault ? DISCO_VALUE_SIZE : DISCO_KEY_SIZE));
    }
    disco_slice key, value;
    size_t consumed;
    CHECK(disco_decode_pair(place("\0\0\0\x40", 4), 4, DISCO_MAX_ITEM, &key, &value, &consumed) ==
          DISCO_MORE);
}

/* A stream that is cut in two anywhere gives the same walker and pairs as in one piece. */
static void walk_cut_anywhere(const char *data, size_t n_bytes, int with_lists, uint64_t n_lists,
                              uint64_t n_pairs)
{
    for (size_t end = 0; end <= n_bytes; end++)
        for (size_t cut = 0; cut <= end; cut++) {
            disco_walker whole, cut_in_two;
            unsigned char of_whole[64], of_pieces[64];
            size_t n_whole = 0, n_first = 0, n_second = 0;
            disco_walk_start(&whole, with_lists, DISCO_MAX_ITEM);
            disco_walk_start(&cut_in_two, with_lists, DISCO_MAX_ITEM);
            disco_status status = disco_walk(&whole, place(data, end), end, of_whole, &n_whole);
            CHECK(disco_walk(&cut_in_two, place(data, cut), cut, of_pieces, &n_first) <=
                  DISCO_MORE);
            unsigned char *second = place(data + cut, end - cut);
            CHECK(disco_walk(&cut_in_two, second, end - cut, second, &n_second) ==
                  status); /* in place */
            memcpy(of_pieces + n_first, second, n_second);
            CHECK(n_whole == n_first + n_second && memcmp(of_whole, of_pieces, n_whole) == 0);
            CHECK(whole.offset == end && cut_in_two.offset == end);
            CHECK(whole.field == cut_in_two.field && whole.field_offset == cut_in_two.field_offset);
            CHECK(whole.wanted == cut_in_two.wanted && whole.had == cut_in_two.had);
            CHECK(whole.n_pairs == cut_in_two.n_pairs && whole.n_lists == cut_in_two.n_lists);
            CHECK(whole.pairs_left == cut_in_two.pairs_left && whole.in_list == cut_in_two.in_list);
            if (end == n_bytes)
                CHECK(status == DISCO_OK && whole.n_pairs == n_pairs && whole.n_lists == n_lists);
        }
}

static void walk_boundaries(void)
{
    for (size_t n = 0; n <= PAIRS_BYTES; n++) {
        disco_walker walker;
        disco_walk_start(&walker, 0, DISCO_MAX_ITEM);
        int on_boundary = n == 0 || n == 16 || n == 25;
        CHECK(disco_walk(&walker, place(two_pairs, n), n, NULL, NULL) ==
              (on_boundary ? DISCO_OK : DISCO_MORE));
    }
    for (size_t n = 0; n <= LISTS_BYTES; n++) {
        disco_walker walker;
        disco_walk_start(&walker, 1, DISCO_MAX_ITEM);
        int on_boundary = n == 0 || n == 29 || n == 33 || n == 45;
        CHECK(disco_walk(&walker, place(lists, n), n, NULL, NULL) ==
              (on_boundary ? DISCO_OK : DISCO_MORE));
    }
}

static void parameter_heads(void)
{
    static const struct {
        const char *head;
        disco_status status;
        uint32_t total;
        size_t consumed;
    } cases[] = {
        {"", DISCO_MORE, 0, 0},
        {"0\n", DISCO_OK, 0, 2},
        {"22", DISCO_MORE, 0, 0},
        {"22\nrest", DISCO_OK, 22, 3},
        {"0000000022\n", DISCO_OK, 22, 11},
        {"00000000022\n", DISCO_BAD_NUMBER, 0, 10},
        {"\n", DISCO_BAD_NUMBER, 0, 0},
        {"-1\n", DISCO_BAD_NUMBER, 0, 0},
        {"1 \n", DISCO_BAD_NUMBER, 0, 1},
        {"1073741824\n", DISCO_OK, 1073741824u, 11},
        {"1073741825\n", DISCO_TOO_LARGE, 0, 0},
        {"9999999999\n", DISCO_TOO_LARGE, 0, 0},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        uint32_t total = 0;
        size_t consumed = 99, n_bytes = strlen(cases[n].head);
        CHECK(disco_params_head(place(cases[n].head, n_bytes), n_bytes, &total, &consumed) ==
              cases[n].status);
        CHECK(consumed == cases[n].consumed);
        CHECK(total == cases[n].total);
    }
}

static void parameter_entries(void)
{
    static const struct {
        const char *entries;
        disco_status status;
        size_t offset;
    } cases[] = {
        {"3 key 5 value\n", DISCO_OK, 14},         {"0  0 \n", DISCO_OK, 6},
        {"3 key 5 value!", DISCO_BAD_CLOSING, 13}, {"3 keys5 value\n", DISCO_BAD_CLOSING, 5},
        {"x key 5 value\n", DISCO_BAD_NUMBER, 0},  {"3 key  value\n", DISCO_BAD_NUMBER, 6},
        {"9999999999 k", DISCO_OVERRUN, 11},       {"3 key 7 value\n", DISCO_OVERRUN, 8},
    };
    disco_slice key = {NULL, 0}, value = {NULL, 0};
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        uint32_t total = (uint32_t)strlen(cases[n].entries);
        size_t offset = 0;
        CHECK(disco_params_entry(place(cases[n].entries, total), total, &offset, &key, &value) ==
              cases[n].status);
        CHECK(offset == cases[n].offset);
    }
    for (uint32_t n = 0; n < 14; n++) {
        size_t offset = 0;
        CHECK(disco_params_entry(place(cases[0].entries, n), n, &offset, &key, &value) ==
              DISCO_OVERRUN);
    }
    size_t offset = 0;
    CHECK(disco_params_entry(place(cases[0].entries, 14), 14, &offset, &key, &value) == DISCO_OK);
    CHECK(key.n_bytes == 3 && memcmp(key.data, "key", 3) == 0);
    CHECK(value.n_bytes == 5 && memcmp(value.data, "value", 5) == 0);
}

static void list_heads(void)
{
    unsigned char head[4];
    uint32_t num_pairs = 99;
    size_t n = 99;
    CHECK(disco_encode_list_head(0x01020304u, head, 3, &n) == DISCO_NO_ROOM && n == 4);
    CHECK(disco_encode_list_head(0x01020304u, head, 4, &n) == DISCO_OK && n == 4);
    CHECK(memcmp(head, "\4\3\2\1", 4) == 0);
    CHECK(disco_decode_list_head(place(head, 3), 3, &num_pairs, &n) == DISCO_MORE && n == 0);
    CHECK(num_pairs == 99);
    CHECK(disco_decode_list_head(place(head, 4), 4, &num_pairs, &n) == DISCO_OK && n == 4);
    CHECK(num_pairs == 0x01020304u);
}

/* Sizes over the limits are rejected before any byte is read. */
static void values_over_the_limits(void)
{
    const size_t gibibyte = (size_t)1 << 30;
    size_t n = 99;
    CHECK(disco_encode_pair("k", 3, "", 0, 2, NULL, 0, &n) == DISCO_TOO_LARGE && n == 0);
    CHECK(disco_encode_pair("k", 1, "", 3, 2, NULL, 0, &n) == DISCO_TOO_LARGE && n == 5);
    CHECK(disco_encode_pair("k", 1, "", 2, 2, NULL, 0, &n) == DISCO_NO_ROOM && n == 11);
    CHECK(disco_encode_pair(NULL, 0, NULL, 0, 0, NULL, 0, &n) == DISCO_NO_ROOM && n == 8);
    CHECK(disco_encode_params_head(1073741825u, NULL, 0, &n) == DISCO_TOO_LARGE);
    CHECK(disco_encode_params_head(1073741824u, NULL, 0, &n) == DISCO_NO_ROOM && n == 11);
    CHECK(disco_encode_params_entry("", gibibyte + 1, "", 0, NULL, 0, &n) == DISCO_TOO_LARGE);
    CHECK(disco_encode_params_entry("", 0, "", gibibyte + 1, NULL, 0, &n) == DISCO_TOO_LARGE);
    CHECK(disco_encode_params_entry("", 0, "", gibibyte, NULL, 0, &n) == DISCO_TOO_LARGE);
    CHECK(disco_encode_params_entry("", 0, "", gibibyte - 15, NULL, 0, &n) == DISCO_NO_ROOM);
    CHECK(n == gibibyte);
    CHECK(disco_encode_params_entry("", 0, "", gibibyte - 14, NULL, 0, &n) == DISCO_TOO_LARGE);
    CHECK(disco_encode_message(DISCO_MESSAGE_UNTAGGED, "", 0, NULL, 0, &n) == DISCO_MISUSE);
}

int main(void)
{
    numbers();
    list_heads();
    values_over_the_limits();
    pairs_cut_anywhere();
    items_over_the_limit();
    walk_cut_anywhere(two_pairs, PAIRS_BYTES, 0, 0, 2);
    walk_cut_anywhere(lists, LISTS_BYTES, 1, 3, 3);
    walk_boundaries();
    parameter_heads();
    parameter_entries();
    return n_wrong != 0;
}
