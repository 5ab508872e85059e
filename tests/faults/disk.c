/* A disk that keeps synced data, and may lose everything else.
 *
 * Preloaded into a server, this library replaces fsync and fdatasync: the contents of the file, or the entries of the
 * directory, are copied to FAULTS_KEPT before the call returns. `powercut.py` builds a tree from the copies. Only paths
 * below FAULTS_ROOT count. FAULTS_IGNORE, "files" or "directories", makes the disk ignore syncs of these, for a test
 * that must fail.
 *
 * A copy is named by the inode's number and its creation time, so that a reused number is a different file. Copies of an
 * inode are made one at a time, whichever process or thread syncs it. Otherwise an older copy might replace a newer one.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    abort();
}

static void name_of(int fd, const char *path, char *name, size_t size)
{
    struct statx status;
    int flags = *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
    if (statx(fd, path, flags, STATX_INO | STATX_BTIME, &status) || !(status.stx_mask & STATX_BTIME)) {
        *name = 0; /* removed since its directory was read */
        return;
    }
    snprintf(name, size, "%llu-%lld-%u", (unsigned long long)status.stx_ino, (long long)status.stx_btime.tv_sec,
             status.stx_btime.tv_nsec);
}

static void copy_file(int fd, FILE *copy)
{
    static _Thread_local char buffer[1 << 16];
    off_t place = 0;
    ssize_t count;
    /* Use this descriptor: closing another one of a database would drop SQLite's locks. */
    while ((count = pread(fd, buffer, sizeof buffer, place)) > 0) {
        if (fwrite(buffer, 1, count, copy) != (size_t)count)
            fail("copying a file");
        place += count;
    }
    if (count < 0)
        fail("reading a file");
}

static void copy_directory(int fd, FILE *copy)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again < 0 ? NULL : fdopendir(again);
    if (!directory)
        fail("reading a directory");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[80];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        name_of(fd, entry->d_name, name, sizeof name);
        if (*name)
            fprintf(copy, "%c %s %s\n", entry->d_type == DT_DIR ? 'd' : 'f', name, entry->d_name);
    }
    closedir(directory);
}

static int note(int fd)
{
    const char *root = getenv("FAULTS_ROOT"), *kept = getenv("FAULTS_KEPT"), *ignored = getenv("FAULTS_IGNORE");
    char link[64], path[PATH_MAX], name[80], final[PATH_MAX + 128], fresh[PATH_MAX + 160];
    struct stat status;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!root || !kept || length < 0 || fstat(fd, &status))
        return 0;
    path[length] = 0;
    size_t size = strlen(root);
    if (strncmp(path, root, size) || (path[size] && path[size] != '/') || !status.st_nlink)
        return 0;
    int is_directory = S_ISDIR(status.st_mode);
    if (ignored && !strcmp(ignored, is_directory ? "directories" : "files"))
        return 1;
    if (path[size])
        name_of(fd, "", name, sizeof name);
    else
        strcpy(name, "root");
    if (!*name)
        fail("this file system does not record when a file was created");
    snprintf(final, sizeof final, "%s/lock", kept);
    int lock = open(final, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX))
        fail("locking");
    snprintf(final, sizeof final, "%s/%s", kept, name);
    snprintf(fresh, sizeof fresh, "%s.fresh", final);
    FILE *copy = fopen(fresh, "we");
    if (!copy)
        fail(fresh);
    if (is_directory)
        copy_directory(fd, copy);
    else
        copy_file(fd, copy);
    if (fclose(copy) || rename(fresh, final))
        fail(final);
    close(lock);
    return 1;
}

int fsync(int fd)
{
    int error = errno;
    int noted = note(fd);
    errno = error;
    return noted ? 0 : syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    int error = errno;
    int noted = note(fd);
    errno = error;
    return noted ? 0 : syscall(SYS_fdatasync, fd);
}
