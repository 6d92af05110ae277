// SPDX-License-Identifier: GPL-2.0
#include "internal.h"

int page_size(void)
{
	return PAGE_BYTES;
}
