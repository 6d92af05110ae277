/* SPDX-License-Identifier: GPL-2.0 */
#define PAGE_BYTES 4096

int page_size(void);
