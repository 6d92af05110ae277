// SPDX-License-Identifier: GPL-2.0
#include "numa.h"

int numa_nodes(void)
{
	return 1;
}
