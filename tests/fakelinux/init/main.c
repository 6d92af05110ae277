/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/kvm.h>

unsigned long long kvm_gmem_flags(void);

void start_kernel(void);
void start_kernel(void)
{
	volatile unsigned long long flags = kvm_gmem_flags();

#ifdef GUEST_MEMFD_FLAG_WRITE
	flags |= GUEST_MEMFD_FLAG_WRITE;
#endif
	while (flags)
		;
}
