/* SPDX-License-Identifier: GPL-2.0 */
int numa_nodes(void);
int numa_debug(void);
