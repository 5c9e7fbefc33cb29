/*
 * The kernel fields that the programs read, and nothing else: rustc cannot emit CO-RE relocations,
 * clang can. Each line becomes a function that is inlined into the Rust program, relocation and
 * all; kernel.rs declares the other side. Types hold only the fields read: the loader finds those
 * of the running kernel by name. Every decision stays in Rust.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common { u32 inum; };
struct net { struct ns_common ns; };
typedef struct { struct net *net; } possible_net_t;
struct in6_addr { u8 bytes[16]; };
typedef struct { u64 counter; } atomic64_t;
struct sock_common {
	u16 skc_family;
	u16 skc_num;
	u16 skc_dport;
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	volatile u8 skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};
typedef struct { int owned; } socket_lock_t;
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	u16 sk_protocol;
	int sk_err;
};
struct inet_sock { u16 inet_sport; };
struct inet_connection_sock {
	struct inet_sock icsk_inet;
	u32 icsk_rto;
	void *icsk_ulp_data;
	u8 icsk_ca_state:5;
};
struct minmax_sample { u32 v; };
struct minmax { struct minmax_sample s[3]; };
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
	u32 mdev_us;
	struct minmax rtt_min;
	u32 total_retrans;
	_Bool is_mptcp;
};
struct mptcp_subflow_context { struct sock *conn; };
struct mptcp_sock {
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
};
struct request_sock { u8 num_retrans; };
struct tcp_request_sock { u32 snt_isn; };
struct tcp_skb_cb { u32 seq; u16 tcp_gso_segs; };
struct net_device { possible_net_t nd_net; };
struct iphdr { u32 saddr, daddr; };
struct ipv6hdr { struct in6_addr saddr, daddr; };
struct tcphdr { u16 source, dest; };
struct sk_buff {
	u32 len;
	u16 protocol;
	char cb[48];
	u8 *head;
	u16 network_header;
	u16 transport_header;
	struct net_device *dev;
};
typedef struct { u32 val; } kuid_t;
struct cred { kuid_t uid; };
struct kernfs_node { u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct css_set { struct cgroup *dfl_cgrp; };
struct task_struct {
	u32 flags;
	int tgid;
	struct task_struct *group_leader;
	u64 start_boottime;
	char comm[16];
	const struct cred *cred;
	struct css_set *cgroups;
};
struct socket { struct sock *sk; };
struct file;
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
};

#pragma clang attribute pop

#define ACCESSOR __attribute__((always_inline))
/* The value of a field, loaded through a pointer that the verifier knows the type of. */
#define LOAD(result, name, type, field) \
	ACCESSOR result core_##name(const struct type *p) { return (result)p->field; }
/* Eight bytes of an array. */
#define PART(index, name, type, field) \
	ACCESSOR u64 core_##name(const struct type *p) { return ((const u64 *)&p->field)[index]; }
/* The address of a field, for bpf_probe_read_kernel. */
#define ADDRESS(name, type, field) \
	ACCESSOR const void *core_##name(const struct type *p) { return &p->field; }
/* Whether this kernel has a field. */
#define EXISTS(name, type, field) \
	ACCESSOR u32 core_##name(void) { return __builtin_preserve_field_info(((struct type *)0)->field, 2); }
/* A field of some bits that lies within a byte. */
#define BITS(name, type, field) \
	ACCESSOR u32 core_##name(const struct type *p) { \
		u64 byte = *((const u8 *)p + __builtin_preserve_field_info(p->field, 0)); \
		byte <<= __builtin_preserve_field_info(p->field, 4); \
		return byte >> __builtin_preserve_field_info(p->field, 5); \
	}

LOAD(u16, sock_family, sock, __sk_common.skc_family)
LOAD(u16, sock_num, sock, __sk_common.skc_num)
LOAD(u16, sock_dport, sock, __sk_common.skc_dport)
LOAD(u32, sock_daddr, sock, __sk_common.skc_daddr)
LOAD(u32, sock_rcv_saddr, sock, __sk_common.skc_rcv_saddr)
PART(0, sock_v6_daddr_0, sock, __sk_common.skc_v6_daddr)
PART(1, sock_v6_daddr_1, sock, __sk_common.skc_v6_daddr)
PART(0, sock_v6_rcv_saddr_0, sock, __sk_common.skc_v6_rcv_saddr)
PART(1, sock_v6_rcv_saddr_1, sock, __sk_common.skc_v6_rcv_saddr)
LOAD(u8, sock_state, sock, __sk_common.skc_state)
LOAD(u32, sock_bound_dev_if, sock, __sk_common.skc_bound_dev_if)
LOAD(const struct net *, sock_net, sock, __sk_common.skc_net.net)
LOAD(u64, sock_cookie, sock, __sk_common.skc_cookie.counter)
LOAD(u32, sock_owned, sock, sk_lock.owned)
LOAD(u16, sock_protocol, sock, sk_protocol)
LOAD(u32, sock_err, sock, sk_err)
LOAD(u64, sock_flags, sock, __sk_common.skc_flags)

ADDRESS(inet_sport, inet_sock, inet_sport)

LOAD(u32, net_inum, net, ns.inum)
ADDRESS(net_inum_at, net, ns.inum)

LOAD(u16, tcp_sport, tcp_sock, inet_conn.icsk_inet.inet_sport)
LOAD(u32, tcp_rto, tcp_sock, inet_conn.icsk_rto)
LOAD(const void *, tcp_ulp_data, tcp_sock, inet_conn.icsk_ulp_data)
BITS(tcp_ca_state, tcp_sock, inet_conn.icsk_ca_state)
LOAD(u64, tcp_bytes_acked, tcp_sock, bytes_acked)
LOAD(u64, tcp_bytes_received, tcp_sock, bytes_received)
LOAD(u64, tcp_bytes_sent, tcp_sock, bytes_sent)
LOAD(u64, tcp_bytes_retrans, tcp_sock, bytes_retrans)
LOAD(u32, tcp_srtt_us, tcp_sock, srtt_us)
LOAD(u32, tcp_mdev_us, tcp_sock, mdev_us)
LOAD(u32, tcp_rtt_min, tcp_sock, rtt_min.s[0].v)
LOAD(u32, tcp_total_retrans, tcp_sock, total_retrans)
LOAD(u32, tcp_is_mptcp, tcp_sock, is_mptcp)
EXISTS(tcp_has_is_mptcp, tcp_sock, is_mptcp)

ADDRESS(subflow_conn, mptcp_subflow_context, conn)

EXISTS(mptcp_has_bytes, mptcp_sock, bytes_sent)
ADDRESS(mptcp_bytes_acked, mptcp_sock, bytes_acked)
ADDRESS(mptcp_bytes_received, mptcp_sock, bytes_received)
ADDRESS(mptcp_bytes_sent, mptcp_sock, bytes_sent)
ADDRESS(mptcp_bytes_retrans, mptcp_sock, bytes_retrans)

LOAD(u32, request_num_retrans, request_sock, num_retrans)
ADDRESS(request_snt_isn, tcp_request_sock, snt_isn)

ADDRESS(skb_len, sk_buff, len)
ADDRESS(skb_protocol, sk_buff, protocol)
ADDRESS(skb_cb, sk_buff, cb)
ADDRESS(skb_head, sk_buff, head)
ADDRESS(skb_network_header, sk_buff, network_header)
ADDRESS(skb_transport_header, sk_buff, transport_header)
ADDRESS(skb_dev, sk_buff, dev)
ADDRESS(dev_net, net_device, nd_net.net)
ADDRESS(cb_seq, tcp_skb_cb, seq)
ADDRESS(cb_segments, tcp_skb_cb, tcp_gso_segs)
ADDRESS(ip_saddr, iphdr, saddr)
ADDRESS(ip_daddr, iphdr, daddr)
ADDRESS(ipv6_saddr, ipv6hdr, saddr)
ADDRESS(ipv6_daddr, ipv6hdr, daddr)
ADDRESS(th_source, tcphdr, source)
ADDRESS(th_dest, tcphdr, dest)

/* Of the running task, where the kernel gives a typed pointer to it ... */
LOAD(u32, task_flags, task_struct, flags)
LOAD(u32, task_tgid, task_struct, tgid)
LOAD(const struct task_struct *, task_group_leader, task_struct, group_leader)
LOAD(u64, task_start_boottime, task_struct, start_boottime)
PART(0, task_comm_0, task_struct, comm)
PART(1, task_comm_1, task_struct, comm)
LOAD(const struct cred *, task_cred, task_struct, cred)
LOAD(u32, cred_uid, cred, uid.val)
LOAD(const struct css_set *, task_cgroups, task_struct, cgroups)
LOAD(const struct cgroup *, css_set_dfl_cgrp, css_set, dfl_cgrp)
LOAD(const struct kernfs_node *, cgroup_kn, cgroup, kn)
LOAD(u64, kernfs_id, kernfs_node, id)
/* ... and where it does not. */
ADDRESS(task_flags_at, task_struct, flags)
ADDRESS(task_group_leader_at, task_struct, group_leader)
ADDRESS(task_start_boottime_at, task_struct, start_boottime)
ADDRESS(task_comm_at, task_struct, comm)

LOAD(const struct bpf_iter_meta *, walk_meta, bpf_iter__task_file, meta)
LOAD(struct seq_file *, meta_seq, bpf_iter_meta, seq)
LOAD(const struct task_struct *, walk_task, bpf_iter__task_file, task)
LOAD(const struct file *, walk_file, bpf_iter__task_file, file)
LOAD(const struct sock *, socket_sock, socket, sk)
