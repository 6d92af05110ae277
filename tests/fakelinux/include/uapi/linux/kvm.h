/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
