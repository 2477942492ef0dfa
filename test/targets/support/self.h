/*
 * /proc/self, before and after: everything in which a process can see that it is not itself.
 * self_take() first, after the set-up; self_compare() after `go`.
 */
#ifndef SELF_H
#define SELF_H

#include <stdbool.h>
#include <stddef.h>

/* Keeps a copy of what /proc/self says. */
void self_take(void);

/* Complains about each difference. `exact_maps`: also where regions were merely split or merged. */
void self_compare(bool exact_maps);

/* Reads a whole file of /proc into `buffer`; returns its length, NUL-terminated. */
size_t slurp(const char *path, char *buffer, size_t capacity);

/* Copies the value of `Name:` of a status file, without the blank; empty if not there. */
void status_value(const char *status, const char *name, char *value, size_t capacity);

/* Copies the VmFlags of the region of /proc/self/smaps that begins at `address`. */
void region_flags(const void *address, char *flags, size_t capacity);

#endif
