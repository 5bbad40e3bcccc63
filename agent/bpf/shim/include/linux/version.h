/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
/* bcc's helpers leave out nothing from this version on. */
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 15, 0)
