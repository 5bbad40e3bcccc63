/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* The maps that several units share, and the state that user space writes.
 *
 * The core unit makes them; the units of the features, compiled after it in the
 * same process, refer to them.
 *
 * Two slots exist of the rules and two of the flow table. `control` names the
 * active ones in a single word that a packet reads once, so no packet sees half
 * of a change. User space writes only the inactive slot.
 *
 * Set by the loader: FLOW_CAPACITY, RING_PAGES, EVENT_PAGES, CPUS, PAGE_SIZE, and
 * FEATURE_UNIT in those. */

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define opaque(x) asm volatile("" : "+r"(x))
#define ntoh16(x) ((u16)__builtin_bswap16(x)) /* little-endian machines: amd64, arm64, ppc64le */

#define MAX_SNAP 66560   /* 64 KiB of payload and its headers, as on loopback */
#define ADDRESSES (2 * MAX_ADDRESSES) /* of both slots together */

struct control {
    u64 word;        /* bit 0: rule slot, bit 1: flow slot */
    u64 flip_ns[2];  /* when that flow slot became active */
};

/* What of a packet any rule looks at. */
#define DIM_ADDRESS 1   /* exact hosts only: hash */
#define DIM_PREFIX 2    /* prefixes too: trie */
#define DIM_PORT 4
#define DIM_PROTOCOL 8
#define DIM_ICMP 16
#define DIM_FLAGS 32
#define DIM_DIRECTION 64
#define DIM_INTERFACE 128

#define CAPTURE_FLOWS 1
#define CAPTURE_PACKETS 2
#define ACCEPT_FLOWS 4   /* verdict on flows where no rule decides */
#define ACCEPT_PACKETS 8
#define CAPTURE_DNS 16
#define CAPTURE_DROPS 32
#define CAPTURE_RTT 64
#define CAPTURE_TCP 128
#define CAPTURE_COUNTS 256 /* some rule is only counted */

struct ends {
    u64 f, r;
};

struct address_vectors {
    struct ends src, dst;
};

/* Bit n of a vector stands for rule n. */
struct ruleset {
    u64 all;
    u64 accept;
    u64 flows;         /* rules that govern flows */
    u64 packets;
    u64 counted;       /* rules that govern neither: what they hold for is counted */
    u64 not_ip;        /* rules that can hold for a frame that is not IP */
    u64 no_ports;      /* ... for a packet whose ports are not known */
    u64 no_icmp;
    u64 no_flags;
    u64 no_interface;  /* ... on an interface that no rule names */
    u64 direction[2];
    struct address_vectors anywhere; /* of an address that stands in no table */
    u32 dims;
    u32 capture;
    u32 generation;
    u32 snaplen;       /* 0: all */
    u32 sampling;      /* 0, 1: all */
    u32 same_everywhere; /* no rule looks at interface or direction */
    u16 dns_ports[MAX_DNS_PORTS]; /* 0: none */
};

struct host {
    u64 addr[2];
    u64 slot;
};

struct prefix {
    u32 length;  /* 32 for the slot, and that of the prefix */
    u32 slot;
    u64 addr[2];
};

struct if_key {
    u32 ifindex;
    u32 slot;
};

struct fragment_key {
    u64 src[2], dst[2];
    u32 id;
    u32 proto;
};

struct fragment {
    u64 time_ns;
    u16 sport, dport;
    u8 proto, icmp_type, icmp_code, flags;
    u8 known, unused[7];
};

struct home {
    u32 ifindex;
    u32 direction;
};

struct hit {
    u64 packets, bytes;
};

struct scratch {
    struct packet_head head;
    u8 data[MAX_SNAP];
};

/* What a packet's program tells the one that it ends with. */
struct handover {
    struct flow_key key;
    u64 now;
    u32 network, transport;
    u32 ifindex;
    u32 generation;
    u32 flow_slot;
    u16 etype;
    u8 direction, rule;
    u8 to_server, from_server; /* one end is a DNS port */
    u8 flags, unused[5];
};

#define MMAPABLE (1U << 10)
#define NO_PREALLOC (1U << 0)

#ifdef FEATURE_UNIT
#define TABLE(type, key, leaf, name, entries, flags) \
    BPF_F_TABLE("extern", key, leaf, name, entries, flags)
#else
#define TABLE(type, key, leaf, name, entries, flags)   \
    BPF_F_TABLE(type, key, leaf, name, entries, flags); \
    __attribute__((section("maps/export"))) struct name##_table_t __##name
#endif

TABLE("array", u32, struct control, control, 1, MMAPABLE);
TABLE("array", u32, struct ruleset, rulesets, 2, MMAPABLE);
/* [slot][end][port] */
TABLE("array", u32, struct ends, ports, 2 * 2 * 65536, MMAPABLE);
/* [slot][SMALL_...][value] */
#define SMALL_PROTOCOL 0
#define SMALL_ICMP_TYPE 1
#define SMALL_ICMP_CODE 2
#define SMALL_FLAGS 3
TABLE("array", u32, u64, small, 2 * 4 * 256, MMAPABLE);
TABLE("hash", struct host, struct address_vectors, hosts, ADDRESSES, NO_PREALLOC);
TABLE("lpm_trie", struct prefix, struct address_vectors, prefixes, ADDRESSES, NO_PREALLOC);
TABLE("hash", struct if_key, u64, if_vectors, 8192, NO_PREALLOC);

TABLE("percpu_array", u32, struct counters, counters, 1, 0);
/* [slot][kind][rule], the last one for "no rule" */
TABLE("percpu_array", u32, struct hit, hits, 2 * 2 * (NO_RULE + 1), 0);

TABLE("hash", struct flow_key, struct flow_value, flows0, FLOW_CAPACITY, 0);
TABLE("hash", struct flow_key, struct flow_value, flows1, FLOW_CAPACITY, 0);
/* What features saw of flows: takes memory only for flows that they saw anything of. */
TABLE("hash", struct flow_key, struct flow_extra, extras0, FLOW_CAPACITY, NO_PREALLOC);
TABLE("hash", struct flow_key, struct flow_extra, extras1, FLOW_CAPACITY, NO_PREALLOC);
TABLE("lru_hash", struct fragment_key, struct fragment, fragments, 8192, 0);
TABLE("array", u32, struct scratch, scratch, CPUS, 0);
TABLE("percpu_array", u32, struct handover, handovers, 1, 0);

/* By ifindex: what programs are attached to, for the hooks that see every device. */
TABLE("hash", u32, u32, attached, 8192, NO_PREALLOC);

#ifdef FEATURE_UNIT
struct events_table_t {
    int key;
    u32 leaf;
    int (*ringbuf_output)(void *, u64, u64);
    u32 max_entries;
};
__attribute__((section("maps/extern"))) struct events_table_t events = {};
#else
BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
__attribute__((section("maps/export"))) struct events_table_t __events;
#endif

static __always_inline struct flow_value *find_flow(u32 slot, struct flow_key *k)
{
    return slot ? flows1.lookup(k) : flows0.lookup(k);
}

static __always_inline struct flow_extra *find_extra(u32 slot, struct flow_key *k)
{
    return slot ? extras1.lookup(k) : extras0.lookup(k);
}

/* What features saw of a flow, to be added to; 0 when the map is full. */
static __always_inline struct flow_extra *extra_of(u32 slot, struct flow_key *k, u64 now,
                                                   u16 etype, u32 rule, struct counters *c)
{
    struct flow_extra *e = find_extra(slot, k);

    if (!e) {
        struct flow_extra n = {.first_ns = now, .etype = etype, .rule = rule};

        if (slot)
            extras1.insert(k, &n);
        else
            extras0.insert(k, &n);
        e = find_extra(slot, k);
    }
    if (e)
        e->last_ns = now;
    else
        c->extra_lost_full++;
    return e;
}
