"""A wall clock that jumps: a small library between a program and libc, which adds what a file says.

The monotonic clock stays as it is, as on a device whose time is set.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void open_file(void) {
    int fd = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(0, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) offset_s = page;
    if (fd >= 0) close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int code = (int)syscall(SYS_clock_gettime, id, t);
    if (code == 0 && offset_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += *offset_s;
    return code;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """The wall clock of the programs that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        """Build the library in `folder`; where there is no compiler, `why_not` says so."""
        self.why_not = "" if shutil.which("cc") else "no C compiler"
        self._file = folder / "offset"
        self._library = folder / "clock.so"
        self.jump_to(0)
        if not self.why_not:
            source = folder / "clock.c"
            source.write_text(f'#define OFFSET_FILE "{self._file}"\n{SOURCE}')
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self._library, source], check=True)  # noqa: S607

    @property
    def environment(self) -> dict[str, str]:
        """What to add to the environment of a program."""
        return {} if self.why_not else {"LD_PRELOAD": str(self._library)}

    def jump_to(self, offset_s: int) -> None:
        """Set the wall clock to so many seconds after the true one."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as stream:
            stream.write(struct.pack("=q", offset_s))
