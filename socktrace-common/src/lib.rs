//! What crosses between the kernel half and the user half: the records in the ring, the counters
//! beside it, and the names that the loader looks up.
//!
//! Every type is `#[repr(C)]` without implicit padding: a byte that nobody wrote would leak kernel
//! memory, and the verifier of older kernels refuses to copy it.
#![no_std]

/// Declares a type that both sides share, and checks that its fields fill it to the last byte.
macro_rules! shared {
    ($(#[$meta:meta])* pub struct $name:ident: $size:literal {
        $($(#[$doc:meta])* pub $field:ident: $type:ty,)+
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)+
        }

        const _: () = {
            assert!(size_of::<$name>() == $size, "the size is not the declared one");
            assert!(0 $(+ size_of::<$type>())+ == $size, "there is padding");
            assert!(align_of::<$name>() <= 8, "the ring aligns to 8 bytes");
        };

        // SAFETY: integers and arrays of them, without padding: checked above.
        unsafe impl Shared for $name {}
    };
}

pub mod probe;

/// A type that is valid whatever its bytes are.
///
/// # Safety
/// Only integers, arrays of them, and other `Shared` types; no padding.
pub unsafe trait Shared: Copy + 'static {}

/// The record that `bytes` begin with, if they are enough for one.
pub fn read<T: Shared>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: there are as many bytes as T has, and T is valid whatever they are.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// What begins each record.
pub type Kind = u32;
/// The kind of a [`Transition`].
pub const TRANSITION: Kind = 1;
/// The kind of a [`Closing`].
pub const CLOSING: Kind = 2;
/// The kind of a [`Retransmission`].
pub const RETRANSMISSION: Kind = 3;
/// The kind of a [`Reset`].
pub const RESET: Kind = 4;
/// The kind of a [`Life`].
pub const LIFE: Kind = 5;
/// The kind of a [`LateReset`].
pub const LATE_RESET: Kind = 6;

shared! {
    pub struct Header: 16 {
        pub kind: Kind,
        /// What is known of the socket, see [`flag`].
        pub flags: u32,
        /// CLOCK_BOOTTIME.
        pub time_ns: u64,
    }
}

/// The bits of [`Header::flags`] and [`Memory::flags`].
pub mod flag {
    /// It called connect(2).
    pub const ACTIVE: u32 = 1 << 0;
    /// A listener accepted it.
    pub const PASSIVE: u32 = 1 << 1;
    /// It is a subflow of an MPTCP connection.
    pub const SUBFLOW: u32 = 1 << 2;
    /// A reset came from the peer.
    pub const RESET_RECEIVED: u32 = 1 << 3;
    /// A reset was sent to the peer.
    pub const RESET_SENT: u32 = 1 << 4;
    /// The peer's FIN has come, and counts among the received bytes.
    pub const PEER_FIN: u32 = 1 << 5;
    /// No descriptor refers to it any more.
    pub const ORPHAN: u32 = 1 << 6;
    /// A process held the lock of the socket: it did this, rather than a packet or a timer.
    pub const BY_PROCESS: u32 = 1 << 7;
    /// It is older than the trace, or its beginning was missed.
    pub const OLDER: u32 = 1 << 8;
}

shared! {
    /// Which socket. Addresses as the kernel keeps them: four bytes for AF_INET, sixteen for
    /// AF_INET6, in network order; ports in host order.
    pub struct Socket: 64 {
        /// Where it lies in the kernel: one at a time. The cookie is for people; an accepted MPTCP
        /// connection has that of its listener, and old kernels do not tell it.
        pub key: u64,
        pub cookie: u64,
        pub local: [u8; 16],
        pub peer: [u8; 16],
        pub local_port: u16,
        pub peer_port: u16,
        pub family: u16,
        pub protocol: u16,
        /// The inode of the network namespace.
        pub netns: u32,
        /// The interface that the socket is bound to, or 0.
        pub ifindex: u32,
    }
}

/// How an [`Owner`] was learnt.
pub type Learnt = u32;
/// It was not; the rest of the owner is zero.
pub const NOT_LEARNT: Learnt = 0;
/// The process was seen to hold the lock of the socket.
pub const OWN_EVENT: Learnt = 1;
/// The socket was accepted, and this is the owner of its listener.
pub const LISTENER: Learnt = 2;
/// The socket was accepted by this process.
pub const ACCEPTOR: Learnt = 3;
/// The socket is older than the trace, and this process had it open when they were looked for.
pub const OLDER_HOLDER: Learnt = 4;

shared! {
    /// The thread group of a task, as it was when the kernel half saw it.
    pub struct Owner: 48 {
        /// When the process started (CLOCK_BOOTTIME); with `tgid` its identity.
        pub start_ns: u64,
        pub cgroup_id: u64,
        pub comm: [u64; 2],
        pub tgid: u32,
        pub uid: u32,
        pub learnt: Learnt,
        pub reserved: u32,
    }
}

impl Owner {
    pub const UNKNOWN: Owner = Owner {
        start_ns: 0,
        cgroup_id: 0,
        comm: [0; 2],
        tgid: 0,
        uid: 0,
        learnt: NOT_LEARNT,
        reserved: 0,
    };
}

shared! {
    /// The kernel's own counters.
    pub struct Traffic: 48 {
        pub bytes_acked: u64,
        pub bytes_received: u64,
        pub bytes_sent: u64,
        pub bytes_retrans: u64,
        /// The smoothed round-trip time, eight times as large.
        pub srtt_us_8: u32,
        /// Its mean deviation, four times as large.
        pub mdev_us_4: u32,
        /// The shortest of late; `u32::MAX` before the first.
        pub min_rtt_us: u32,
        pub total_retrans: u32,
    }
}

impl Traffic {
    pub const NONE: Traffic = Traffic {
        bytes_acked: 0,
        bytes_received: 0,
        bytes_sent: 0,
        bytes_retrans: 0,
        srtt_us_8: 0,
        mdev_us_4: 0,
        min_rtt_us: u32::MAX,
        total_retrans: 0,
    };
}

/// A duration that is not known.
pub const UNKNOWN_NS: u64 = u64::MAX;

shared! {
    pub struct Transition: 160 {
        pub header: Header,
        pub socket: Socket,
        pub owner: Owner,
        /// Time spent in `old`, or [`UNKNOWN_NS`].
        pub held_ns: u64,
        /// When it was born, if that was not told yet; else 0.
        pub born_ns: u64,
        /// The key of the MPTCP connection that it is a subflow of, or 0.
        pub connection: u64,
        pub old: u8,
        pub new: u8,
        /// An errno, if the socket has an error pending.
        pub error: u16,
        pub reserved: u32,
    }
}

shared! {
    /// A transition to CLOSE.
    pub struct Closing: 208 {
        pub transition: Transition,
        pub traffic: Traffic,
    }
}

/// What was sent again.
pub type Resent = u8;
/// A segment of an established connection, or a SYN.
pub const SEGMENT: Resent = 0;
pub const SYN_ACK: Resent = 1;

shared! {
    pub struct Retransmission: 152 {
        pub header: Header,
        pub socket: Socket,
        pub owner: Owner,
        pub sequence: u32,
        /// Bytes of payload.
        pub length: u32,
        /// How often the socket has sent something again.
        pub total: u32,
        /// The retransmission timeout in ticks of the kernel, or 0.
        pub rto_ticks: u32,
        /// How many segments the kernel counts it as: what it hands on in one piece may be divided.
        pub segments: u16,
        pub state: u8,
        /// State of the congestion control: open, disorder, CWR, recovery, loss.
        pub congestion: u8,
        pub resent: Resent,
        pub reserved: [u8; 3],
    }
}

shared! {
    pub struct Reset: 136 {
        pub header: Header,
        pub socket: Socket,
        pub owner: Owner,
        /// The kernel's `enum sk_rst_reason`; 0 where it does not say.
        pub reason: u32,
        /// The state of the socket; 0 where there is none.
        pub state: u8,
        /// 1 if it was sent, 0 if it was received.
        pub sent: u8,
        pub reserved: u16,
    }
}

shared! {
    /// A connection from its beginning, as far as that was seen, to its end.
    pub struct Life: 208 {
        pub header: Header,
        pub socket: Socket,
        pub owner: Owner,
        pub traffic: Traffic,
        /// When it was opened, or 0.
        pub opened_ns: u64,
        /// When it was established, or 0.
        pub connected_ns: u64,
        /// The key of the MPTCP connection that it is a subflow of, or 0.
        pub connection: u64,
        /// Why a reset was sent, if one was: the kernel's `enum sk_rst_reason`.
        pub reason: u32,
        /// The state it was in before CLOSE.
        pub last: u8,
        pub reserved: u8,
        /// An errno, if the socket has an error pending.
        pub error: u16,
    }
}

shared! {
    /// A reset that was sent for a socket that is closed: the kernel closes first.
    pub struct LateReset: 32 {
        pub header: Header,
        pub key: u64,
        pub reason: u32,
        pub reserved: u32,
    }
}

shared! {
    /// What the kernel half remembers of a socket from its opening to its end.
    pub struct Memory: 88 {
        /// Which socket it is of; 0 for none.
        pub key: u64,
        /// When the socket was opened; 0 if that was not seen.
        pub opened_ns: u64,
        /// When it entered `state`, or was established; 0 if that was not seen.
        pub since_ns: u64,
        pub owner: Owner,
        pub flags: u32,
        /// Why a reset was sent.
        pub reason: u32,
        pub state: u32,
        /// The errno that an earlier life left on the socket, or 0.
        pub stale_error: u32,
    }
}

impl Memory {
    /// Of a socket whose beginning was not seen.
    pub const STRANGER: Memory = Memory {
        key: 0,
        opened_ns: 0,
        since_ns: 0,
        owner: Owner::UNKNOWN,
        flags: flag::OLDER,
        reason: 0,
        state: 0,
        stale_error: 0,
    };
}

shared! {
    /// Where a listener listens. IPv4 addresses are mapped into IPv6 ones.
    pub struct ListenerKey: 24 {
        pub address: [u8; 16],
        pub netns: u32,
        pub port: u32,
    }
}

shared! {
    /// Who listens there.
    pub struct Listener: 72 {
        pub owner: Owner,
        /// Since when; 0 if it is older than the trace.
        pub since_ns: u64,
        /// When the last of them was closed, if none is left.
        pub closed_ns: u64,
        /// How many sockets listen there (SO_REUSEPORT).
        pub count: u32,
        /// They belong to several processes.
        pub is_shared: u32,
    }
}

shared! {
    /// One CPU's count of what was lost there.
    pub struct Tally: 16 {
        /// Events: the ring was full.
        pub ring_full: u64,
        /// Memories: an event of the socket is told without what was before it.
        pub no_memory: u64,
    }
}

/// Records beyond the mark that wake the reader: some in case that two CPUs cross it together, few
/// because a wake-up costs forty times the record.
pub const WAKE_RECORDS: u64 = 16;

shared! {
    /// A descriptor of a socket, and the task that has it.
    pub struct SocketDescriptor: 80 {
        pub cookie: u64,
        /// The address of the `struct sock`; 0, as all else about it, once that is released.
        pub sock: u64,
        /// When the process started (CLOCK_BOOTTIME); with `tgid` its identity.
        pub start_ns: u64,
        pub cgroup_id: u64,
        /// The inode of the socket's network namespace.
        pub netns: u32,
        /// That of the socket, as in the link /proc/PID/fd/FD.
        pub inode: u32,
        /// The process and the thread, by their numbers in the initial PID namespace.
        pub tgid: u32,
        pub tid: u32,
        pub fd: u32,
        pub uid: u32,
        pub comm: [u8; 16],
        pub family: u16,
        pub protocol: u16,
        /// SOCK_STREAM and its like.
        pub kind: u16,
        pub reserved: u16,
    }
}
