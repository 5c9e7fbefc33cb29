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
/// The kind of a [`Retransmission`].
pub const RETRANSMISSION: Kind = 2;

shared! {
    pub struct Header: 32 {
        pub kind: Kind,
        pub cpu: u32,
        /// CLOCK_BOOTTIME.
        pub time_ns: u64,
        pub cookie: u64,
        /// The inode of the network namespace.
        pub netns: u32,
        /// How often the socket was opened anew: one cookie can live twice.
        pub generation: u32,
    }
}

shared! {
    /// Addresses as the kernel keeps them: four bytes for AF_INET, sixteen for AF_INET6, in
    /// network order; ports in host order.
    pub struct Flow: 48 {
        pub local: [u8; 16],
        pub peer: [u8; 16],
        pub local_port: u16,
        pub peer_port: u16,
        pub family: u16,
        pub protocol: u16,
        /// The interface that the socket is bound to, or 0.
        pub ifindex: u32,
        pub reserved: u32,
    }
}

/// How an [`Owner`] was learnt.
pub type Learnt = u32;
/// It was not; the rest of the owner is zero.
pub const NOT_LEARNT: Learnt = 0;
/// The process was seen to hold the lock of the socket.
pub const OWN_EVENT: Learnt = 1;
/// The socket was accepted, and this is the owner of its listener.
pub const FROM_LISTENER: Learnt = 2;

shared! {
    /// The thread group of a task, as it was when the kernel half saw it.
    pub struct Owner: 48 {
        /// When the process started (CLOCK_BOOTTIME); with `tgid` its identity.
        pub start_ns: u64,
        pub cgroup_id: u64,
        pub tgid: u32,
        pub uid: u32,
        pub comm: [u8; 16],
        pub learnt: Learnt,
        pub reserved: u32,
    }
}

impl Owner {
    pub const UNKNOWN: Owner = Owner {
        start_ns: 0,
        cgroup_id: 0,
        tgid: 0,
        uid: 0,
        comm: [0; 16],
        learnt: NOT_LEARNT,
        reserved: 0,
    };
}

shared! {
    /// The kernel's own counters; zero for a socket that is not a TCP one (an MPTCP connection).
    pub struct Traffic: 40 {
        pub bytes_acked: u64,
        pub bytes_received: u64,
        pub bytes_sent: u64,
        pub bytes_retrans: u64,
        /// The smoothed round-trip time, eight times as large.
        pub srtt_us_8: u32,
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
        total_retrans: 0,
    };
}

/// A duration that is not known.
pub const UNKNOWN_NS: u64 = u64::MAX;

shared! {
    pub struct Transition: 184 {
        pub header: Header,
        pub flow: Flow,
        pub owner: Owner,
        pub traffic: Traffic,
        /// Time spent in `old`, or [`UNKNOWN_NS`].
        pub held_ns: u64,
        pub old: u8,
        pub new: u8,
        /// An errno, if the socket has an error pending.
        pub error: u16,
        pub reserved: u32,
    }
}

shared! {
    pub struct Retransmission: 184 {
        pub header: Header,
        pub flow: Flow,
        pub owner: Owner,
        pub traffic: Traffic,
        pub sequence: u32,
        pub end_sequence: u32,
        pub state: u32,
        pub reserved: u32,
    }
}

shared! {
    /// What the kernel half remembers of a socket for as long as it lives.
    pub struct Memory: 72 {
        /// Whose memory this is: another one's means that it was inherited from the listener.
        pub cookie: u64,
        /// When the socket entered `state`; 0 if that was not seen.
        pub since_ns: u64,
        pub owner: Owner,
        pub state: u32,
        pub generation: u32,
    }
}

shared! {
    /// One CPU's count of what became of the events there.
    pub struct Tally: 24 {
        pub delivered: u64,
        /// Lost: the ring was full.
        pub ring_full: u64,
        /// Delivered, but nothing could be remembered for the socket.
        pub no_storage: u64,
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
