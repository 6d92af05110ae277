/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/kvm.h>

unsigned long long kvm_gmem_flags(void);

unsigned long long kvm_gmem_flags(void)
{
	return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
}
