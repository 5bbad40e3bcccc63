/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* What every hook beside the interfaces' does: the verdict of the rules, and
 * the head of an event. */

struct place {
    u64 net;       /* struct net, 0: not known */
    u64 dev;       /* struct net_device, 0: not known */
    u32 netns;
    u32 ifindex;
    u8 elsewhere;
    u8 direction;
};

struct hook {
    struct counters *c;
    struct ruleset *rs;
    u64 now;
    u32 slot, flow_slot;
    u32 rule;
};

/* False while the feature is off. */
static __always_inline int begin(struct hook *k, u32 feature)
{
    u32 zero = 0;
    struct control *ctl = control.lookup(&zero);
    u64 word;

    k->c = counters.lookup(&zero);
    if (!ctl || !k->c)
        return 0;
    word = *(volatile u64 *)&ctl->word;
    k->slot = word & 1;
    k->flow_slot = word >> 1 & 1;
    k->rs = rulesets.lookup(&k->slot);
    return k->rs && k->rs->capture & feature;
}

/* Names the namespace; false if nobody wants to hear of it. */
static __always_inline int locate(struct place *at)
{
    u32 ifindex;

    if (!at->net && at->dev)
        at->net = peek(u64, at->dev, DEV_NET);
    if (at->net)
        at->netns = peek(u32, at->net, NET_INUM);
    if (at->dev)
        at->ifindex = peek(u32, at->dev, DEV_IFINDEX);
    at->elsewhere = at->netns != OWN_NETNS;
    if (at->elsewhere)
        return EVERY_NETNS;
    ifindex = at->ifindex;
    return !ifindex || attached.lookup(&ifindex);
}

/* Do the rules accept it? They speak of interfaces of our own namespace. */
static __always_inline int accepted(struct hook *k, struct parsed *p, struct place *at)
{
    u64 v = 0;

    seal(p);
    if (k->rs->all)
        v = classify(k->rs, k->slot, p, at->elsewhere ? 0 : at->ifindex, at->direction);
    k->now = bpf_ktime_get_ns();
    return verdict(k->rs, 0, v, &k->rule);
}

/* e has been zeroed and starts as every event does. */
static __always_inline void head_of_event(struct event_head *e, u32 kind, struct hook *k,
                                          struct parsed *p, struct place *at)
{
    e->time_ns = k->now;
    e->ifindex = at->ifindex;
    e->generation = k->rs->generation;
    __builtin_memcpy(e->src, &p->key, sizeof(p->key));
    e->etype = p->etype;
    e->kind = kind;
    e->rule = k->rule;
    e->direction = at->direction;
    e->flags = p->flags;
    e->elsewhere = at->elsewhere;
    e->netns = at->netns;
}
