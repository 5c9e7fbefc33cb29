/*
 * The kernel fields that the programs read, and nothing else: rustc cannot emit CO-RE relocations,
 * clang can. Each line becomes a function that is inlined into the Rust program, relocation and
 * all; kernel.rs declares the other side. Types hold only the fields read: the loader finds those of
 * the running kernel by name. Every decision stays in Rust.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common { u32 inum; };
struct net { struct ns_common ns; };
struct in6_addr { u8 bytes[16]; };
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
	struct { struct net *net; } skc_net;
};
typedef struct { int owned; } socket_lock_t;
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	u16 sk_protocol;
	int sk_err;
};
struct inet_sock { u16 inet_sport; };
struct tcp_sock {
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
	u32 total_retrans;
};
struct tcp_skb_cb { u32 seq; u32 end_seq; };
struct sk_buff { char cb[48]; };
struct task_struct {
	u32 flags;
	struct task_struct *group_leader;
	u64 start_boottime;
	char comm[16];
};

#pragma clang attribute pop

#define ACCESSOR __attribute__((always_inline))
/* The value of a field, loaded through a pointer that the verifier knows the type of. */
#define LOAD(result, name, type, field) \
	ACCESSOR result core_##name(const struct type *p) { return (result)p->field; }
/* The address of a field, for bpf_probe_read_kernel. */
#define ADDRESS(name, type, field) \
	ACCESSOR const void *core_##name(const struct type *p) { return &p->field; }

LOAD(u16, sock_family, sock, __sk_common.skc_family)
LOAD(u16, sock_num, sock, __sk_common.skc_num)
LOAD(u16, sock_dport, sock, __sk_common.skc_dport)
LOAD(u32, sock_daddr, sock, __sk_common.skc_daddr)
LOAD(u32, sock_rcv_saddr, sock, __sk_common.skc_rcv_saddr)
ADDRESS(sock_v6_daddr, sock, __sk_common.skc_v6_daddr)
ADDRESS(sock_v6_rcv_saddr, sock, __sk_common.skc_v6_rcv_saddr)
LOAD(u8, sock_state, sock, __sk_common.skc_state)
LOAD(u32, sock_bound_dev_if, sock, __sk_common.skc_bound_dev_if)
LOAD(const struct net *, sock_net, sock, __sk_common.skc_net.net)
LOAD(u32, sock_owned, sock, sk_lock.owned)
LOAD(u16, sock_protocol, sock, sk_protocol)
LOAD(u32, sock_err, sock, sk_err)

ADDRESS(inet_sport, inet_sock, inet_sport)

LOAD(u32, net_inum, net, ns.inum)

LOAD(u64, tcp_bytes_acked, tcp_sock, bytes_acked)
LOAD(u64, tcp_bytes_received, tcp_sock, bytes_received)
LOAD(u64, tcp_bytes_sent, tcp_sock, bytes_sent)
LOAD(u64, tcp_bytes_retrans, tcp_sock, bytes_retrans)
LOAD(u32, tcp_srtt_us, tcp_sock, srtt_us)
LOAD(u32, tcp_total_retrans, tcp_sock, total_retrans)

ADDRESS(skb_cb, sk_buff, cb)
ADDRESS(cb_seq, tcp_skb_cb, seq)
ADDRESS(cb_end_seq, tcp_skb_cb, end_seq)

ADDRESS(task_flags, task_struct, flags)
ADDRESS(task_group_leader, task_struct, group_leader)
ADDRESS(task_start_boottime, task_struct, start_boottime)
ADDRESS(task_comm, task_struct, comm)
