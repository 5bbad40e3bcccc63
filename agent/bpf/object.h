/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Kernel objects as raw tracepoints hand them over: sockets, packets, devices.
 *
 * Members are read at offsets taken from the running kernel's types; the loader
 * sets SKB_..., SOCK_..., DEV_..., DST_DEV, NET_INUM, TCP_SRTT for those that a
 * unit needs, OWN_NETNS (inode of the agent's network namespace) and
 * EVERY_NETNS (1: report what happens in others too). */

struct raw_args {
    u64 args[0];
};

#define peek(type, object, offset)                                              \
    ({                                                                          \
        type v_ = 0;                                                            \
        bpf_probe_read_kernel(&v_, sizeof(v_), (void *)((object) + (offset)));  \
        v_;                                                                     \
    })

/* Kernel addresses have their top bit set; a union may hold something else. */
#define is_pointer(v) ((s64)(v) < 0)

#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

struct netpacket {
    u64 head;  /* address of the IP header */
    u32 len;   /* from there on */
    u32 linear; /* ... in one piece */
};

#define SOURCE struct netpacket

static __always_inline int load(struct netpacket *s, u32 off, void *to, const u32 n)
{
    if (off + n > s->linear || off > s->linear)
        return -1;
    return bpf_probe_read_kernel(to, n, (void *)(s->head + off));
}
