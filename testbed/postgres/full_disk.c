/* A disk that is full when a test says so. Loaded into PostgreSQL ahead of the C library (LD_PRELOAD).
 *
 * While the file DISK_IS_FULL stands in the data directory, which is the working directory of every process of
 * PostgreSQL, no file of the directory base (tables, indexes, temporary files) can grow: the system calls by which
 * PostgreSQL extends them answer ENOSPC. All else goes on, the write-ahead log too: a log that cannot grow makes
 * PostgreSQL panic and restart, which a test can have by killing it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int no_space(int fd, off_t end)
{
	char link[64], path[4096];
	struct stat file;
	ssize_t length;

	if (access("DISK_IS_FULL", F_OK) != 0)
		return 0;
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || end <= file.st_size)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	return strstr(path, "/base/") != NULL;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	static ssize_t (*next)(int, const void *, size_t, off_t);
	if (no_space(fd, offset + (off_t) count)) {
		errno = ENOSPC;
		return -1;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "pwrite");
	return next(fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t);
	off_t end = offset;
	for (int i = 0; i < count; i++)
		end += (off_t) parts[i].iov_len;
	if (no_space(fd, end)) {
		errno = ENOSPC;
		return -1;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "pwritev");
	return next(fd, parts, count, offset);
}

/* This one returns its error. */
int posix_fallocate(int fd, off_t offset, off_t length)
{
	static int (*next)(int, off_t, off_t);
	if (no_space(fd, offset + length))
		return ENOSPC;
	if (!next)
		next = dlsym(RTLD_NEXT, "posix_fallocate");
	return next(fd, offset, length);
}
