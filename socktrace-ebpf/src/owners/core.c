/*
 * The kernel fields that the iterator reads, and nothing else; see ../core.c for the why. Those of
 * the context are at the same place in every kernel, and are relocated all the same.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct kernfs_node { u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct css_set { struct cgroup *dfl_cgrp; };
typedef struct { u32 val; } kuid_t;
struct cred { kuid_t uid; };
struct task_struct {
	int pid;
	int tgid;
	struct task_struct *group_leader;
	u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct css_set *cgroups;
};

struct inode { unsigned long i_ino; };
struct file { struct inode *f_inode; };
struct socket { short type; struct sock *sk; };
struct ns_common { u32 inum; };
struct net { struct ns_common ns; };
struct sock_common {
	u16 skc_family;
	struct { struct net *net; } skc_net;
};
struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
};

#pragma clang attribute pop

#define ACCESSOR __attribute__((always_inline))
/* The value of a field, loaded through a pointer that the verifier knows the type of. */
#define LOAD(result, name, type, field) \
	ACCESSOR result core_##name(const struct type *p) { return (result)p->field; }
/* The address of a field, for bpf_probe_read_kernel. */
#define ADDRESS(name, type, field) \
	ACCESSOR const void *core_##name(const struct type *p) { return &p->field; }

LOAD(const struct bpf_iter_meta *, context_meta, bpf_iter__task_file, meta)
LOAD(const struct task_struct *, context_task, bpf_iter__task_file, task)
LOAD(u32, context_fd, bpf_iter__task_file, fd)
LOAD(const struct file *, context_file, bpf_iter__task_file, file)
LOAD(struct seq_file *, meta_seq, bpf_iter_meta, seq)

LOAD(u32, task_pid, task_struct, pid)
LOAD(u32, task_tgid, task_struct, tgid)
LOAD(const struct task_struct *, task_group_leader, task_struct, group_leader)
LOAD(u64, task_start_boottime, task_struct, start_boottime)
LOAD(const struct cred *, task_cred, task_struct, cred)
LOAD(const struct css_set *, task_cgroups, task_struct, cgroups)
ADDRESS(task_comm, task_struct, comm)
LOAD(u32, cred_uid, cred, uid.val)
LOAD(const struct cgroup *, css_set_dfl_cgrp, css_set, dfl_cgrp)
LOAD(const struct kernfs_node *, cgroup_kn, cgroup, kn)
LOAD(u64, kernfs_node_id, kernfs_node, id)

LOAD(const struct inode *, file_inode, file, f_inode)
LOAD(u64, inode_ino, inode, i_ino)
LOAD(u16, socket_type, socket, type)
LOAD(const struct sock *, socket_sk, socket, sk)
LOAD(u16, sock_family, sock, __sk_common.skc_family)
LOAD(u16, sock_protocol, sock, sk_protocol)
LOAD(const struct net *, sock_net, sock, __sk_common.skc_net.net)
LOAD(u32, net_inum, net, ns.inum)
