/* Threads that share the work of one call. */
#ifndef PATCHEDGE_POOL_H
#define PATCHEDGE_POOL_H

#include <stddef.h>

/* Call `work` once for each item from 0 to below `count`, on at most `threads` threads, this one among them; return when
 * all is done. Items run in any order, so what they write must be their own; `thread` is from 0 to below `threads`. */
void share(int threads, ptrdiff_t count, void (*work)(void *context, ptrdiff_t item, int thread), void *context);

#endif
