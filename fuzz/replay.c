/*
 * A main() without libFuzzer: runs a target on the files and directories that its arguments name.
 * Each input ends at an unreadable page. Prints the number of inputs and exits with 0 when the
 * invariant holds for all of them.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long n_inputs;

static void give_up(const char *path)
{
    perror(path);
    exit(2);
}

static void feed(const char *path, size_t n_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n_pages = n_bytes / page + 1;
    unsigned char *pages = mmap(NULL, (n_pages + 1) * page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + n_pages * page, page, PROT_NONE) != 0)
        give_up("mmap");
    unsigned char *data = pages + n_pages * page - n_bytes;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(data, 1, n_bytes, file) != n_bytes)
        give_up(path);
    fclose(file);
    fprintf(stderr, "%s\n", path); /* when the target aborts, the last line names its input */
    LLVMFuzzerTestOneInput(data, n_bytes);
    munmap(pages, (n_pages + 1) * page);
    n_inputs++;
}

static void feed_all(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        give_up(path);
    if (!S_ISDIR(status.st_mode)) {
        feed(path, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int n_entries = scandir(path, &entries, NULL, alphasort);
    if (n_entries < 0)
        give_up(path);
    for (int index = 0; index < n_entries; index++) {
        char *inside = NULL;
        if (entries[index]->d_name[0] != '.' &&
            asprintf(&inside, "%s/%s", path, entries[index]->d_name) > 0)
            feed_all(inside);
        free(inside);
        free(entries[index]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++)
        feed_all(argv[index]);
    printf("%lu inputs\n", n_inputs);
    return 0;
}
